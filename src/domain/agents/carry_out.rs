//! One step, carried out: guard, action, verify, and the way back where verify says no.
//!
//! The one place that runs an action, for policy and for people alike. The host commits the intent before the action
//! begins, and so nothing here runs twice: an outcome that nobody knows is settled by `verify`, never by a second try.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::answer::plain;
use super::asking::{figures, holds, told, verified};
use super::work::{End, Work};
use crate::host::{ActingHost, ToolCall, ToolOutcome};
use crate::policy::Approved;
use crate::runbook::Step;
use crate::tool::Catalogue;

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
        // What the runbook would have measured shows why.
        work.before = figures(host, step).await;
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
