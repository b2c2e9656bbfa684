//! The answer of a triage: what a model said, not yet believed.
//!
//! [`parse`] turns a model's text into a [`TriageReply`]: the right shape, within sizes. Whether what it says may lead
//! to anything is the router's question ([`crate::policy::decide`]), which takes the reply unchecked and turns each
//! defect into a failed condition. So a confidence of 1.7 or an unknown step is no parse error: it escalates, with that
//! reason.

use std::sync::LazyLock;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// The most actions of one reply.
pub const MAX_ACTIONS: usize = 16;
/// The longest name (incident type, runbook, action) in bytes; the longest step id has 193.
pub const MAX_NAME: usize = 200;
/// The longest hypothesis that is kept, in bytes. More is cut, not refused: it is prose for a person.
pub const MAX_HYPOTHESIS: usize = 2000;
/// The longest text that is looked at for a reply, in bytes; about ten times what the longest reply takes.
pub const MAX_TEXT: usize = 64 * 1024;

/// The five fields that a triage model is asked for, unchecked.
// The docs of the fields go into the schema, so they speak to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriageReply {
    /// What kind of incident it is, in one CamelCase word, such as ConnectionPoolExhaustion.
    pub incident_type: String,
    /// The id of the runbook that fits, or null if none does.
    #[serde(default)]
    pub runbook_id: Option<String>,
    /// How sure you are that the runbook fits and the actions will help, from 0.0 to 1.0.
    #[serde(deserialize_with = "number_or_null")]
    pub confidence: f64,
    /// The ids of the steps to carry out, in their order; empty if none of them fits.
    pub recommended_actions: Vec<String>,
    /// What the cause probably is, in two or three sentences for the engineer on call.
    pub root_cause_hypothesis: String,
}

/// JSON knows no NaN and writes it as null; read back, it is NaN again, and the router refuses it with that reason.
fn number_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

/// The schema as derived from the type, once: the next triage needs the same.
static DERIVED: LazyLock<Schema> = LazyLock::new(|| schemars::schema_for!(TriageReply));

impl TriageReply {
    /// The JSON Schema of a reply, in which only the steps and runbooks on offer can be named.
    ///
    /// Derived from this type, then narrowed with keywords that servers were seen to enforce (enum, lengths, counts,
    /// `anyOf` with null; not ranges of numbers, not unique items). All of it is checked again here, for servers that
    /// skip parts of a schema. Everything is inline and every property required, as the strictest servers want it.
    pub fn schema<'a>(
        step_ids: impl IntoIterator<Item = &'a str>,
        runbook_ids: impl IntoIterator<Item = &'a str>,
    ) -> Value {
        let describe = |field: &str| DERIVED.pointer(&format!("/properties/{field}/description")).cloned();
        let mut steps: Vec<&str> = Vec::new();
        for id in step_ids {
            // The keyword enum wants its values unique.
            if !steps.contains(&id) {
                steps.push(id);
            }
        }
        let mut runbooks: Vec<&str> = Vec::new();
        for id in runbook_ids {
            if !runbooks.contains(&id) {
                runbooks.push(id);
            }
        }
        let actions = match steps.is_empty() {
            true => json!({"type": "array", "items": {"type": "string"}, "maxItems": 0}),
            false => json!({
                "type": "array", "items": {"type": "string", "enum": steps}, "maxItems": steps.len().min(MAX_ACTIONS),
            }),
        };
        let runbook = match runbooks.is_empty() {
            true => json!({"type": "null"}),
            // Not `type: [string, null]`: some servers then forget the enum.
            false => json!({"anyOf": [{"type": "string", "enum": runbooks}, {"type": "null"}]}),
        };
        let mut properties = json!({
            "incident_type": {"type": "string", "minLength": 1, "maxLength": 80},
            "runbook_id": runbook,
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "recommended_actions": actions,
            // Shorter than what is kept: some servers refuse repetitions of 2,000 and more.
            "root_cause_hypothesis": {"type": "string", "maxLength": 800},
        });
        for (field, schema) in properties.as_object_mut().expect("an object, see above") {
            if let Some(description) = describe(field) {
                schema["description"] = description;
            }
        }
        let required: Vec<&String> = properties.as_object().expect("an object, see above").keys().collect();
        json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
    }
}

/// Why a text is no reply, as a sentence that tells a model what to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "defect", rename_all = "snake_case")]
pub enum ReplyDefect {
    /// Nothing but white space.
    #[error("the answer is empty")]
    Empty,
    /// Longer than is looked at.
    #[error("the answer has {bytes} bytes; at most {MAX_TEXT} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The server cut it off.
    #[error("the answer was cut off at {max_tokens} tokens; it must be complete, so keep it shorter")]
    CutOff {
        /// The limit.
        max_tokens: u32,
    },
    /// Not a JSON object, or not that alone.
    #[error("the answer is not one JSON object and nothing else ({reason})")]
    NotOneObject {
        /// The parser's word.
        reason: String,
    },
    /// An object, but of another shape.
    #[error("the JSON object has not the fields that were asked for: {reason}")]
    WrongShape {
        /// The parser's word.
        reason: String,
    },
    /// The confidence is null.
    #[error("confidence is null; it must be a number from 0.0 to 1.0")]
    NoConfidence,
    /// A list too long to mean anything.
    #[error("recommended_actions has {count} entries; at most {MAX_ACTIONS} are allowed")]
    TooManyActions {
        /// How many.
        count: usize,
    },
    /// A name that cannot be one.
    #[error("{field} {rule}")]
    BadName {
        /// The field.
        field: String,
        /// The rule that it breaks.
        rule: String,
    },
}

