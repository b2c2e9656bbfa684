//! One incident, as the agents that treat it see it: all that was settled before they start.

use std::sync::Arc;

use jiff::Timestamp;

use crate::alert::Alert;
use crate::builtin;
use crate::ids::StepId;
use crate::policy::{Autonomy, Condition, Decision, Route, Rule};
use crate::retrieval::{Retrieval, Retrieved};
use crate::tool::Catalogue;
use crate::triage::{BUILTIN, Failure, Triage};

/// What the agents start from. The steps and the tools are those of now: what a runbook said when the decision was made
/// counts only as far as it still says so.
#[derive(Debug, Clone)]
pub struct Incident {
    /// Its id, as in `INC-0047`.
    pub id: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What came in.
    pub alert: Alert,
    /// What the triage came to.
    pub triage: Triage,
    /// What was retrieved for it, and the steps of these runbooks.
    pub retrieval: Retrieval,
    /// What the router decided.
    pub decision: Decision,
    /// The tools; one copy for all incidents that are treated at once.
    pub catalogue: Arc<Catalogue>,
}

impl Incident {
    /// An incident of which nothing is known but its alert, since its treatment failed for `reason`: it can be paged, see
    /// [`crate::agents::last_resort`].
    pub fn given_up(id: String, opened_at: Timestamp, alert: Alert, reason: String) -> Self {
        let retrieval = Retrieval::default();
        let triage = Triage {
            by: BUILTIN.to_owned(),
            reply: builtin::triage(&alert, &retrieval),
            failure: Some(Failure::NoAnswer { reason: reason.clone() }),
            repaired: false,
            embedding_failure: None,
        };
        let condition = Condition {
            name: Rule::ModelAnswered,
            value: "given up".to_owned(),
            bound: "answered".to_owned(),
            pass: false,
            reason,
        };
        let decision = Decision::recorded(Route::Escalate, vec![condition], 0, Autonomy::Off, &triage, &retrieval);
        Self { id, opened_at, alert, triage, retrieval, decision, catalogue: Arc::default() }
    }

    /// The section that carries a step, if it was retrieved.
    pub fn section_of(&self, step: &StepId) -> Option<&Retrieved> {
        let carries =
            |section: &&Retrieved| StepId::of(&section.runbook_id, &section.section).is_ok_and(|id| id == *step);
        self.retrieval.sections.iter().find(carries)
    }
}
