//! The router at work: it reads the case, decides, and writes the decision down, in the transaction that it finds.

use std::time::Instant;

use oncall_domain::alert::UNREADABLE_SOURCE;
use oncall_domain::policy::{self, Decision, Route};
use oncall_domain::retrieval::Retrieval;
use serde_json::json;

use crate::error::OncallError;
use crate::settings;
use crate::store::incidents::{self, Facts};
use crate::store::journal::{self, Entry};
use crate::store::{self, catalogue};
use crate::triaging;

/// Decide an incident that was triaged.
pub fn route(id: &str) -> store::Result<Decision> {
    let state = incidents::lock(id)?;
    if state == "triaged" { route_locked(id) } else { Err(OncallError::NotRoutable { id: id.to_owned(), state }) }
}

/// Decide an incident if it was triaged and not routed yet.
pub fn route_if_triaged(id: &str) -> store::Result<Option<Decision>> {
    if incidents::lock(id)? == "triaged" { route_locked(id).map(Some) } else { Ok(None) }
}

fn route_locked(id: &str) -> store::Result<Decision> {
    let started = Instant::now();
    let (facts, mut decision) = decide(id)?;
    if decision.route == Route::Autonomous {
        // Only who would spend waits for the others who would; what they spent may leave nothing.
        incidents::hold_budget()?;
        (_, decision) = decide(id)?;
    }
    let autonomy = settings::autonomy();
    let entry = Entry {
        kind: "route",
        request: json!({ "policy_version": decision.policy_version, "autonomy": autonomy.as_str() }),
        outcome: Ok(json!({ "decision": decision.route.as_str(), "conditions": decision.conditions })),
        model: None,
        tokens_in: None,
        tokens_out: None,
        latency: started.elapsed(),
    };
    journal::record(id, triaging::AGENT, facts.last_step + 1, entry)?;
    incidents::record_route(id, &decision, autonomy)?;
    Ok(decision)
}

/// The decision on an incident by what is true now: a step that was changed since the triage counts as it is now.
pub fn decide(id: &str) -> store::Result<(Facts, Decision)> {
    let facts = incidents::facts(id, triaging::AGENT)?;
    let case = &facts.case;
    let untriaged = || OncallError::NotRoutable { id: id.to_owned(), state: "not triaged".to_owned() };
    let triage = case.triage.as_ref().ok_or_else(untriaged)?;
    // For an alert that nobody could read there is no step, whatever was retrieved for the words that say so.
    let unreadable = case.source.as_deref() == Some(UNREADABLE_SOURCE);
    let steps = if unreadable { Vec::new() } else { catalogue::steps_of(&case.runbooks)? };
    let retrieval = Retrieval { steps, ..Retrieval::default() };
    let decision = policy::decide(&policy::Case {
        triage,
        retrieval: &retrieval,
        policy: policy::select(&facts.policies, case.severity, case.incident_type.as_deref()),
        breaker: facts.breaker,
        autonomy: settings::autonomy(),
        actions_last_hour: facts.actions_last_hour,
        repeats_last_hour: &facts.repeats_last_hour,
    });
    Ok((facts, decision))
}
