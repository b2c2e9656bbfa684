//! One step, carried out: guard, action, verify, and the way back where verify says no.
//!
//! The one place that runs an action, for policy and for people alike. The host commits the intent before the action
//! begins, and so nothing here runs twice: an outcome that nobody knows is settled by `verify`, never by a second try.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::plain;
use crate::host::{ActingHost, CallError, ToolCall, ToolOutcome};
use crate::ids::{StepId, ToolName};
use crate::policy::{Approved, ApprovedBy};
use crate::redact::redact_json;
use crate::runbook::Step;
use crate::tool::Catalogue;

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

    fn begun(step: &Step, approved: &Approved) -> Self {
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

    fn because(mut self, end: End, reason: impl ToString) -> Self {
        self.end = end;
        self.reason = Some(plain(&reason));
        self
    }
}

/// How long to wait before each further look, where verify says no: the world needs a moment, above all its statistics.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2), Duration::from_secs(4)];

/// How long to wait before the figures are taken again: clients that waited need a moment to be served.
const SETTLE: Duration = Duration::from_secs(1);

/// Carry out one approved step with the values that were chosen for it; under `dry` only look and plan.
pub(super) async fn carry_out(
    host: &impl ActingHost,
    approved: &Approved,
    step: &Step,
    chosen: &BTreeMap<String, Value>,
    catalogue: &Catalogue,
    dry: bool,
) -> Work {
    let mut work = Work::begun(step, approved);
    let action = match ToolCall::action(approved, step, chosen, catalogue) {
        Ok(action) => action,
        Err(error) => return work.because(End::NotBegun, error),
    };
    work.parameters = action.parameters().clone();
    work.target = action.target().map(str::to_owned);

    if let Some(Err(refusal)) = holds(host, ToolCall::guard(step)).await {
        if let Some(Ok(())) = holds(host, ToolCall::verify(step)).await {
            work.verified = Some(true);
            return work
                .because(End::AlreadySo, format!("The guard says no ({refusal}), and verify says yes already."));
        }
        return work.because(End::Refused, format!("The guard says no: {refusal}."));
    }
    work.before = figures(host, step).await;
    if dry {
        work.follow_up = step.follow_up.clone();
        return work.because(End::Planned, "oncall.autonomy is dry_run: nothing was touched.");
    }
    let outcome = host.run_tool(&action).await;
    work.settle(host, step, &action, catalogue, outcome).await
}

impl Work {
    /// From the outcome of the action to the end of the work.
    async fn settle(
        mut self,
        host: &impl ActingHost,
        step: &Step,
        action: &ToolCall,
        catalogue: &Catalogue,
        outcome: ToolOutcome,
    ) -> Self {
        let trouble = Trouble::of(&outcome);
        if let ToolOutcome::Done { warnings, .. } = outcome {
            self.warnings = warnings.iter().take(10).map(plain).collect();
        }
        if let Some(Trouble::NotDone(reason)) = &trouble {
            return self.because(End::Failed, reason);
        }
        // What failed has failed; what ended well, or unseen, may need a moment to show.
        let verified = match trouble {
            Some(Trouble::Failed(_)) => holds(host, ToolCall::verify(step)).await,
            _ => verified(host, step).await,
        };
        self.verified = verified.as_ref().map(Result::is_ok);
        let (end, reason) = match (trouble, verified) {
            (None, None | Some(Ok(()))) => (End::Done, None),
            (None, Some(Err(no))) => (End::Failed, Some(format!("It was carried out, but verify says no: {no}."))),
            (Some(Trouble::NobodyKnows(why)), Some(Ok(()))) => {
                (End::Done, Some(format!("Nobody saw how it ended ({why}); verify says that it did what it should.")))
            }
            (Some(Trouble::NobodyKnows(why)), _) => {
                (End::Unknown, Some(format!("Nobody knows whether it was carried out ({why}); it is not tried again.")))
            }
            (Some(Trouble::Failed(why) | Trouble::NotDone(why)), _) => (End::Failed, Some(why)),
        };
        (self.end, self.reason) = (end, reason.map(|reason| plain(&reason)));
        if end != End::Done && self.verified != Some(true) {
            self.rollback = roll_back(host, step, action, catalogue).await;
        }
        if end == End::Done {
            self.follow_up = step.follow_up.clone();
        }
        if self.before.is_some() {
            host.pause(SETTLE).await;
            self.after = figures(host, step).await;
        }
        self
    }
}

