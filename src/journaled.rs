//! How each call of an agent stands in the journal, whichever host makes it: one place for both.

use std::time::Duration;

use oncall_domain::alert::Alert;
use oncall_domain::host::{ChatAnswer, ChatRequest, Metric, ModelError};
use oncall_domain::policy::{self, Policy};
use oncall_domain::ranking::Weights;
use oncall_domain::redact::{Redacted, redact, redact_json};
use oncall_domain::retrieval::Retrieval;
use pgvector::Vector;
use serde_json::{Value, json};

use crate::pod;
use crate::settings;
use crate::store::journal::{Entry, Inference};

/// An entry for a call that gave `outcome`.
pub fn done<'a>(kind: &'static str, request: Value, outcome: Value, latency: Duration) -> Entry<'a> {
    Entry { kind, request, outcome: Ok(outcome), model: None, tokens_in: None, tokens_out: None, latency }
}

/// A model's failure: the sentence and the kind that people read, and the error that a replay reads. What a server said
/// is redacted in both.
pub fn failure(error: &ModelError) -> Value {
    let full = redact_json(&json!(error));
    json!({ "reason": redact(&error.to_string()), "error": full["error"], "model_error": full })
}

/// What was asked of the embedder.
pub fn embed_request(query: &Redacted) -> Value {
    json!({ "text": query })
}

/// What was asked of the catalogue.
pub fn retrieve_request(alert: &Alert, weights: Weights, with_pod: bool) -> Value {
    json!({
        "alert_name": alert.name.as_deref().map(redact),
        "k": settings::top_k(),
        "weights": { "builtin": weights.builtin, "pod": if with_pod { weights.pod } else { 0.0 } },
    })
}

/// How the two cosines were weighed in a retrieval that was asked for so.
pub fn weights_of(request: &Value) -> Option<Weights> {
    serde_json::from_value(request["weights"].clone()).ok()
}

/// What was asked of the chat model.
pub fn chat_request(request: &ChatRequest) -> Value {
    json!({ "purpose": request.purpose, "prompt": request.prompt, "max_tokens": request.max_tokens })
}

/// What the database measured, without secrets.
pub fn metrics(metrics: &[Metric]) -> Value {
    let shown =
        |m: &Metric| json!({ "name": redact(&m.name), "value": m.value, "about": redact(&m.about), "at": m.at });
    Value::Array(metrics.iter().map(shown).collect())
}

/// A model's words without secrets. Within JSON each text by itself, so that what could be read still can be.
pub fn answer_text(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => redact_json(&value).to_string(),
        Err(_) => redact(text).as_str().to_owned(),
    }
}

/// How the two cosines are weighed for an alert of this severity.
pub fn weights(policies: &[Policy], alert: &Alert) -> Weights {
    policy::select(policies, alert.severity, None).weights()
}

/// What a retrieval went by and found: an inference is logged with it.
#[derive(Debug, Clone)]
pub struct Found {
    query: Redacted,
    /// By the builtin embedder.
    vector: Vector,
    /// The sections, `runbook/section`, best first.
    matched: Vec<String>,
    /// How near each of them is.
    scores: Vec<f64>,
}

impl Found {
    /// What lies near `query`, of which `vector` is the builtin one.
    pub fn new(query: Redacted, vector: Vector, retrieval: &Retrieval) -> Self {
        let sections = &retrieval.sections;
        Self {
            query,
            vector,
            matched: sections.iter().map(|s| format!("{}/{}", s.runbook_id, s.section)).collect(),
            scores: sections.iter().map(|s| s.similarity).collect(),
        }
    }

    /// The log's row for an inference about this.
    pub fn inference<'a>(
        &'a self,
        incident: &'a str,
        model: &'a str,
        context: Value,
        answer: Option<String>,
    ) -> Inference<'a> {
        Inference {
            query: self.query.as_str(),
            vector: &self.vector,
            matched: self.matched.clone(),
            scores: self.scores.clone(),
            answer,
            context,
            incident,
            model,
            tokens_in: None,
            tokens_out: None,
            latency: Duration::ZERO,
        }
    }

    /// The log's row for a question that a pod was asked.
    pub fn asked<'a>(
        &'a self,
        incident: &'a str,
        model: &'a str,
        purpose: &str,
        answered: Result<&ChatAnswer, &ModelError>,
    ) -> Inference<'a> {
        let context = json!({
            "generator": model,
            "embedder": pod::embedding_model(),
            "purpose": purpose,
            // A call that failed is no sample of its own: the builtin row that stands in for it is.
            "fallback_triggered": answered.is_ok().then_some(false),
            "failed": answered.err().map(failure),
        });
        let told = answered.ok();
        Inference {
            tokens_in: told.and_then(|told| told.tokens_in),
            tokens_out: told.and_then(|told| told.tokens_out),
            latency: told.map(|told| told.latency).unwrap_or_default(),
            ..self.inference(incident, model, context, told.map(|told| redact(&told.text).as_str().to_owned()))
        }
    }
}
