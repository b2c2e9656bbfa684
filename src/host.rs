//! The caller's transaction as a host: every call of an agent happens at once, and is journaled in the same transaction.
//!
//! The journal is written in one go when the agent is done: it stands or falls with the transaction in any case, and a
//! statement for each entry would cost a tenth of an alert's time.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use jiff::Timestamp;
use oncall_domain::alert::Alert;
use oncall_domain::builtin;
use oncall_domain::host::{ChatAnswer, ChatRequest, Host, Metric, ModelError};
use oncall_domain::redact::{Redacted, redact};
use oncall_domain::retrieval::Retrieval;
use oncall_model::Kind;
use pgvector::Vector;
use serde_json::{Value, json};

use crate::error::raise;
use crate::journaled::{self, Found};
use crate::pod;
use crate::settings;
use crate::store::catalogue::Vectors;
use crate::store::journal::{self, Batch, Entry};
use crate::store::{self, ground, measurements, search};

/// Run an agent over a [`CallerHost`], whose every call is done when it returns: one poll finishes it.
pub fn run<T>(agent: impl Future<Output = T>) -> T {
    let mut agent = pin!(agent);
    match agent.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a call of the caller's host never waits for another poll"),
    }
}

/// The door to the world for one agent at work on one incident, in the caller's transaction.
pub struct CallerHost<'a> {
    incident: &'a str,
    journal: RefCell<Batch>,
    found: RefCell<Option<Found>>,
}

impl<'a> CallerHost<'a> {
    /// The host of an agent at work on `incident`.
    pub fn new(incident: &'a str) -> Self {
        Self { incident, journal: RefCell::default(), found: RefCell::new(None) }
    }

    /// Journal one call, which has just ended, under the next step number.
    pub fn record(&self, entry: Entry<'_>) {
        self.journal.borrow_mut().push(entry);
    }

    /// Its journal, to be written down. The agent is done.
    pub fn into_journal(self) -> Batch {
        self.journal.into_inner()
    }

    /// Log an answer of the builtin triage with what was retrieved for it.
    pub fn record_builtin(&self, answer: String, context: Value) {
        if let Some(found) = self.found.borrow().as_ref() {
            let row = found.inference(self.incident, settings::BUILTIN, context, Some(answer));
            must(journal::record_inference(row));
        }
    }
}

/// The value, or the end of the transaction: a failing database is not a model's failure.
fn must<T>(result: store::Result<T>) -> T {
    result.unwrap_or_else(|error| raise(error))
}

impl Host for CallerHost<'_> {
    async fn embed(&self, query: &Redacted) -> Result<Vector, ModelError> {
        let started = Instant::now();
        let model = pod::embedding_model();
        let embedded = embed_query(query, &model, &must(ground::current()).vectors);
        if embedded == Err(ModelError::NoPod) {
            return Err(ModelError::NoPod);
        }
        self.record(Entry {
            model: Some(&model),
            outcome: match &embedded {
                Ok(vector) => Ok(json!({ "dimensions": vector.as_slice().len() })),
                Err(error) => Err(journaled::failure(error)),
            },
            ..journaled::done("embed", journaled::embed_request(query), Value::Null, started.elapsed())
        });
        embedded
    }

    async fn retrieve(&self, alert: &Alert, query: &Redacted, pod: Option<Vector>) -> Retrieval {
        let started = Instant::now();
        let vector = builtin::embed(query.as_str());
        let ground = must(ground::current());
        let weights = journaled::weights(&ground.policies, alert);
        let request = journaled::retrieve_request(alert, weights, pod.is_some());
        let retrieval = must(search::retrieve(
            &ground,
            &search::Query {
                builtin: &vector,
                pod: pod.as_ref(),
                alert_name: alert.name.as_deref(),
                k: settings::top_k(),
            },
            weights,
        ));
        let sections: Vec<Value> = retrieval
            .sections
            .iter()
            .map(|s| {
                json!({ "runbook_id": s.runbook_id, "section": s.section, "similarity": s.similarity, "found_by": s.found_by })
            })
            .collect();
        let steps: Vec<_> = retrieval.step_ids().collect();
        let outcome = json!({ "sections": sections, "steps": steps, "runner_up": retrieval.runner_up });
        self.record(journaled::done("retrieve", request, outcome, started.elapsed()));
        self.found.replace(Some(Found::new(query.clone(), vector, &retrieval)));
        retrieval
    }

    async fn metrics(&self) -> Vec<Metric> {
        let started = Instant::now();
        let metrics = must(measurements::recent());
        self.record(journaled::done("metrics", json!({}), journaled::metrics(&metrics), started.elapsed()));
        metrics
    }

    async fn chat(&self, request: &ChatRequest) -> Result<ChatAnswer, ModelError> {
        let started = Instant::now();
        let answered = pod::chat(request);
        if answered == Err(ModelError::NoPod) {
            return Err(ModelError::NoPod);
        }
        let model = settings::chat_pod().map(|(_, model)| model).unwrap_or_default();
        let told = answered.as_ref().ok();
        self.record(Entry {
            kind: "chat",
            request: journaled::chat_request(request),
            outcome: match &answered {
                Ok(told) => Ok(json!({ "text": redact(&told.text), "truncated": told.truncated, "model": told.model })),
                Err(error) => Err(journaled::failure(error)),
            },
            model: Some(&model),
            tokens_in: told.and_then(|told| told.tokens_in),
            tokens_out: told.and_then(|told| told.tokens_out),
            latency: started.elapsed(),
        });
        if let Some(found) = self.found.borrow().as_ref() {
            must(journal::record_inference(found.asked(self.incident, &model, request.purpose, answered.as_ref())));
        }
        answered
    }

    async fn now(&self) -> Timestamp {
        must(store::transaction_start())
    }
}

/// The pod's vector of a query, if it can be compared with those of the catalogue.
fn embed_query(query: &Redacted, model: &str, catalogue: &Vectors) -> Result<Vector, ModelError> {
    if settings::embedding_pod().is_none() {
        return Err(ModelError::NoPod);
    }
    let dimension = catalogue.comparable_with(model)?;
    let text = builtin::pod_query_text(query.as_str());
    let mut vectors = pod::embed(vec![text], Kind::Query, Some(dimension))?;
    Ok(Vector::from(vectors.pop().unwrap_or_default()))
}