/// What went wrong with an action.
enum Trouble {
    /// The server refused the statement: there is nothing to look for and nothing to undo.
    NotDone(String),
    /// It failed on its way: something may be left of it, such as an invalid index.
    Failed(String),
    /// A crash between intent and outcome.
    NobodyKnows(String),
}

impl Trouble {
    fn of(outcome: &ToolOutcome) -> Option<Self> {
        match outcome {
            // VACUUM says so in a warning, and nothing else does: "skipping …, only the owner can vacuum it".
            ToolOutcome::Done { warnings, .. } => warnings
                .iter()
                .find(|warning| warning.contains("skipping"))
                .map(|warning| Self::NotDone(format!("The server left out what it should do: {warning}"))),
            // Class 42, syntax error or access rule violation: found before anything is done.
            ToolOutcome::Failed { sqlstate, .. } if sqlstate.starts_with("42") => Some(Self::NotDone(told(outcome))),
            ToolOutcome::Failed { .. } => Some(Self::Failed(told(outcome))),
            ToolOutcome::Unknown { reason } => Some(Self::NobodyKnows(reason.clone())),
        }
    }
}

/// What the server says of a failure, as one sentence, with the hint that tells which GRANT is missing.
pub(super) fn told(outcome: &ToolOutcome) -> String {
    match outcome {
        ToolOutcome::Done { .. } => "it was carried out".to_owned(),
        ToolOutcome::Unknown { reason } => reason.clone(),
        ToolOutcome::Failed { sqlstate, message, detail, hint } => {
            let more = [("", detail), ("hint: ", hint)];
            let more = more.iter().filter_map(|(name, text)| Some(format!("; {name}{}", text.as_ref()?)));
            format!("{message} ({sqlstate}){}", more.collect::<String>())
        }
    }
}

/// Ask a query of a step; none where it has none, an error that says why it is no yes.
pub(super) async fn holds(
    host: &impl ActingHost,
    query: Result<Option<ToolCall>, CallError>,
) -> Option<Result<(), String>> {
    let query = match query {
        Ok(query) => query?,
        Err(error) => return Some(Err(plain(&error))),
    };
    let outcome = host.run_tool(&query).await;
    Some(match &outcome {
        _ if outcome.is_true() => Ok(()),
        ToolOutcome::Done { rows, .. } => {
            let rows = Value::from(rows.iter().take(3).map(redact_json).collect::<Vec<_>>());
            Err(plain(&format!("it gave {rows}")))
        }
        ToolOutcome::Failed { .. } | ToolOutcome::Unknown { .. } => Err(plain(&told(&outcome))),
    })
}

/// Verify, looking again a few times.
async fn verified(host: &impl ActingHost, step: &Step) -> Option<Result<(), String>> {
    let mut answer = holds(host, ToolCall::verify(step)).await?;
    for wait in LOOKS {
        if answer.is_ok() {
            break;
        }
        host.pause(wait).await;
        answer = holds(host, ToolCall::verify(step)).await?;
    }
    Some(answer)
}

/// Take the way back, if the runbook knows one; how it went.
async fn roll_back(host: &impl ActingHost, step: &Step, action: &ToolCall, catalogue: &Catalogue) -> Option<String> {
    match ToolCall::rollback(step, action, catalogue) {
        Ok(None) => None,
        Err(error) => Some(plain(&format!("not begun: {error}"))),
        Ok(Some(call)) => Some(match host.run_tool(&call).await {
            ToolOutcome::Done { .. } => "done".to_owned(),
            outcome @ ToolOutcome::Failed { .. } => plain(&format!("failed: {}", told(&outcome))),
            ToolOutcome::Unknown { reason } => plain(&format!("unknown: {reason}")),
        }),
    }
}

/// The figures of a step. That they cannot be taken is a figure too, and holds nothing up.
async fn figures(host: &impl ActingHost, step: &Step) -> Option<Value> {
    let call = match ToolCall::measure(step) {
        Ok(call) => call?,
        Err(error) => return Some(json!({ "error": plain(&error) })),
    };
    Some(match host.run_tool(&call).await {
        ToolOutcome::Done { rows, .. } => match rows.first() {
            Some(row) if row.to_string().len() <= 2000 => redact_json(row),
            Some(_) => json!({ "error": "the measure gives more than 2,000 bytes" }),
            None => json!({ "error": "the measure gives no row" }),
        },
        outcome => json!({ "error": plain(&told(&outcome)) }),
    })
}
