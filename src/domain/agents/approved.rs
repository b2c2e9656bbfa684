//! Carries out one step that a person approved.

use super::carry_out::carry_out;
use super::paging;
use super::synthesis::remediation_action;
use super::work::{End, Work};
use crate::host::ActingHost;
use crate::incident::Incident;
use crate::page::PageKind;
use crate::policy::{Approval, Approved};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What came of an approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalOutcome {
    /// What became of the step; none where there is no such step any more.
    pub work: Option<Work>,
    /// The same as `incident_audit.remediation_action` has it.
    pub remediation_action: Option<Value>,
    /// The sinks that are told.
    pub sinks: Vec<String>,
    /// The outcome in a sentence.
    pub summary: String,
}

/// Carry out what was approved, if it still is what was approved.
///
/// Whatever `oncall.autonomy` says: that is about what is done without asking, and this was asked. The guard is looked at
/// all the same; a person may have been asleep for half an hour.
pub async fn carry_out_approved(host: &impl ActingHost, incident: &Incident, approval: &Approval) -> ApprovalOutcome {
    let approved = Approved::by_person(approval);
    let work = match incident.retrieval.step(approval.step.as_str()) {
        Some(step) => Some(carry_out(host, &approved, step, &approval.parameters, &incident.catalogue, false).await),
        None => None,
    };
    let outcome = match &work {
        Some(work) if work.end == End::Done => "was carried out".to_owned(),
        Some(work) => format!("was not carried out: {}", work.reason.as_deref().unwrap_or(work.end.as_str())),
        None => "is not there any more".to_owned(),
    };
    let summary = format!("Step {}, approved by {}, {outcome}", approval.step, approval.approved_by);
    let now = host.now().await;
    let mut page = paging::page(incident, PageKind::ApprovalOutcome, now);
    page.title = summary.clone();
    page.done = paging::done(work.as_slice());
    page.recommended = paging::follow_ups(work.as_slice());
    let sinks = host.deliver(&page.clean()).await;
    let remediation_action = work.as_ref().map(|work| remediation_action(std::slice::from_ref(work)));
    ApprovalOutcome { work, remediation_action, sinks, summary }
}
