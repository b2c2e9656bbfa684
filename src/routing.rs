//! The router at work: it reads the case, decides, and writes the decision down, in the transaction that it finds.

use std::time::{Duration, Instant};

use oncall_domain::alert::UNREADABLE_SOURCE;
use oncall_domain::policy::{self, Autonomy, Decision, Route};
use oncall_domain::retrieval::Retrieval;
use serde_json::json;

use crate::error::OncallError;
use crate::settings;
use crate::store;
use crate::store::incidents::{self, Case};
use crate::store::journal::{self, Entry};
use crate::triaging;

/// Decide an incident that was triaged.
pub fn route(id: &str) -> store::Result<()> {
    let state = incidents::lock(id)?;
    if state == "triaged" { route_locked(id) } else { Err(OncallError::NotRoutable { id: id.to_owned(), state }) }
}

/// Decide an incident if it was triaged and not routed yet; whether it was.
pub fn route_if_triaged(id: &str) -> store::Result<bool> {
    let is_triaged = incidents::lock(id)? == "triaged";
    if is_triaged {
        route_locked(id)?;
    }
    Ok(is_triaged)
}

fn route_locked(id: &str) -> store::Result<()> {
    let routed = Routed::settle(id, &incidents::case(id)?)?;
    journal::record(id, triaging::AGENT, journal::last_step(id, triaging::AGENT)? + 1, routed.entry())?;
    incidents::record_route(id, &routed.decision, routed.autonomy)
}

/// A decision that was made for good, not written down yet.
pub struct Routed {
    /// What was decided, and why.
    pub decision: Decision,
    /// The autonomy under which it was.
    pub autonomy: Autonomy,
    took: Duration,
}

impl Routed {
    /// Decide a case. What an autonomous decision spends is held for it until the transaction ends.
    pub fn settle(id: &str, case: &Case) -> store::Result<Self> {
        let started = Instant::now();
        let mut decision = decide(id, case)?;
        if decision.route == Route::Autonomous {
            // Only who would spend waits for the others who would; what they spent may leave nothing.
            incidents::hold_budget()?;
            decision = decide(id, case)?;
        }
        Ok(Self { decision, autonomy: settings::autonomy(), took: started.elapsed() })
    }

    /// How it stands in the journal.
    pub fn entry(&self) -> Entry<'static> {
        let Self { decision, autonomy, took } = self;
        Entry {
            kind: "route",
            request: json!({ "policy_version": decision.policy_version, "autonomy": autonomy.as_str() }),
            outcome: Ok(json!({ "decision": decision.route.as_str(), "conditions": decision.conditions })),
            model: None,
            tokens_in: None,
            tokens_out: None,
            latency: *took,
        }
    }
}

/// The decision on a case by what is true now: a step that was changed since the triage counts as it is now.
pub fn decide(id: &str, case: &Case) -> store::Result<Decision> {
    let untriaged = || OncallError::NotRoutable { id: id.to_owned(), state: "not triaged".to_owned() };
    let triage = case.triage.as_ref().ok_or_else(untriaged)?;
    let facts = incidents::facts(&case.runbooks, &triage.reply.recommended_actions)?;
    // For an alert that nobody could read there is no step, whatever was retrieved for the words that say so.
    let unreadable = case.source.as_deref() == Some(UNREADABLE_SOURCE);
    let steps = if unreadable { Vec::new() } else { facts.steps };
    Ok(policy::decide(&policy::Case {
        triage,
        retrieval: &Retrieval { steps, ..Retrieval::default() },
        policy: policy::select(&facts.policies, case.severity, facts.incident_type.as_deref()),
        breaker: facts.breaker,
        autonomy: settings::autonomy(),
        actions_last_hour: facts.actions_last_hour,
        repeats_last_hour: &facts.repeats_last_hour,
    }))
}
