//! Diagnostics for people: what the agents may ask of the catalogue, asked by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use oncall_domain::host::ToolOutcome;
use oncall_domain::ids::ToolName;
use oncall_domain::tool::Kind;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value, json};

use crate::error::{Answer, OncallError};
use crate::store::catalogue;
use crate::worker::executor::{self, Command};

const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const MOST_ROWS: u32 = 1000;

/// Run a diagnostic tool in an executor and wait for it: `{"rows": […], "truncated": …}`.
#[pg_extern(schema = "oncall_internal", strict)]
fn run_diagnostic(tool: &str, parameters: JsonB) -> Answer<JsonB> {
    let unknown = || OncallError::NotADiagnostic { tool: tool.to_owned() };
    let catalogue = catalogue::tools()?;
    let known = ToolName::try_from(tool.to_owned()).ok().and_then(|name| catalogue.get(&name));
    let known = known.filter(|tool| tool.kind == Kind::Diagnostic).ok_or_else(unknown)?;
    let parameters: BTreeMap<String, Value> = serde_json::from_value(parameters.0).map_err(|_| {
        OncallError::Argument { argument: "parameters", rule: "an object", value: "something else".to_owned() }
    })?;
    ask(known.render(&parameters).map_err(OncallError::from)?)
}

/// Run a query in an executor, as a guard is run: `{"rows": […], "truncated": …}`.
#[pg_extern(schema = "oncall_internal", strict)]
fn try_guard(guard: String) -> Answer<JsonB> {
    ask(guard)
}

fn ask(sql: String) -> Answer<JsonB> {
    let command = Command {
        job: 0,
        writes: false,
        sql,
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: LOCK_TIMEOUT,
        max_rows: MOST_ROWS,
    };
    match executor::look(&command) {
        ToolOutcome::Done { rows, truncated, .. } => Ok(JsonB(json!({ "rows": rows, "truncated": truncated }))),
        ToolOutcome::Failed { sqlstate, message, detail, hint } => {
            Err(OncallError::Executor { sqlstate, message, detail, hint }.into())
        }
        ToolOutcome::Unknown { reason } => {
            Err(OncallError::Executor { sqlstate: "58000".to_owned(), message: reason, detail: None, hint: None }
                .into())
        }
    }
}
