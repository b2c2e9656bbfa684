//! The only door from an agent to the world.
//!
//! An agent is a plain `async fn` over a [`Host`]: the caller's transaction, a worker, or a script in a test. Every
//! call is journaled by the host under (incident, agent, step number), so an agent must be deterministic between its
//! calls: no clock, no randomness, no iteration over unordered maps.

mod call;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pgvector::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use call::{CallError, Purpose, ToolCall, ToolOutcome};

use crate::alert::Alert;
use crate::page::Page;
use crate::prompt::Prompt;
use crate::redact::Redacted;
use crate::retrieval::Retrieval;

/// Where an agent runs. A failing database raises through the host; only a model's failure is a value.
pub trait Host {
    /// The pod's embedding of a query text; [`ModelError::NoPod`] where the builtin embedder is all there is.
    fn embed(&self, query: &Redacted) -> impl Future<Output = Result<Vector, ModelError>>;

    /// The top k sections for an alert. Without the pod's vector the builtin embedder ranks alone.
    fn retrieve(&self, alert: &Alert, query: &Redacted, pod: Option<Vector>) -> impl Future<Output = Retrieval>;

    /// What the database measured of late: statements and samples, most telling first.
    fn metrics(&self) -> impl Future<Output = Vec<Metric>>;

    /// One question to the chat model; [`ModelError::NoPod`] where there is none.
    fn chat(&self, request: &ChatRequest) -> impl Future<Output = Result<ChatAnswer, ModelError>>;

    /// The time, as the journal will give it again on replay.
    fn now(&self) -> impl Future<Output = Timestamp>;
}

/// Where an agent can also act: the worker, and the script of a test. Never the caller's transaction, since nothing may
/// leave the database before commit.
pub trait ActingHost: Host {
    /// A branch of its own, whose calls are journaled under `agent` with a step counter of their own: so what runs in
    /// parallel finds its own entries again, in whatever order the world answered.
    fn branch(&self, agent: &'static str) -> Self
    where
        Self: Sized;

    /// Run one call: what writes as `oncall_executor` at top level, everything else as `oncall_observer`, read-only. The
    /// intent of what writes is committed first.
    fn run_tool(&self, call: &ToolCall) -> impl Future<Output = ToolOutcome>;

    /// Hand a page to the outbox; the sinks that will get it, best as `kind:name` (`slack:ops`), which the audit row shows
    /// by kind.
    fn deliver(&self, page: &Page) -> impl Future<Output = Vec<String>>;

    /// Let time pass, as between two looks at the world. Not journaled: on replay nobody waits for what has happened.
    fn pause(&self, span: Duration) -> impl Future<Output = ()>;
}

/// One measured figure, as a prompt shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// What was measured, such as `statement: mean_exec_time_ms` or `pgbouncer_cl_waiting`.
    pub name: String,
    /// Its value, with the unit in the name.
    pub value: f64,
    /// What it is about: labels, or the text of a statement. Text from outside.
    pub about: String,
    /// When it was taken, where that is known.
    pub at: Option<Timestamp>,
}

/// A question to a chat model, and the shape that its answer must have.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// What it is for, as in the journal: `triage`, `triage repair`.
    pub purpose: &'static str,
    /// The words.
    pub prompt: Prompt,
    /// The name of the schema, for the dialects that want one.
    pub schema_name: &'static str,
    /// The JSON Schema of the answer, derived from the Rust type. Shared, as the prompt is: who waits holds one copy.
    pub schema: Arc<Value>,
    /// The most tokens that the answer may take.
    pub max_tokens: u32,
}

/// What a chat model answered: text, not yet believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatAnswer {
    /// The text of the first choice.
    pub text: String,
    /// Whether the server says that it was cut off at `max_tokens`.
    pub truncated: bool,
    /// The model, by the server's word.
    pub model: String,
    /// Tokens of the prompt, where the server counts them.
    pub tokens_in: Option<u32>,
    /// Tokens of the answer, where the server counts them.
    pub tokens_out: Option<u32>,
    /// From the first byte sent to the last one read, retries included.
    pub latency: Duration,
}

/// Why a model gave no usable answer. Never raised: the incident escalates and says why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum ModelError {
    /// No pod is configured: the builtin model is the model.
    #[error("no model pod is configured")]
    NoPod,
    /// The egress guard refused to connect.
    #[error("{address} is not among oncall.allowed_hosts")]
    NotAllowed {
        /// The host, or the address that it resolved to.
        address: String,
    },
    /// No connection, or it broke.
    #[error("the model pod cannot be reached: {reason}")]
    Unreachable {
        /// The transport's word.
        reason: String,
    },
    /// A phase took longer than it may.
    #[error("the model pod did not answer in time ({phase})")]
    Timeout {
        /// `resolve`, `connect`, `send`, `response`, `body` or `total`.
        phase: String,
    },
    /// The server answered, but with an error.
    #[error("the model pod answered {status}: {message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// Its error message, cut to size.
        message: String,
    },
    /// The server answered with something that is no answer: not JSON, cut off, empty, too long.
    #[error("the model's answer cannot be used: {reason}")]
    Unusable {
        /// What is wrong with it.
        reason: String,
    },
    /// An embedding has not the length of the column.
    #[error("the embedding has {got} dimensions where the catalogue has {expected}")]
    WrongDimension {
        /// The catalogue's dimension.
        expected: usize,
        /// The model's.
        got: usize,
    },
}
