//! Alerts in, decisions out: steps 1 to 6 of an alert's way, in the caller's transaction.

use std::time::Instant;

use oncall_domain::agents;
use oncall_domain::alert::{Alert, Severity, Status};
use oncall_domain::intake::{self, Kept};
use oncall_domain::retrieval::Retrieval;
use oncall_domain::triage::Triage;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::json;

use crate::error::{Answer, OncallError};
use crate::host::{self, CallerHost};
use crate::resolved;
use crate::routing::{self, Routed};
use crate::settings;
use crate::store::incidents::{self, Case, Opened};
use crate::store::journal::Batch;
use crate::store::{self, work};
use crate::triaging;

/// Open, join or close an incident for each alert of a payload, JSON as text, and triage the new ones; their ids.
///
/// Not a `JsonB`: that one panics at what is JSON to Postgres and more than serde_json reads, as 1e400 and 200 nested lists.
#[pg_extern(schema = "oncall_internal", strict)]
fn triage(payload: &str) -> Answer<Vec<String>> {
    Ok(triage_all(&intake::read(payload).map_err(OncallError::from)?)?)
}

/// The same for text: a payload that arrived as text, or words.
#[pg_extern(schema = "oncall_internal", strict)]
fn triage_text(payload: &str) -> Answer<Vec<String>> {
    Ok(triage_all(&intake::read_text(payload).map_err(OncallError::from)?)?)
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

fn triage_all(alerts: &[Alert]) -> store::Result<Vec<String>> {
    let mut ids = Vec::new();
    for Accepted { id, triaged, .. } in accept_all(alerts)? {
        if let Some(triaged) = triaged {
            triaged.write(&id)?;
        }
        ids.push(id);
    }
    Ok(ids)
}

/// In the order of the payload: where the budget does not reach for all, it must not be chance who gets it.
fn handle_all(alerts: &[Alert]) -> store::Result<Vec<String>> {
    let mut ids = Vec::new();
    for Accepted { id, triaged, again } in accept_all(alerts)? {
        let routed = match triaged {
            Some(triaged) if !again => triaged.route(&id).map(|()| true)?,
            triaged => {
                triaged.map(|triaged| triaged.write(&id)).transpose()?;
                routing::route_if_triaged(&id)?
            }
        };
        if routed {
            work::queue_treatment(&id)?;
        }
        ids.push(id);
    }
    Ok(ids)
}

/// What became of an alert: its incident, and what a new one was triaged as.
struct Accepted {
    id: String,
    triaged: Option<Triaged>,
    /// Whether the payload has another alert for it, which may have made it worse.
    again: bool,
}

/// A triage that is not written down yet: a decision may be written along with it, for half the price.
struct Triaged {
    severity: Option<Severity>,
    source: String,
    triage: Triage,
    retrieval: Retrieval,
    journal: Batch,
}

impl Triaged {
    fn write(self, id: &str) -> store::Result<()> {
        self.journal.write(id, triaging::AGENT, 1)?;
        incidents::record_triage(id, &self.triage, &self.retrieval, None)
    }

    /// Decide it, and write down both.
    fn route(self, id: &str) -> store::Result<()> {
        let Self { severity, source, triage, retrieval, mut journal } = self;
        let runbooks = retrieval.runbooks();
        let case = Case { source: Some(source), severity, triage: Some(triage), runbooks };
        let routed = Routed::settle(id, &case)?;
        journal.push(routed.entry());
        journal.write(id, triaging::AGENT, 1)?;
        let decided = Some((&routed.decision, routed.autonomy));
        let triage = case.triage.as_ref().expect("it was put there above");
        incidents::record_triage(id, triage, &retrieval, decided)
    }
}

/// What became of each alert, in the order of the payload, each incident once.
///
/// The work is done in the order of the fingerprints: two payloads that share alerts then wait for each other at most,
/// where in any two orders each could hold what the other needs next.
fn accept_all(alerts: &[Alert]) -> store::Result<Vec<Accepted>> {
    let mut order: Vec<usize> = (0..alerts.len()).collect();
    order.sort_by_key(|&place| &alerts[place].fingerprint);
    let mut accepted: Vec<(usize, Accepted)> = Vec::with_capacity(alerts.len());
    for place in order {
        accepted.extend(accept(&alerts[place])?.map(|accepted| (place, accepted)));
    }
    accepted.sort_by_key(|&(place, _)| place);
    // The first of its incident is the one that opened it.
    let mut each: Vec<Accepted> = Vec::with_capacity(accepted.len());
    for (_, next) in accepted {
        match each.iter_mut().find(|one| one.id == next.id) {
            Some(one) => one.again = true,
            None => each.push(next),
        }
    }
    Ok(each)
}

/// One alert: it opens an incident, joins one, or closes one. Nothing to close is no incident.
fn accept(alert: &Alert) -> store::Result<Option<Accepted>> {
    if alert.status == Status::Resolved {
        let closed = incidents::resolve(&alert.fingerprint)?;
        if closed.is_none() {
            notice!("no open incident has the fingerprint {}: nothing to resolve", alert.fingerprint);
        }
        resolved::tell(closed.as_slice())?;
        return Ok(closed.map(|id| Accepted { id, triaged: None, again: false }));
    }
    Ok(Some(match incidents::open(alert, &Kept::of(alert), settings::dedup_window_s())? {
        Opened::Joined(id) => Accepted { id, triaged: None, again: false },
        Opened::New(id) => {
            let triaged = triage_incident(&id, alert);
            Accepted { id, triaged: Some(triaged), again: false }
        }
    }))
}

fn triage_incident(id: &str, alert: &Alert) -> Triaged {
    let started = Instant::now();
    let host = CallerHost::new(id);
    let (triage, retrieval) = host::run(agents::triage::triage(&host, alert, &triaging::limits()));
    if let Some(context) = triaging::builtin_context(&triage) {
        host.record_builtin(json!(triage.reply).to_string(), context);
    }
    host.record(triaging::entry(alert, &triage, started.elapsed()));
    let journal = host.into_journal();
    Triaged { severity: alert.severity, source: alert.source.clone(), triage, retrieval, journal }
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
    let decision = routing::decide(incident_id, &incidents::case(incident_id)?)?;
    Ok(JsonB(json!(decision.conditions)))
}
