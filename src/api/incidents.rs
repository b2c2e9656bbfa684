//! Alerts in, decisions out: steps 1 to 6 of an alert's way, in the caller's transaction.

use std::time::Instant;

use oncall_domain::agents;
use oncall_domain::alert::{Alert, Status};
use oncall_domain::intake::{self, Kept};
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::json;

use crate::error::{Answer, OncallError};
use crate::host::{self, CallerHost};
use crate::routing;
use crate::settings;
use crate::store::incidents::{self, Opened};
use crate::store::{self, work};
use crate::triaging;

/// Open, join or close an incident for each alert of a payload, JSON as text, and triage the new ones; their ids.
///
/// Not a `JsonB`: that one panics at what is JSON to Postgres and more than serde_json reads, as 1e400 and 200 nested lists.
#[pg_extern(schema = "oncall_internal", strict)]
fn triage(payload: &str) -> Answer<Vec<String>> {
    Ok(accept_all(&intake::read(payload).map_err(OncallError::from)?)?)
}

/// The same for text: a payload that arrived as text, or words.
#[pg_extern(schema = "oncall_internal", strict)]
fn triage_text(payload: &str) -> Answer<Vec<String>> {
    Ok(accept_all(&intake::read_text(payload).map_err(OncallError::from)?)?)
}

/// Triage the alerts of a payload, JSON as text, and route what is not routed yet; the ids of their incidents.
#[pg_extern(schema = "oncall_internal", strict)]
fn handle(payload: &str) -> Answer<Vec<String>> {
    Ok(handle_all(&intake::read(payload).map_err(OncallError::from)?)?)
}

/// The same for text: a payload that arrived as text, or words.
#[pg_extern(schema = "oncall_internal", strict)]
fn handle_text(payload: &str) -> Answer<Vec<String>> {
    Ok(handle_all(&intake::read_text(payload).map_err(OncallError::from)?)?)
}

/// In the order of the payload: where the budget does not reach for all, it must not be chance who gets it.
fn handle_all(alerts: &[Alert]) -> store::Result<Vec<String>> {
    let ids = accept_all(alerts)?;
    for id in &ids {
        if routing::route_if_triaged(id)?.is_some() {
            work::queue_treatment(id)?;
        }
    }
    Ok(ids)
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
    match incidents::open(alert, &Kept::of(alert), settings::dedup_window_s())? {
        Opened::Joined(id) => Ok(Some(id)),
        Opened::New(id) => {
            triage_incident(&id, alert)?;
            Ok(Some(id))
        }
    }
}

fn triage_incident(id: &str, alert: &Alert) -> store::Result<()> {
    let started = Instant::now();
    let host = CallerHost::new(id, triaging::AGENT);
    let (triage, retrieval) = host::run(agents::triage::triage(&host, alert, &triaging::limits()));
    if let Some(context) = triaging::builtin_context(&triage) {
        host.record_builtin(json!(triage.reply).to_string(), context);
    }
    host.record(triaging::entry(alert, &triage, started.elapsed()));
    host.write_journal()?;
    incidents::record_triage(id, &triage, &retrieval)
}

/// Decide an incident that was triaged, write the decision down, and queue what follows from it.
#[pg_extern(schema = "oncall_internal", strict)]
fn route(incident_id: &str) -> Answer<()> {
    routing::route(incident_id)?;
    work::queue_treatment(incident_id)?;
    Ok(())
}

/// What the router would decide now: every condition, as an array.
#[pg_extern(schema = "oncall_internal", strict)]
fn conditions(incident_id: &str) -> Answer<JsonB> {
    let decision = routing::decide(incident_id)?.1;
    Ok(JsonB(json!(decision.conditions)))
}
