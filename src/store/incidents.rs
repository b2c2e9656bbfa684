//! `incident_audit`: one row for each accepted alert.

use oncall_domain::alert::{Alert, Severity};
use oncall_domain::ids::{RunbookId, StepId};
use oncall_domain::intake::Kept;
use oncall_domain::policy::{Autonomy, Breaker, Decision, Policy};
use oncall_domain::retrieval::{FoundBy, Retrieval};
use oncall_domain::runbook::Step;
use oncall_domain::triage::Triage;
use pgrx::datum::DatumWithOid;
use pgrx::{AnyNumeric, JsonB};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::catalogue::{self, StepRow};
use super::{Result, breaker, jsonb, statement, writing};
use crate::error::OncallError;

/// What becomes of an alert that comes in.
#[derive(Debug)]
pub enum Opened {
    /// Nothing of its fingerprint was open: this incident is new.
    New(String),
    /// It joined this one.
    Joined(String),
}

/// How often an alert is tried to join or open an incident that other sessions open and close at the same time.
pub(super) const ATTEMPTS: usize = 5;

/// Open an incident for `alert`, or join the open one of its fingerprint.
///
/// The unique index on open fingerprints decides between two sessions, so this never opens two.
pub fn open(alert: &Alert, kept: &Kept, window_s: i32) -> Result<Opened> {
    let fingerprint = alert.fingerprint.as_str();
    let severity = alert.severity.map(Severity::as_str);
    for _ in 0..ATTEMPTS {
        let touch = statement!("touch_incident");
        let joined = writing(|| touch.tell(&[fingerprint.into(), f64::from(window_s).into(), severity.into()]))?;
        if let Some(id) = joined {
            return Ok(Opened::Joined(id));
        }
        let opened = statement!("open_incident").tell(&[
            fingerprint.into(),
            kept.text.as_str().into(),
            severity.into(),
            jsonb(&kept.alert)?,
        ])?;
        if let Some(id) = opened {
            return Ok(Opened::New(id));
        }
        // Another session opened one while we waited for it to commit. It is there to be joined now, unless a third has
        // closed it since, or it is older than the window already.
    }
    Err(OncallError::Contended { fingerprint: fingerprint.to_owned() })
}

/// Close the open incident of `fingerprint`, if there is one: the sender says that it is over.
pub fn resolve(fingerprint: &str) -> Result<Option<String>> {
    let close = || writing(|| statement!("resolve_incident").tell(&[fingerprint.into()]));
    if let Some(id) = close()? {
        return Ok(Some(id));
    }
    // One may be about to be opened by a session that waits for its model: what it is told must not be lost.
    statement!("await_fingerprint").write(&[fingerprint.into()])?;
    close()
}

/// Write down what the triage found; and the decision, where it was made in the same breath.
pub fn record_triage(
    id: &str,
    triage: &Triage,
    retrieval: &Retrieval,
    decided: Option<(&Decision, Autonomy)>,
) -> Result<()> {
    let best = retrieval.sections.first();
    let reply = &triage.reply;
    let found_by = best.map(|section| match section.found_by {
        FoundBy::AlertName => "alert_name",
        FoundBy::Similarity => "similarity",
    });
    let [route, version, reasons, autonomy] = decision_args(decided)?;
    let args = &[
        id.into(),
        best.map(|section| section.runbook_id.as_str().to_owned()).into(),
        best.and_then(|section| rounded(section.similarity)).into(),
        reply.incident_type.as_str().into(),
        Some(reply.confidence).filter(|c| (0.0..=1.0).contains(c)).and_then(rounded).into(),
        found_by.into(),
        jsonb(triage)?,
        reply.recommended_actions.clone().into(),
        reply.root_cause_hypothesis.as_str().into(),
        route,
        version,
        reasons,
        autonomy,
    ];
    writing(|| statement!("record_triage").write(args))?;
    Ok(())
}

/// Three digits after the point, as `numeric(4,3)` has; nothing for what is no number.
fn rounded(value: f64) -> Option<AnyNumeric> {
    AnyNumeric::try_from((value * 1000.0).round() / 1000.0).ok().filter(|_| value.is_finite())
}

