//! Every error that a user can meet: its SQLSTATE, what was wrong, and what to do about it.

use oncall_domain::host::{CallError, ModelError};
use oncall_domain::intake::Unreadable;
use oncall_domain::redact::redact;
use oncall_domain::runbook::RunbookError;
use oncall_domain::tool::{StepError, ToolError};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::{ErrorReport, ErrorReportable};

use crate::backend::{self, SqlError};

/// What an SQL function gives: a value, or a report for the client.
pub type Answer<T> = Result<T, ErrorReport>;

/// Everything that raises. A failing model is not among these: an incident escalates and says why.
#[derive(Debug, thiserror::Error)]
pub enum OncallError {
    #[error("pg_oncall must be preloaded")]
    NotPreloaded,
    #[error(transparent)]
    Payload(#[from] Unreadable),
    #[error(transparent)]
    Runbook(#[from] RunbookError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("a step is not valid: {reason}")]
    StepShape { reason: String },
    #[error("a tool is not valid: {reason}")]
    ToolShape { reason: String },
    #[error("{what} has {bytes} bytes; at most {most} are read")]
    TooLarge { what: &'static str, bytes: usize, most: usize },
    #[error("there is no incident {id:?}")]
    NoSuchIncident { id: String },
    #[error("the incident of fingerprint {fingerprint} is opened and closed by other sessions all the time")]
    Contended { fingerprint: String },
    #[error("incident {id} cannot be routed: its state is {state}")]
    NotRoutable { id: String, state: String },
    #[error("no step {step:?} is on offer for incident {incident}")]
    NotOnOffer { incident: String, step: String, offered: Vec<String> },
    #[error("{problem}")]
    Unplanned { problem: Box<CallError>, open: Vec<String> },
    #[error("{argument} must be {rule}, not {value}")]
    Argument { argument: &'static str, rule: &'static str, value: String },
    #[error("the embedding model gives vectors of {got} dimensions, the column embedding has {expected}")]
    WrongDimension { expected: usize, got: usize },
    #[error("the runbooks are embedded by {found}, but the embedding model is {expected}")]
    MixedModels { found: String, expected: String },
    #[error("the embedding model failed: {}", redact(&.0.to_string()).as_str())]
    Embedding(ModelError),
    #[error("the sink cannot be used: {reason}")]
    Sink { reason: String },
    #[error("oncall.{setting} cannot be used: {reason}")]
    Setting { setting: &'static str, reason: String },
    #[error("rows of {table} are never changed")]
    AppendOnly { table: String },
    #[error("the catalogue answers unexpectedly: {reason}")]
    Catalogue { reason: String },
    #[error("a statement failed: {0}")]
    Spi(#[from] pgrx::spi::Error),
    #[error("tool {tool} is not a diagnostic")]
    NotADiagnostic { tool: String },
    #[error("{message}")]
    Executor { sqlstate: String, message: String, detail: Option<String>, hint: Option<String> },
    #[error("a transaction of a worker was rolled back: {0}")]
    Sql(#[from] SqlError),
}

impl OncallError {
    fn code(&self) -> PgSqlErrorCode {
        use PgSqlErrorCode as Code;
        match self {
            Self::NotPreloaded | Self::NotRoutable { .. } | Self::MixedModels { .. } => {
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Self::Payload(Unreadable::TooLarge(_)) | Self::TooLarge { .. } => Code::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Self::Payload(_)
            | Self::Runbook(_)
            | Self::Step(_)
            | Self::StepShape { .. }
            | Self::ToolShape { .. }
            | Self::Tool(_)
            | Self::Unplanned { .. }
            | Self::Sink { .. }
            | Self::Argument { .. } => Code::ERRCODE_INVALID_PARAMETER_VALUE,
            Self::NoSuchIncident { .. } | Self::NotOnOffer { .. } => Code::ERRCODE_NO_DATA_FOUND,
            // By this code clients know that to try again may help.
            Self::Contended { .. } => Code::ERRCODE_T_R_SERIALIZATION_FAILURE,
            Self::WrongDimension { .. } => Code::ERRCODE_DATATYPE_MISMATCH,
            Self::Embedding(_) => Code::ERRCODE_CONNECTION_FAILURE,
            Self::Setting { .. } => Code::ERRCODE_CONFIG_FILE_ERROR,
            Self::AppendOnly { .. } => Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
            Self::Catalogue { .. } | Self::Spi(_) => Code::ERRCODE_INTERNAL_ERROR,
            Self::Sql(error) => error.code,
            Self::NotADiagnostic { .. } => Code::ERRCODE_INVALID_PARAMETER_VALUE,
            Self::Executor { sqlstate, .. } => backend::code(sqlstate),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::NotOnOffer { offered, .. } => Some(if offered.is_empty() {
                "No runbook with a step was retrieved for it.".to_owned()
            } else {
                format!("The steps of the runbooks that were retrieved for it: {}.", offered.join(", "))
            }),
            Self::Unplanned { open, .. } if !open.is_empty() => {
                Some(format!("The runbook leaves open: {}.", open.join(", ")))
            }
            Self::Sql(error) => error.detail.clone(),
            Self::Executor { detail, .. } => detail.clone(),
            Self::Payload(Unreadable::Alert(error)) => error.detail(),
            Self::Payload(Unreadable::TooLarge(_)) | Self::TooLarge { .. } => {
                Some("Nothing can interrupt the reading of JSON, so there is a limit to it.".to_owned())
            }
            Self::NotPreloaded => {
                Some("The library was loaded by a session; its settings belong to the whole server.".to_owned())
            }
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotPreloaded => {
                "Add this line to postgresql.conf (after a comma, if others are listed already) and restart the server: \
                 shared_preload_libraries = 'pg_oncall'"
            }
            Self::Sql(error) => return error.hint.clone(),
            Self::Executor { hint, .. } => return hint.clone(),
            Self::NotADiagnostic { .. } => {
                "SELECT name, summary, parameters FROM oncall.tool WHERE kind = 'diagnostic'"
            }
            Self::Payload(unreadable) => return Some(unreadable.hint()),
            Self::Step(_) | Self::StepShape { .. } | Self::Tool(_) => {
                "The tools and their parameters are in the table oncall.tool: SELECT name, parameters FROM oncall.tool"
            }
            Self::ToolShape { .. } => "What a tool looks like: \\d+ oncall.tool",
            Self::TooLarge { .. } => "Split it: a runbook is about one kind of incident.",
            Self::NoSuchIncident { .. } => {
                "The latest ones: SELECT incident_id, alert_text FROM oncall.incident_audit ORDER BY created_at DESC LIMIT 10"
            }
            Self::NotOnOffer { incident, .. } => {
                return Some(format!(
                    "What waits for a person: SELECT * FROM oncall.steps_to_approve WHERE incident_id = '{incident}'"
                ));
            }
            Self::Unplanned { open, .. } if open.is_empty() => {
                "The runbook fixes every parameter of this step: give none."
            }
            Self::Unplanned { .. } => {
                "Give a value for each, and for nothing else: oncall.approve_step(incident, step, '{\"name\": value}')"
            }
            Self::Contended { .. } => "Nothing was written. Send the alert again.",
            Self::NotRoutable { id, .. } => {
                return Some(format!("What was decided: SELECT * FROM oncall.explain_route('{id}')"));
            }
            Self::WrongDimension { .. } | Self::MixedModels { .. } => {
                "Re-embed the runbooks with the model in use, column and index included: SELECT * FROM oncall.reembed_runbooks()"
            }
            Self::Sink { reason } if reason.contains("the scheme ") => "A URL begins with http:// or https://.",
            Self::Sink { reason } if reason.contains("is not allowed") => {
                "Add the host, and the addresses that it resolves to, to oncall.allowed_hosts, if pages may go there."
            }
            Self::Sink { reason } if reason.contains("oncall.allowed_hosts cannot be used") => {
                "What it may hold: SELECT short_desc, extra_desc FROM pg_settings WHERE name = 'oncall.allowed_hosts'"
            }
            Self::Sink { reason } if reason.contains("secret_file \"") || reason.contains("secret_directory") => {
                "A file in the directory that a superuser sets (ALTER SYSTEM SET oncall.secret_directory = '/…'), of mode \
                 0600 and the server's user."
            }
            Self::Sink { .. } => "What a sink looks like: \\d+ oncall.sink",
            Self::Embedding(ModelError::NotAllowed { .. }) => {
                "Add the host, and the addresses that it resolves to, to oncall.allowed_hosts, if data may go there."
            }
            Self::Embedding(_) => {
                "Nothing was written. Try again when the pod answers, or SET oncall.embedding_model = 'builtin' and run \
                 SELECT * FROM oncall.reembed_runbooks()"
            }
            Self::AppendOnly { table } if table == "oncall.router_policy" => {
                "Policies are versioned: insert a new row instead of changing an old one."
            }
            Self::AppendOnly { .. } => "The audit is append-only: only the extension itself writes it.",
            Self::Runbook(_) | Self::Argument { .. } | Self::Setting { .. } | Self::Catalogue { .. } | Self::Spi(_) => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

impl From<OncallError> for ErrorReport {
    #[track_caller]
    fn from(error: OncallError) -> Self {
        let mut report = ErrorReport::new(error.code(), error.to_string(), "oncall");
        if let Some(detail) = error.detail() {
            report = report.set_detail(detail);
        }
        match error.hint() {
            Some(hint) => report.set_hint(hint),
            None => report,
        }
    }
}

/// Raise `error` where there is no `Result` to return it in: in callbacks that the server makes.
#[track_caller]
pub fn raise(error: OncallError) -> ! {
    let report: Result<(), ErrorReport> = Err(error.into());
    report.unwrap_or_report();
    unreachable!("reporting an error does not return")
}