/// Read a model's text.
///
/// The whole text must be the object, in a markdown fence or not. Words around it are refused: a model that thinks aloud
/// may quote an example there, or say behind it that it did not mean it. A key that stands twice is refused too: readers
/// differ in which of the two they take.
pub fn parse(text: &str) -> Result<TriageReply, ReplyDefect> {
    within_sizes(read_object(text)?)
}

/// The one object that a model's text is, whatever was asked for.
pub(crate) fn read_object<T: DeserializeOwned>(text: &str) -> Result<T, ReplyDefect> {
    if text.len() > MAX_TEXT {
        return Err(ReplyDefect::TooLong { bytes: text.len() });
    }
    let object = unfenced(text.trim_start_matches('\u{feff}').trim());
    if object.is_empty() {
        return Err(ReplyDefect::Empty);
    }
    // First as JSON, then as a reply: what is no object at all is another defect than one that lacks a field. serde would
    // also read a list as the fields in their order.
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(object) {
        return Err(ReplyDefect::NotOneObject { reason: short(&error) });
    }
    if !object.starts_with('{') {
        return Err(ReplyDefect::NotOneObject { reason: "it is another value".to_owned() });
    }
    serde_json::from_str(object).map_err(|e| ReplyDefect::WrongShape { reason: short(&e) })
}

/// What stands in the one markdown fence that a text is; the text itself if it is none.
fn unfenced(text: &str) -> &str {
    let inside = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inside.and_then(|inside| inside.split_once('\n')).map_or(text, |(_language, object)| object.trim())
}

/// The parser's message; it may quote the model at any length.
fn short(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message[..message.floor_char_boundary(300)].to_owned()
}

fn within_sizes(mut reply: TriageReply) -> Result<TriageReply, ReplyDefect> {
    if reply.confidence.is_nan() {
        return Err(ReplyDefect::NoConfidence);
    }
    if reply.recommended_actions.len() > MAX_ACTIONS {
        return Err(ReplyDefect::TooManyActions { count: reply.recommended_actions.len() });
    }
    // Models write "" where they mean that there is none.
    reply.runbook_id = reply.runbook_id.filter(|id| !id.trim().is_empty());
    let actions = reply.recommended_actions.iter().map(|action| ("recommended_actions", action));
    let names = [("incident_type", &reply.incident_type)].into_iter();
    for (field, name) in names.chain(reply.runbook_id.iter().map(|id| ("runbook_id", id))).chain(actions) {
        let rule = match name {
            _ if name.trim().is_empty() => "has an empty name",
            _ if name.len() > MAX_NAME => "has a name of over 200 bytes",
            // Above all NUL, which Postgres cannot store.
            _ if name.chars().any(char::is_control) => "has a name with control characters",
            _ => continue,
        };
        return Err(ReplyDefect::BadName { field: field.to_owned(), rule: rule.to_owned() });
    }
    let kept: String = reply.root_cause_hypothesis.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    let end = kept.floor_char_boundary(MAX_HYPOTHESIS);
    reply.root_cause_hypothesis = if end < kept.len() { format!("{} [cut]", &kept[..end]) } else { kept };
    Ok(reply)
}

/// What a triage came to: a reply, whose it is, and what went wrong on the way.
///
/// There is always a reply: where the model failed, the builtin one fills in what the page shows, and the failure keeps
/// the router from acting on it. Stored with the incident and read back when it is routed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Triage {
    /// Whose reply it is: [`BUILTIN`], or the pod's model by the server's word.
    pub by: String,
    /// The reply, unchecked.
    pub reply: TriageReply,
    /// Why the pod's model gave none, in which case the reply is the builtin model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whether the answer was good only at the second try.
    #[serde(default)]
    pub repaired: bool,
    /// Why the pod gave no embedding, if that was asked for: retrieval then had the builtin one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_failure: Option<String>,
}

/// The name of the model that is always there.
pub const BUILTIN: &str = "builtin";

/// Why the pod's model gave no reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// It did not answer, or was not asked.
    #[error("{reason}")]
    NoAnswer {
        /// The error, as a sentence.
        reason: String,
    },
    /// It answered, but not even the repair round brought a reply.
    #[error("{reason}")]
    NoReply {
        /// The defect, as a sentence.
        reason: String,
    },
}

impl Triage {
    /// Whether the builtin model stood in for a pod that failed.
    pub fn is_fallback(&self) -> bool {
        self.failure.is_some()
    }
}

#[cfg(test)]
mod tests;
