//! `incident_step`: every call of an agent, its request and its outcome; and `inference_audit_log`, one row an inference.

use std::time::Duration;

use pgvector::Vector;
use serde::Deserialize;
use serde_json::Value;

use super::{Result, jsonb, reals, statement, writing};

/// One entry of the journal.
#[derive(Debug)]
pub struct Entry<'a> {
    /// What was called: `embed`, `retrieve`, `metrics`, `chat`, `route`.
    pub kind: &'static str,
    /// What was asked.
    pub request: Value,
    /// What came of it: a value, or the model's error.
    pub outcome: std::result::Result<Value, Value>,
    /// The model that answered.
    pub model: Option<&'a str>,
    /// Tokens of the question.
    pub tokens_in: Option<u32>,
    /// Tokens of the answer.
    pub tokens_out: Option<u32>,
    /// How long it took.
    pub latency: Duration,
}

fn tokens(count: Option<u32>) -> Option<i32> {
    count.map(|n| i32::try_from(n).unwrap_or(i32::MAX))
}

/// Write `entry` under (incident, agent, step).
pub fn record(incident: &str, agent: &str, step: i32, entry: Entry<'_>) -> Result<()> {
    let (status, outcome) = match entry.outcome {
        Ok(value) => ("done", value),
        Err(error) => ("failed", error),
    };
    statement!("record_step").write(&[
        incident.into(),
        agent.into(),
        step.into(),
        entry.kind.into(),
        jsonb(&entry.request)?,
        status.into(),
        jsonb(&outcome)?,
        entry.model.map(str::to_owned).into(),
        tokens(entry.tokens_in).into(),
        tokens(entry.tokens_out).into(),
        (entry.latency.as_secs_f64() * 1000.0).into(),
    ])?;
    Ok(())
}

/// The number of the last step that `agent` took on `incident`; 0 before the first.
pub fn last_step(incident: &str, agent: &str) -> Result<i32> {
    Ok(statement!("last_step").ask(&[incident.into(), agent.into()])?.unwrap_or(0))
}

/// One inference, for the health of the pipeline.
#[derive(Debug)]
pub struct Inference<'a> {
    /// The question, redacted.
    pub query: &'a str,
    /// Its vector, by which the retrieval went.
    pub vector: &'a Vector,
    /// What was retrieved, `runbook/section`, best first.
    pub matched: Vec<String>,
    /// How near each of them was.
    pub scores: Vec<f64>,
    /// The answer; none when there was none.
    pub answer: Option<String>,
    /// Generator, embedder, fallback and why.
    pub context: Value,
    /// The incident.
    pub incident: &'a str,
    /// The model.
    pub model: &'a str,
    /// Tokens of the question.
    pub tokens_in: Option<u32>,
    /// Tokens of the answer.
    pub tokens_out: Option<u32>,
    /// How long the answer took.
    pub latency: Duration,
}

/// Write one row of `inference_audit_log`.
pub fn record_inference(inference: Inference<'_>) -> Result<()> {
    statement!("record_inference").write(&[
        inference.query.into(),
        reals(inference.vector),
        inference.matched.into(),
        inference.scores.into(),
        inference.answer.into(),
        jsonb(&inference.context)?,
        inference.incident.into(),
        inference.model.into(),
        tokens(inference.tokens_in).into(),
        tokens(inference.tokens_out).into(),
        (inference.latency.as_secs_f64() * 1000.0).into(),
    ])?;
    Ok(())
}

/// One entry of an incident's journal, as it lies there.
#[derive(Debug, Clone, Deserialize)]
pub struct Written {
    /// Who called.
    pub agent: String,
    /// The place among that agent's calls, from 1.
    pub step_no: i32,
    /// What was called.
    pub kind: String,
    /// What was asked.
    pub request: Value,
    /// `intent`, `done`, `failed` or `unknown`.
    pub status: String,
    /// What came of it; none as long as nobody knows.
    pub outcome: Option<Value>,
}

/// The journal of an incident, in no order.
pub fn steps(incident: &str) -> Result<Vec<Written>> {
    Ok(statement!("steps").ask(&[incident.into()])?.unwrap_or_default())
}

/// Write down that an action is about to begin. Committed before it does, so that no action is ever forgotten.
pub fn record_intent(incident: &str, agent: &str, step: i32, kind: &str, request: &Value) -> Result<()> {
    statement!("record_intent").write(&[incident.into(), agent.into(), step.into(), kind.into(), jsonb(request)?])?;
    Ok(())
}

/// Complete an intent by what came of it: `done`, `failed` or `unknown`.
pub fn complete_intent(incident: &str, agent: &str, step: i32, status: &str, outcome: &Value) -> Result<()> {
    let args = &[incident.into(), agent.into(), step.into(), status.into(), jsonb(outcome)?];
    writing(|| statement!("complete_intent").write(args))?;
    Ok(())
}
