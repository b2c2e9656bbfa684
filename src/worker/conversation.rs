//! One incident's way through the workers: triage, decision, then work done or a page sent, and the audit row completed.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use oncall_domain::agents::{self, Resolution};
use oncall_domain::alert::Alert;
use oncall_domain::builtin;
use oncall_domain::incident::Incident;
use serde_json::json;

use super::host::{Conversation, WorkerHost, must, queue_page};
use super::reactor::Reactor;
use super::replay::Replay;
use super::suspects::Suspects;
use super::targets::Targets;
use crate::backend::transaction;
use crate::journaled::{self, Found};
use crate::store::dossier::{self, Handled};
use crate::store::incidents;
use crate::store::people::{self, Taken};
use crate::store::work::{self, Purpose, Work};
use crate::store::{self, journal};
use crate::{resolved, routing, triaging};

/// The agent under whose name the end of a piece of work is journaled.
const WORKERS: &str = "workers";

/// Do one piece of work. What cannot be done ends by unwinding, see [`super::host::Halt`].
pub async fn hold(reactor: Reactor, targets: Targets, suspects: Suspects, work: Work) {
    let steps = must(transaction(|| journal::steps(&work.incident)));
    let conversation = Rc::new(Conversation {
        reactor,
        targets,
        suspects,
        work: work.id,
        purpose: work.purpose,
        incident: work.incident.clone(),
        prefix: prefix(&work),
        replay: Replay::new(steps),
        found: RefCell::default(),
    });
    match work.purpose {
        Purpose::Treat => treat(&conversation, &work).await,
        Purpose::ApprovedStep => carry_out(&conversation, &work).await,
    }
}

/// What stands before the agents' names: a second piece of work at an incident is another conversation.
fn prefix(work: &Work) -> String {
    match work.purpose {
        Purpose::Treat => String::new(),
        Purpose::ApprovedStep => format!("approval {}: ", work.approval().unwrap_or_default()),
    }
}

/// The whole way, from wherever the incident stands.
async fn treat(conversation: &Rc<Conversation>, work: &Work) {
    let id = &work.incident;
    let dossier = must(transaction(|| dossier::read(id)));
    // What was begun is looked after to its end, whatever the sender, a window or a switch have said since.
    let begun = conversation.replay.has_action();
    let is_closed = dossier.is_closed() && !begun;
    if dossier.state == "received" {
        triage(conversation, &dossier.alert).await;
    }
    // Read anew below: kept, it would be a second copy for as long as the agents wait.
    drop(dossier);
    if is_closed {
        return end(conversation, work, "it was over before the workers came to it", None);
    }
    if !begun
        && !work.was_held
        && let Some(until) = must(transaction(|| dossier::window_of(id)))
    {
        return must(transaction(|| work::hold(work.id, until)));
    }
    must(transaction(|| routing::route_if_triaged(id)));
    let Some(incident) = must(transaction(|| dossier::read(id)?.incident(id, begun))) else {
        return end(conversation, work, "it was closed before it was decided", None);
    };
    conversation.found.replace(Some(found(&incident)));
    let host = WorkerHost::new(conversation, WORKERS);
    let resolution = agents::treat(&host, &incident, &triaging::limits()).await;
    end(conversation, work, &resolution.summary, Some(&handled(&resolution)));
}

/// What the questions of the agents are logged with.
fn found(incident: &Incident) -> Found {
    let query = agents::triage::query(&incident.alert);
    let vector = builtin::embed(query.as_str());
    Found::new(query, vector, &incident.retrieval)
}

fn handled(resolution: &Resolution) -> Handled<'_> {
    Handled {
        remediation_action: resolution.remediation_action.as_ref(),
        diagnostics: Some(&resolution.diagnostics),
        notification: Some(&resolution.notification),
        escalation: resolution.escalated.as_deref(),
    }
}

