//! From payloads to incidents: which alerts a payload holds, what is kept of them, and what many of them at once do.
//!
//! The rules are the same for an alert in the caller's transaction and for ten thousand in the inbox: [`read`] and
//! [`Kept`] for each, [`plan`] for many, [`explain`] for whoever asks why.

mod explain;
mod plan;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::alert::{self, Alert, AlertError, Basis};
use crate::redact::{Redacted, redact, redact_json};

pub use explain::{Closed, Explanation, Known, Open, Outcome, Rule, explain};
pub use plan::{Arrival, Ids, Repeats, Round, carry_out, plan};

/// The most bytes of a payload. JSON takes a hundred times its length while it is read, and nobody can cancel that.
pub const MOST_BYTES: usize = 2 * 1024 * 1024;

/// Why a payload has no alerts to offer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than [`MOST_BYTES`].
    #[error("the payload has {0} bytes; at most {MOST_BYTES} are read")]
    TooLarge(usize),
    /// JSON to Postgres, and more than can be read here: a number beyond a double's range, or too deep a nesting.
    #[error("the payload cannot be read: {0}")]
    Json(String),
    /// JSON that is no alert.
    #[error(transparent)]
    Alert(#[from] AlertError),
}

impl Unreadable {
    /// What the sender, or whoever set the sender up, can do.
    pub fn hint(&self) -> String {
        match self {
            Self::TooLarge(_) => "Send alerts in smaller groups, and a long text by its first pages.".to_owned(),
            Self::Json(_) => "Numbers are read up to 1.8e308, lists and objects to a depth of 128. As text it is \
                              taken as plain words."
                .to_owned(),
            Self::Alert(error) => error.hint(),
        }
    }
}

/// The alerts of a payload, which is JSON.
pub fn read(payload: &str) -> Result<Vec<Alert>, Unreadable> {
    Ok(alert::normalise(&parse(payload)?)?)
}

/// The alerts of a text: a payload that arrived as text, or words.
pub fn read_text(payload: &str) -> Result<Vec<Alert>, Unreadable> {
    within_limit(payload)?;
    Ok(alert::normalise_text(payload)?)
}

/// The alerts of a payload, and what the fingerprint of each is made from.
pub fn read_explained(payload: &str) -> Result<Vec<(Alert, Basis)>, Unreadable> {
    Ok(alert::explain(&parse(payload)?)?)
}

fn parse(payload: &str) -> Result<Value, Unreadable> {
    within_limit(payload)?;
    serde_json::from_str(payload).map_err(|error| Unreadable::Json(error.to_string()))
}

fn within_limit(payload: &str) -> Result<(), Unreadable> {
    if payload.len() > MOST_BYTES { Err(Unreadable::TooLarge(payload.len())) } else { Ok(()) }
}

/// What the audit keeps of an alert: secrets redacted.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The text.
    pub text: Redacted,
    /// All of it.
    pub alert: Value,
}

impl Kept {
    /// Of this alert.
    pub fn of(alert: &Alert) -> Self {
        Self { text: redact(&alert.text), alert: redact_json(&json!(alert)) }
    }
}
