//! What becomes of a step, as the audit row, the page and the journal's end have it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::plain;
use crate::ids::{StepId, ToolName};
use crate::policy::{Approved, ApprovedBy};
use crate::runbook::Step;

/// How the work on a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was carried out, and verify says yes, or the runbook knows no verify.
    Done,
    /// There was nothing to do: the guard says no, since what verify asks for holds already.
    AlreadySo,
    /// It would have been carried out; under `dry_run` nothing is.
    Planned,
    /// The guard says no: the world is not as the runbook assumes.
    Refused,
    /// The guard says no since a step before it was carried out: that one was enough.
    NotNeeded,
    /// It could not even be begun: it does not fit the catalogue, or nobody chose what it leaves open.
    NotBegun,
    /// It failed, or verify says no.
    Failed,
    /// Nobody knows whether it ran, and verify does not say that it did.
    Unknown,
    /// A step before it ended badly.
    NotReached,
}

impl End {
    /// As the audit row has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::AlreadySo => "already_so",
            Self::Planned => "planned",
            Self::Refused => "refused",
            Self::NotNeeded => "not_needed",
            Self::NotBegun => "not_begun",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotReached => "not_reached",
        }
    }

    /// Whether the step may still be wanted, by a person's word.
    pub(super) fn wants_a_person(self) -> bool {
        matches!(self, Self::NotBegun | Self::NotReached | Self::Failed)
    }

    /// Whether a person has to look.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Refused | Self::NotBegun | Self::Failed | Self::Unknown)
    }
}

/// What became of one step: what, before, after, and whether it helped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// The step.
    pub step: StepId,
    /// Its tool.
    pub tool: ToolName,
    /// The values it ran with; empty where it was not begun.
    pub parameters: BTreeMap<String, Value>,
    /// What it worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How it ended.
    pub end: End,
    /// Why, in sentences, where that needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The runbook's figures before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The same figures afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// What verify says; none where there is none, or it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// What the server warned of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How the way back went, where it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
    /// What a person has to do so that it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<String>,
    /// The person who approved it; none where policy did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}

impl Work {
    /// The work on a step that ended before it began.
    pub(super) fn ended(step: &Step, approved: &Approved, end: End, reason: impl ToString) -> Self {
        Self { end, reason: Some(plain(&reason)), ..Self::begun(step, approved) }
    }

    pub(super) fn begun(step: &Step, approved: &Approved) -> Self {
        let approved_by = match approved.by() {
            ApprovedBy::Policy(_) => None,
            ApprovedBy::Person { name, .. } => Some(name.clone()),
        };
        Self {
            step: step.id.clone(),
            tool: step.tool.clone(),
            parameters: BTreeMap::new(),
            target: None,
            end: End::NotReached,
            reason: None,
            before: None,
            after: None,
            verified: None,
            warnings: Vec::new(),
            rollback: None,
            follow_up: None,
            approved_by,
        }
    }

    /// The same of a step before which another one was carried out. The remedies of a runbook stand for the same trouble:
    /// where one has ended it, the guard of the next says no, and nobody has to look.
    pub(super) fn after_another(self) -> Self {
        match self.end {
            End::Refused => {
                let refusal = self.reason.clone().unwrap_or_default();
                self.because(End::NotNeeded, format!("A step before it was carried out. {refusal}"))
            }
            _ => self,
        }
    }

    pub(super) fn because(mut self, end: End, reason: impl ToString) -> Self {
        self.end = end;
        self.reason = Some(plain(&reason));
        self
    }
}