/// Triage an incident that came by the inbox, and write down what it comes to.
async fn triage(conversation: &Rc<Conversation>, alert: &Alert) {
    let started = Instant::now();
    let host = WorkerHost::new(conversation, triaging::AGENT);
    let (triage, retrieval) = agents::triage(&host, alert, &triaging::limits()).await;
    let id = &conversation.incident;
    must(transaction(|| {
        let step = journal::last_step(id, triaging::AGENT)? + 1;
        journal::record(id, triaging::AGENT, step, triaging::entry(alert, &triage, started.elapsed()))?;
        if let Some(context) = triaging::builtin_context(&triage) {
            conversation.record_builtin(json!(triage.reply).to_string(), context)?;
        }
        incidents::record_triage(id, &triage, &retrieval, None)
    }));
}

/// Carry out a step that a person approved, if the approval still holds.
async fn carry_out(conversation: &Rc<Conversation>, work: &Work) {
    let Some(number) = work.approval() else {
        return end(conversation, work, "there is no approval", None);
    };
    let Taken { state, approval } = must(transaction(|| people::take_approval(number)));
    let Some(approval) = approval else {
        let why = format!("the approval is {}", state.as_deref().unwrap_or("not there"));
        return end(conversation, work, &why, None);
    };
    let id = &work.incident;
    let Some(incident) = must(transaction(|| dossier::read(id)?.incident(id, false))) else {
        return end(conversation, work, "the incident was never decided", None);
    };
    let host = WorkerHost::new(conversation, "remediation");
    let outcome = agents::carry_out_approved(&host, &incident, &approval).await;
    let handled = Handled { remediation_action: outcome.remediation_action.as_ref(), ..Handled::default() };
    end(conversation, work, &outcome.summary, Some(&handled));
}

/// The end of a piece of work: the audit row is completed, the journal says how, and it is done, all at once.
fn end(conversation: &Conversation, work: &Work, summary: &str, handled: Option<&Handled<'_>>) {
    let id = &work.incident;
    must(transaction(|| {
        if let Some(handled) = handled {
            dossier::record_handled(id, handled)?;
        }
        // It may have been closed while its page was on its way into the outbox, by this pump or by one that died since.
        resolved::tell(std::slice::from_ref(id))?;
        if conversation.replay.has_intent() {
            journal::close_intents(id, "it was begun, and the work ended without looking at what came of it")?;
        }
        record_end(work, Ok(json!({ "summary": summary })))?;
        work::finish(work.id)
    }));
}

fn record_end(work: &Work, outcome: Result<serde_json::Value, serde_json::Value>) -> store::Result<()> {
    let step = journal::last_step(&work.incident, WORKERS)? + 1;
    let request = json!({ "work": work.id, "purpose": work.purpose.as_str(), "attempts": work.attempts });
    let entry = journal::Entry { outcome, ..journaled::done("end", request, json!(null), Duration::ZERO) };
    journal::record(&work.incident, WORKERS, step, entry)
}

/// Nobody tries any more: a person is paged with what is there, by nothing that could fail as the agents did.
pub fn give_up(work: &Work, reason: &str) -> store::Result<()> {
    let id = &work.incident;
    let dossier = dossier::read(id)?;
    let incident = Incident::given_up(id.clone(), dossier.created_at, dossier.alert, reason.to_owned());
    let page = agents::last_resort(&incident, store::transaction_start()?);
    let sinks = queue_page(id, &page)?;
    journal::close_intents(id, reason)?;
    dossier::record_given_up(id, &incident.decision)?;
    let notification = json!({ "page": page.kind, "sinks": sinks, "tracker_id": id });
    let handled = Handled { notification: Some(&notification), escalation: Some(reason), ..Handled::default() };
    dossier::record_handled(id, &handled)?;
    resolved::tell(std::slice::from_ref(id))?;
    record_end(work, Err(json!({ "reason": reason })))?;
    work::give_up(work.id, reason)
}
