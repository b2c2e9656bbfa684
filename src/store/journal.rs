//! `incident_step`: every call of an agent, its request and its outcome; and `inference_audit_log`, one row an inference.

use std::time::Duration;

use jiff::Timestamp;
use pgrx::JsonB;
use pgvector::Vector;
use serde::Deserialize;
use serde_json::Value;

use super::{Result, Statement, jsonb, statement, writing};
use crate::backend::reals;

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

/// Write `entry`, whose call has just ended, under (incident, agent, step).
pub fn record(incident: &str, agent: &str, step: i32, entry: Entry<'_>) -> Result<()> {
    let mut batch = Batch::default();
    batch.push(entry);
    batch.write(incident, agent, step)
}

/// Entries that will be written by one statement.
#[derive(Debug, Default)]
pub struct Batch(Vec<Row>);

/// An entry as its row will be.
#[derive(Debug)]
struct Row {
    kind: &'static str,
    request: Value,
    status: &'static str,
    outcome: Value,
    model: Option<String>,
    tokens_in: Option<i32>,
    tokens_out: Option<i32>,
    started_at: Timestamp,
    latency: Duration,
}

impl Batch {
    /// Add an entry whose call has just ended: its beginning is reckoned from now.
    pub fn push(&mut self, entry: Entry<'_>) {
        let (status, outcome) = match entry.outcome {
            Ok(value) => ("done", value),
            Err(error) => ("failed", error),
        };
        self.0.push(Row {
            kind: entry.kind,
            request: entry.request,
            status,
            outcome,
            model: entry.model.map(str::to_owned),
            tokens_in: tokens(entry.tokens_in),
            tokens_out: tokens(entry.tokens_out),
            started_at: Timestamp::now() - entry.latency,
            latency: entry.latency,
        });
    }

    /// Write all of them under (incident, agent, step), numbered from `first_step`.
    pub fn write(self, incident: &str, agent: &str, first_step: i32) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut args = vec![incident.into(), agent.into(), first_step.into()];
        let mut rows = Vec::with_capacity(self.0.len());
        for (place, row) in self.0.into_iter().enumerate() {
            let first = args.len() + 1;
            args.extend([
                row.kind.into(),
                JsonB(row.request).into(),
                row.status.into(),
                JsonB(row.outcome).into(),
                row.model.into(),
                row.tokens_in.into(),
                row.tokens_out.into(),
                (row.started_at.as_microsecond() as f64 / 1e6).into(),
                (row.latency.as_secs_f64() * 1000.0).into(),
            ]);
            let numbers: Vec<String> = (first..=args.len()).map(|number| format!("${number}")).collect();
            rows.push(format!("({place}, {})", numbers.join(", ")));
        }
        // A list of rows and not an array to take apart: the server neither builds one nor reads it.
        Statement::filled(include_str!("sql/record_steps.sql"), "@rows@", &rows.join(", ")).write(&args)?;
        Ok(())
    }
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
        reals(inference.vector.as_slice()),
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

/// Nobody will learn what came of the intents that are still open: say so.
pub fn close_intents(incident: &str, reason: &str) -> Result<()> {
    writing(|| statement!("close_intents").write(&[incident.into(), reason.into()]))?;
    Ok(())
}