/// What the router needs to know of an incident.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// The system that sent the alert.
    pub source: Option<String>,
    /// The alert's severity.
    pub severity: Option<Severity>,
    /// The outcome of the triage; none in a row that was written by hand.
    pub triage: Option<Triage>,
    /// The runbooks of which a section was retrieved, best first.
    pub runbooks: Vec<RunbookId>,
}

/// Lock an incident until the transaction ends, so that it is routed once; its state. What is asked next sees what the
/// session that held it before has written.
pub fn lock(id: &str) -> Result<String> {
    statement!("lock_incident").tell(&[id.into()])?.ok_or_else(|| OncallError::NoSuchIncident { id: id.to_owned() })
}

/// The case of an incident.
pub fn case(id: &str) -> Result<Case> {
    statement!("route_case").ask(&[id.into()])?.ok_or_else(|| OncallError::NoSuchIncident { id: id.to_owned() })
}

/// What a decision goes by beside the case, all of it as of one moment.
#[derive(Debug)]
pub struct Facts {
    /// The classification that the best runbook stands for: by it the policy is chosen, never by a model's word.
    pub incident_type: Option<String>,
    /// The recommended steps, as they stand now: those of the runbooks, whose tool is there and lets them.
    pub steps: Vec<Step>,
    /// Every policy that can still decide.
    pub policies: Vec<Policy>,
    /// The breaker.
    pub breaker: Breaker,
    /// How many actions autonomous decisions ordered within the last hour.
    pub actions_last_hour: u32,
    /// How often each step was carried out within the last hour, on the target where that was most often.
    pub repeats_last_hour: BTreeMap<StepId, u32>,
}

/// What the decision on an incident goes by for which `runbooks` were retrieved, best first, and `actions` recommended; in
/// one statement.
pub fn facts(runbooks: &[RunbookId], actions: &[String]) -> Result<Facts> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answers {
        incident_type: Option<String>,
        steps_of: Vec<StepRow>,
        policies: Option<Vec<Policy>>,
        breaker: Option<String>,
        actions_last_hour: Option<u32>,
        repeats_last_hour: Option<BTreeMap<StepId, u32>>,
    }
    let questions =
        statement!("incident_type", "steps_of", "policies", "breaker", "actions_last_hour", "repeats_last_hour");
    let found: Answers = questions.ask(&[catalogue::ids(runbooks), actions.to_vec().into()])?.unwrap_or_default();
    Ok(Facts {
        incident_type: found.incident_type,
        steps: catalogue::sound_steps(found.steps_of)?,
        policies: found.policies.unwrap_or_default(),
        breaker: breaker::of(found.breaker.as_deref()),
        actions_last_hour: found.actions_last_hour.unwrap_or(0),
        repeats_last_hour: found.repeats_last_hour.unwrap_or_default(),
    })
}

/// Wait until no other session is about to spend from the hourly budget: two that decide at once would each see what is
/// left, and both spend it.
pub fn hold_budget() -> Result<()> {
    statement!("hold_budget").tell::<i64>(&[])?;
    Ok(())
}

/// Write down the decision.
pub fn record_route(id: &str, decision: &Decision, autonomy: Autonomy) -> Result<()> {
    let [route, version, reasons, autonomy] = decision_args(Some((decision, autonomy)))?;
    writing(|| statement!("record_route").write(&[id.into(), route, version, reasons, autonomy]))?;
    Ok(())
}

fn decision_args<'a>(decided: Option<(&Decision, Autonomy)>) -> Result<[DatumWithOid<'a>; 4]> {
    let reasons = decided.map(|(decision, _)| serde_json::to_value(&decision.conditions)).transpose();
    let reasons = reasons.map_err(|error| OncallError::Catalogue { reason: error.to_string() })?;
    Ok([
        decided.map(|(decision, _)| decision.route.as_str()).into(),
        decided.map(|(decision, _)| decision.policy_version).into(),
        reasons.map(JsonB).into(),
        decided.map(|(_, autonomy)| autonomy.as_str()).into(),
    ])
}
