//! The caller's transaction as a host: every call of an agent happens at once, and is journaled in the same transaction.
//!
//! The journal is written in one go when the agent is done: it stands or falls with the transaction in any case, and a
//! statement for each entry would cost a tenth of an alert's time.

use std::cell::{OnceCell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use oncall_domain::alert::Alert;
use oncall_domain::builtin;
use oncall_domain::host::{ChatAnswer, ChatRequest, Host, Metric, ModelError};
use oncall_domain::policy;
use oncall_domain::redact::{Redacted, redact};
use oncall_domain::retrieval::Retrieval;
use oncall_model::Kind;
use pgvector::Vector;
use serde_json::{Value, json};

use crate::error::raise;
use crate::pod;
use crate::settings;
use crate::store::catalogue::{self, Vectors, Weights};
use crate::store::journal::{self, Batch, Entry, Inference};
use crate::store::{self, measurements, policies};

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
    agent: &'static str,
    journal: RefCell<Batch>,
    vectors: OnceCell<Vectors>,
    found: RefCell<Option<Found>>,
}

/// What the retrieval went by and found: an inference is logged with it.
struct Found {
    query: Redacted,
    vector: Vector,
    retrieval: Retrieval,
}

impl<'a> CallerHost<'a> {
    /// The host of `agent` at work on `incident`.
    pub fn new(incident: &'a str, agent: &'static str) -> Self {
        Self { incident, agent, journal: RefCell::default(), vectors: OnceCell::new(), found: RefCell::new(None) }
    }

    /// Journal one call, which has just ended, under the next step number.
    pub fn record(&self, entry: Entry<'_>) {
        self.journal.borrow_mut().push(entry);
    }

    /// Write the journal down. The agent is done.
    pub fn write_journal(self) -> store::Result<()> {
        self.journal.into_inner().write(self.incident, self.agent, 1)
    }

    fn vectors(&self) -> &Vectors {
        self.vectors.get_or_init(|| must(catalogue::vectors()))
    }

    /// Log one inference with what was retrieved for it.
    pub fn record_inference(&self, answer: Option<String>, model: &str, context: Value, told: Option<&ChatAnswer>) {
        let found = self.found.borrow();
        let Some(found) = found.as_ref() else { return };
        let sections = &found.retrieval.sections;
        must(journal::record_inference(Inference {
            query: found.query.as_str(),
            vector: &found.vector,
            matched: sections.iter().map(|s| format!("{}/{}", s.runbook_id, s.section)).collect(),
            scores: sections.iter().map(|s| s.similarity).collect(),
            answer,
            context,
            incident: self.incident,
            model,
            tokens_in: told.and_then(|told| told.tokens_in),
            tokens_out: told.and_then(|told| told.tokens_out),
            latency: told.map(|told| told.latency).unwrap_or_default(),
        }));
    }
}

/// The value, or the end of the transaction: a failing database is not a model's failure.
fn must<T>(result: store::Result<T>) -> T {
    result.unwrap_or_else(|error| raise(error))
}

fn done<'a>(kind: &'static str, request: Value, outcome: Value, latency: Duration) -> Entry<'a> {
    Entry { kind, request, outcome: Ok(outcome), model: None, tokens_in: None, tokens_out: None, latency }
}

fn failure(error: &ModelError) -> Value {
    // The kind of error beside the sentence, and not the error itself: what a server says is redacted, or not kept.
    let kind = json!(error).get("error").cloned();
    json!({ "reason": redact(&error.to_string()), "error": kind })
}

impl Host for CallerHost<'_> {
    async fn embed(&self, query: &Redacted) -> Result<Vector, ModelError> {
        let started = Instant::now();
        let model = pod::embedding_model();
        let embedded = embed_query(query, &model, self.vectors());
        if embedded == Err(ModelError::NoPod) {
            return Err(ModelError::NoPod);
        }
        self.record(Entry {
            model: Some(&model),
            outcome: match &embedded {
                Ok(vector) => Ok(json!({ "dimensions": vector.as_slice().len() })),
                Err(error) => Err(failure(error)),
            },
            ..done("embed", json!({ "text": query }), Value::Null, started.elapsed())
        });
        embedded
    }

    async fn retrieve(&self, alert: &Alert, query: &Redacted, pod: Option<Vector>) -> Retrieval {
        let started = Instant::now();
        let vector = builtin::embed(query.as_str());
        let weights = weights(alert);
        let retrieval = must(catalogue::retrieve(
            self.vectors(),
            &catalogue::Query {
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
        self.record(done(
            "retrieve",
            json!({
                "alert_name": alert.name.as_deref().map(redact),
                "k": settings::top_k(),
                "weights": { "builtin": weights.builtin, "pod": if pod.is_some() { weights.pod } else { 0.0 } },
            }),
            json!({ "sections": sections, "steps": steps, "runner_up": retrieval.runner_up }),
            started.elapsed(),
        ));
        self.found.replace(Some(Found { query: query.clone(), vector, retrieval: retrieval.clone() }));
        retrieval
    }

    async fn metrics(&self) -> Vec<Metric> {
        let started = Instant::now();
        let metrics = must(measurements::recent());
        let shown: Vec<Value> = metrics
            .iter()
            .map(|m| json!({ "name": redact(&m.name), "value": m.value, "about": redact(&m.about), "at": m.at }))
            .collect();
        self.record(done("metrics", json!({}), Value::Array(shown), started.elapsed()));
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
        let text = told.map(|told| redact(&told.text));
        self.record(Entry {
            kind: "chat",
            request: json!({ "purpose": request.purpose, "prompt": request.prompt, "max_tokens": request.max_tokens }),
            outcome: match &answered {
                Ok(told) => Ok(json!({ "text": text, "truncated": told.truncated, "model": told.model })),
                Err(error) => Err(failure(error)),
            },
            model: Some(&model),
            tokens_in: told.and_then(|told| told.tokens_in),
            tokens_out: told.and_then(|told| told.tokens_out),
            latency: started.elapsed(),
        });
        let context = json!({
            "generator": model,
            "embedder": pod::embedding_model(),
            "purpose": request.purpose,
            // A call that failed is no sample of its own: the builtin row that stands in for it is.
            "fallback_triggered": answered.is_ok().then_some(false),
            "failed": answered.as_ref().err().map(failure),
        });
        self.record_inference(text.map(|text| text.as_str().to_owned()), &model, context, told);
        answered
    }

    async fn now(&self) -> Timestamp {
        must(store::transaction_start())
    }
}

/// How the two cosines are weighed for an alert of this severity.
fn weights(alert: &Alert) -> Weights {
    let policies = must(policies::all());
    let policy = policy::select(&policies, alert.severity, None);
    Weights { builtin: policy.builtin_weight, pod: policy.pod_weight }
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
