//! How a triage is written down, whichever host it ran on.

use std::time::Duration;

use oncall_domain::agents::triage::TriageSettings;
use oncall_domain::alert::Alert;
use oncall_domain::redact::redact;
use oncall_domain::triage::Triage;
use serde_json::{Value, json};

use crate::pod;
use crate::settings;
use crate::store::journal::Entry;

/// The agent under whose name the steps up to the decision are journaled.
pub const AGENT: &str = "triage";

/// The limits that the settings give to the agent.
pub fn limits() -> TriageSettings {
    TriageSettings { max_tokens: settings::max_tokens(), prompt_budget: settings::prompt_tokens() }
}

/// The journal's entry for the triage as a whole.
pub fn entry<'a>(alert: &Alert, triage: &'a Triage, latency: Duration) -> Entry<'a> {
    Entry {
        kind: "triage",
        request: json!({ "alert": redact(&alert.headline()) }),
        outcome: Ok(json!(triage)),
        model: Some(&triage.by),
        tokens_in: None,
        tokens_out: None,
        latency,
    }
}

/// What the log says of an answer by the builtin triage; none where a pod's model answered, which was logged already.
/// That the builtin stood in for a pod is never silent.
pub fn builtin_context(triage: &Triage) -> Option<Value> {
    // Not by its name: a pod may call itself what it likes.
    if !triage.is_fallback() && settings::chat_pod().is_some() {
        return None;
    }
    let mut context = json!({
        "generator": settings::BUILTIN,
        "embedder": pod::embedding_model(),
        "fallback_triggered": triage.is_fallback(),
    });
    if let Some(failure) = &triage.failure {
        context["reason"] = json!(failure.to_string());
        context["previous_generator"] = json!(settings::chat_pod().map(|(_, model)| model));
    }
    Some(context)
}
