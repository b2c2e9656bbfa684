//! Alerts in, decisions out: steps 1 to 6 of an alert's way, in the caller's transaction.

use std::time::Instant;

use oncall_domain::agents;
use oncall_domain::agents::triage::TriageSettings;
use oncall_domain::alert::{self, Alert, Status};
use oncall_domain::policy::{self, Decision, Route};
use oncall_domain::redact::{redact, redact_json};
use oncall_domain::retrieval::Retrieval;
use oncall_domain::triage::Triage;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value, json};

use crate::error::{Answer, OncallError};
use crate::host::{self, CallerHost};
use crate::pod;
use crate::settings;
use crate::store::incidents::{self, Opened};
use crate::store::journal::{self, Entry};
use crate::store::{self, catalogue, policies, work};

/// The agent under whose name the steps up to the decision are journaled.
const TRIAGE: &str = "triage";

/// Treat every alert of a payload, JSON as text; the ids of their incidents.
///
/// Not a `JsonB`: that one panics at what is JSON to Postgres and more than serde_json reads, as 1e400 and 200 nested lists.
#[pg_extern(schema = "oncall_internal", strict)]
fn triage(payload: &str) -> Answer<Vec<String>> {
    within_limit(payload)?;
    let payload = serde_json::from_str(payload).map_err(|error| OncallError::Payload { reason: error.to_string() })?;
    let alerts = alert::normalise(&payload).map_err(OncallError::from)?;
    Ok(accept_all(&alerts)?)
}

/// The same for text: a payload that arrived as text, or words.
#[pg_extern(schema = "oncall_internal", strict)]
fn triage_text(payload: &str) -> Answer<Vec<String>> {
    within_limit(payload)?;
    let alerts = alert::normalise_text(payload).map_err(OncallError::from)?;
    Ok(accept_all(&alerts)?)
}

/// The most bytes of a payload. JSON takes a hundred times its length while it is read, and nobody can cancel that.
const MOST_BYTES: usize = 2 * 1024 * 1024;

fn within_limit(payload: &str) -> store::Result<()> {
    if payload.len() > MOST_BYTES {
        return Err(OncallError::TooLarge { what: "the payload", bytes: payload.len(), most: MOST_BYTES });
    }
    Ok(())
}

/// The ids in the order of the payload, each once.
///
/// The work is done in the order of the fingerprints: two payloads that share alerts then wait for each other at most,
/// where in any two orders each could hold what the other needs next.
fn accept_all(alerts: &[Alert]) -> store::Result<Vec<String>> {
    let mut order: Vec<usize> = (0..alerts.len()).collect();
    order.sort_by_key(|&place| &alerts[place].fingerprint);
    let mut accepted: Vec<(usize, String)> = Vec::with_capacity(alerts.len());
    for place in order {
        accepted.extend(accept(&alerts[place])?.map(|id| (place, id)));
    }
    accepted.sort_unstable();
    let mut ids: Vec<String> = Vec::with_capacity(accepted.len());
    for (_, id) in accepted {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// One alert: it opens an incident, joins one, or closes one. Nothing to close is no incident.
fn accept(alert: &Alert) -> store::Result<Option<String>> {
    if alert.status == Status::Resolved {
        let closed = incidents::resolve(&alert.fingerprint)?;
        if closed.is_none() {
            notice!("no open incident has the fingerprint {}: nothing to resolve", alert.fingerprint);
        }
        return Ok(closed);
    }
    let kept = redact_json(&json!(alert));
    match incidents::open(alert, &redact(&alert.text), &kept, settings::dedup_window_s())? {
        Opened::Joined(id) => Ok(Some(id)),
        Opened::New(id) => {
            triage_incident(&id, alert)?;
            Ok(Some(id))
        }
    }
}

fn triage_incident(id: &str, alert: &Alert) -> store::Result<()> {
    let started = Instant::now();
    let host = CallerHost::new(id, TRIAGE);
    let limits = TriageSettings { max_tokens: settings::max_tokens(), prompt_budget: settings::prompt_tokens() };
    let (triage, retrieval) = host::run(agents::triage::triage(&host, alert, &limits));
    // Not by its name: a pod may call itself what it likes.
    if triage.is_fallback() || settings::chat_pod().is_none() {
        host.record_inference(Some(json!(triage.reply).to_string()), settings::BUILTIN, builtin_context(&triage), None);
    }
    host.record(Entry {
        kind: "triage",
        request: json!({ "alert": redact(&alert.headline()) }),
        outcome: Ok(json!(triage)),
        model: Some(&triage.by),
        tokens_in: None,
        tokens_out: None,
        latency: started.elapsed(),
    });
    incidents::record_triage(id, &triage, &retrieval)
}

/// What the log says of an answer by the builtin triage: that it stood in for a pod is never silent.
fn builtin_context(triage: &Triage) -> Value {
    let mut context = json!({
        "generator": settings::BUILTIN,
        "embedder": pod::embedding_model(),
        "fallback_triggered": triage.is_fallback(),
    });
    if let Some(failure) = &triage.failure {
        context["reason"] = json!(failure.to_string());
        context["previous_generator"] = json!(settings::chat_pod().map(|(_, model)| model));
    }
    context
}

/// Decide an incident that was triaged, and write the decision down.
#[pg_extern(schema = "oncall_internal", strict)]
fn route(incident_id: &str) -> Answer<()> {
    let started = Instant::now();
    incidents::lock(incident_id)?;
    let (case, mut decision) = decide(incident_id)?;
    if case.state != "triaged" {
        return Err(OncallError::NotRoutable { id: incident_id.to_owned(), state: case.state }.into());
    }
    if decision.route == Route::Autonomous {
        // Only who would spend waits for the others who would; what they spent may leave nothing.
        incidents::hold_budget()?;
        (_, decision) = decide(incident_id)?;
    }
    let autonomy = settings::autonomy();
    let step = journal::last_step(incident_id, TRIAGE)? + 1;
    let entry = Entry {
        kind: "route",
        request: json!({ "policy_version": decision.policy_version, "autonomy": autonomy.as_str() }),
        outcome: Ok(json!({ "decision": decision.route.as_str(), "conditions": decision.conditions })),
        model: None,
        tokens_in: None,
        tokens_out: None,
        latency: started.elapsed(),
    };
    journal::record(incident_id, TRIAGE, step, entry)?;
    incidents::record_route(incident_id, &decision, autonomy)?;
    work::queue_treatment(incident_id)?;
    Ok(())
}

/// What the router would decide now: every condition, as an array.
#[pg_extern(schema = "oncall_internal", strict)]
fn conditions(incident_id: &str) -> Answer<JsonB> {
    let (_, decision) = decide(incident_id)?;
    Ok(JsonB(json!(decision.conditions)))
}

/// The decision on an incident by what is true now: a step that was changed since the triage counts as it is now.
fn decide(incident_id: &str) -> store::Result<(incidents::Case, Decision)> {
    let case = incidents::case(incident_id)?;
    let untriaged = || OncallError::NotRoutable { id: incident_id.to_owned(), state: "not triaged".to_owned() };
    let triage = case.triage.as_ref().ok_or_else(untriaged)?;
    let retrieval = Retrieval { steps: catalogue::steps_of(&case.runbooks)?, ..Retrieval::default() };
    let policies = policies::all()?;
    let decision = policy::decide(&policy::Case {
        triage,
        retrieval: &retrieval,
        policy: policy::select(&policies, case.severity, case.incident_type.as_deref()),
        breaker: policies::breaker()?,
        autonomy: settings::autonomy(),
        actions_last_hour: incidents::actions_last_hour()?,
    });
    Ok((case, decision))
}
