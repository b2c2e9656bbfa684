//! Names that were checked once and are types of their own ever after.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: {rule}")]
pub struct InvalidId {
    /// What the text should have been: `runbook id`, `step id`, `tool name`.
    pub what: &'static str,
    /// The text, as given.
    pub text: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Check `text` and make it an id.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidId { what: $what, text, rule: $rule }) }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn word(text: &str, extra: &[u8]) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
}

id!(
    /// The id of a runbook, such as `RB-001`.
    RunbookId,
    "runbook id",
    "1 to 64 of letters, digits, '-', '_' and '.'",
    |text| (1..=64).contains(&text.len()) && word(text, b"-_.")
);

id!(
    /// The name of a tool in the catalogue, such as `create_index_concurrently`.
    ToolName,
    "tool name",
    "1 to 63 of small letters, digits and '_', not starting with a digit",
    |text| (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !text.as_bytes()[0].is_ascii_digit()
);

id!(
    /// The id of a step: the runbook's id, `/`, and the section's name as a slug, as in `RB-001/raise-the-pool-size`.
    ///
    /// A model names steps by such ids as plain text; that text becomes a `StepId` only by being found in the
    /// catalogue (see [`crate::retrieval::Retrieval::step`]).
    StepId,
    "step id",
    "a runbook id, '/', and 1 to 128 of small letters, digits and '-'",
    |text| text.split_once('/').is_some_and(|(runbook, slug)| {
        RunbookId::new(runbook).is_ok()
            && (1..=128).contains(&slug.len())
            && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
);

impl StepId {
    /// The id of the step that `section` of `runbook` carries.
    pub fn of(runbook: &RunbookId, section: &str) -> Result<Self, InvalidId> {
        let mut slug = String::with_capacity(section.len());
        for word in section.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()) {
            if !slug.is_empty() {
                slug.push('-');
            }
            slug.push_str(&word.to_ascii_lowercase());
        }
        Self::new(format!("{runbook}/{slug}"))
    }

    /// The runbook whose step this is.
    pub fn runbook(&self) -> RunbookId {
        let (runbook, _) = self.0.split_once('/').expect("checked when the id was made");
        RunbookId(runbook.to_owned())
    }
}
