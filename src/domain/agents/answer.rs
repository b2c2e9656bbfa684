//! One question to the model, and its answer as a type.

use serde::de::DeserializeOwned;

use crate::host::{ChatRequest, Host, ModelError};
use crate::redact::redact;
use crate::triage::{ReplyDefect, read_object};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// There is no pod: the agent does without.
    NoPod,
    /// The model did not answer, or not so that it could be read; the sentence says how.
    Failed(String),
}

/// Ask once. There is no second try as in the triage: every agent has a way to go on without its model.
///
/// What is read is the redacted text, since that is what the journal keeps: on replay it must be read the same.
pub(super) async fn ask<T: DeserializeOwned>(host: &impl Host, request: &ChatRequest) -> Result<T, NoAnswer> {
    let answer = host.chat(request).await.map_err(|error| match error {
        ModelError::NoPod => NoAnswer::NoPod,
        error => NoAnswer::Failed(plain(&error)),
    })?;
    if answer.truncated {
        return Err(NoAnswer::Failed(ReplyDefect::CutOff { max_tokens: request.max_tokens }.to_string()));
    }
    read_object(redact(&answer.text).as_str()).map_err(|defect| NoAnswer::Failed(plain(&defect)))
}

/// A server's or a model's words as they may be stored and shown: without secrets (servers echo headers), without
/// control characters (Postgres cannot store a NUL), and short.
pub(super) fn plain(words: &impl ToString) -> String {
    short(words, 500)
}

/// The same in at most `bytes`.
pub(super) fn short(words: &impl ToString, bytes: usize) -> String {
    let spaced = words.to_string().replace(['\n', '\t'], " ");
    let words: String = spaced.chars().filter(|c| !c.is_control()).collect();
    redact(&words).cut(bytes).as_str().to_owned()
}
