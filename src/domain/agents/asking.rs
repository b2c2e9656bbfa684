//! Asks the world the questions that a runbook wrote: guard, verify, measure.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::plain;
use crate::host::{ActingHost, CallError, ToolCall, ToolOutcome};
use crate::redact::redact_json;
use crate::runbook::Step;

/// How long to wait before each further look, where verify says no: the world needs a moment, above all its statistics.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2), Duration::from_secs(4)];

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
        ToolOutcome::Done { rows, .. } if is_false(rows) => Err("it is not true".to_owned()),
        ToolOutcome::Done { rows, .. } => {
            let rows = Value::from(rows.iter().take(3).map(redact_json).collect::<Vec<_>>());
            Err(plain(&format!("it gave {rows}")))
        }
        ToolOutcome::Failed { .. } | ToolOutcome::Unknown { .. } => Err(plain(&told(&outcome))),
    })
}

fn is_false(rows: &[Value]) -> bool {
    let [Value::Object(row)] = rows else { return false };
    row.len() == 1 && row.values().all(|value| *value == Value::Bool(false))
}

/// Verify, looking again a few times.
pub(super) async fn verified(host: &impl ActingHost, step: &Step) -> Option<Result<(), String>> {
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

/// The figures of a step. That they cannot be taken is a figure too, and holds nothing up.
pub(super) async fn figures(host: &impl ActingHost, step: &Step) -> Option<Value> {
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
