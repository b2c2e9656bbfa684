//! The notification agent: words the message by which people learn of an incident that is handled without them.
//!
//! It writes while the others work, since a model takes its time. The message goes out when they are done: only then is
//! it known whether it is one of work done, or whether somebody is paged instead.

use serde::Deserialize;
use serde_json::json;

use super::Limits;
use super::answer::{NoAnswer, ask, short};
use crate::host::{ActingHost, ChatRequest};
use crate::incident::Incident;
use crate::prompt::Prompt;
use crate::triage::BUILTIN;

/// A message, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What is wrong and where, on one line.
    pub headline: String,
    /// A few sentences; none where nobody wrote any.
    pub message: Option<String>,
    /// Who wrote it: a model, or the template.
    pub by: &'static str,
    /// Why the model did not.
    pub trouble: Option<String>,
}

/// A model's words, unchecked.
#[derive(Debug, Deserialize)]
struct Words {
    headline: String,
    message: String,
}

/// Word the message; without a pod, or where the model fails, from the alert's own words.
pub async fn draft(host: &impl ActingHost, incident: &Incident, limits: &Limits) -> Draft {
    match words(host, incident, limits).await {
        Ok(words) if !words.headline.trim().is_empty() && !words.message.trim().is_empty() => Draft {
            headline: short(&words.headline, 160),
            message: Some(short(&words.message, 1500)),
            by: "model",
            trouble: None,
        },
        Ok(_) => template(incident, Some("the model wrote nothing".to_owned())),
        Err(NoAnswer::NoPod) => template(incident, None),
        Err(NoAnswer::Failed(reason)) => template(incident, Some(reason)),
    }
}

async fn words(host: &impl ActingHost, incident: &Incident, limits: &Limits) -> Result<Words, NoAnswer> {
    let steps: Vec<String> =
        incident.decision.actions.iter().map(|approved| format!("- {}", approved.step())).collect();
    let prompt = Prompt::notification(incident, &steps.join("\n"), limits.prompt_budget)
        .map_err(|over| NoAnswer::Failed(over.to_string()))?;
    let text = |most: u32| json!({"type": "string", "minLength": 1, "maxLength": most});
    let schema = json!({
        "type": "object", "required": ["headline", "message"], "additionalProperties": false,
        "properties": {"headline": text(120), "message": text(800)},
    });
    let request = ChatRequest {
        purpose: "notification",
        prompt,
        schema_name: "message",
        schema: schema.into(),
        max_tokens: limits.max_tokens,
    };
    ask(host, &request).await
}

fn template(incident: &Incident, trouble: Option<String>) -> Draft {
    Draft { headline: short(&incident.alert.headline(), 160), message: None, by: BUILTIN, trouble }
}
