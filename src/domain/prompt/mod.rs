//! Words the questions to a model.
//!
//! The words stand in the `.md` files beside this one. Text from outside (the alert, runbooks, metrics, an earlier
//! answer) goes in redacted, cut to size and between delimiters that cannot occur inside it. That makes it harder for
//! such text to pass for an instruction; it does not make it impossible. What keeps an instruction from having an
//! effect is that an answer can only name steps, and that policy decides about those.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::alert::Alert;
use crate::fnv::Fnv;
use crate::host::Metric;
use crate::redact::redact;
use crate::retrieval::Retrieval;
use crate::triage::ReplyDefect;

mod agents;
mod fill;
mod parts;
#[cfg(test)]
mod tests;

use fill::fill;

/// The words of a question.
///
/// Only this module makes one, and only out of redacted text, so no raw text from outside reaches a model.
/// A copy is one more hold of the same words: hundreds of questions wait at once, each in several hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt(Arc<Words>);

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Words {
    system: String,
    user: String,
}

impl Serialize for Prompt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Bytes for one token of a budget.
///
/// A rule of thumb: a token of English is about four characters. Counted in bytes and not in characters, since scripts
/// outside ASCII take more tokens for a character, much as they take more bytes. Numbers and identifiers take more than
/// this says, so a budget should leave the model's window a third of room.
pub const BYTES_PER_TOKEN: usize = 4;

/// The least room for text from outside; with less, a question is not worth asking.
const LEAST_ROOM: usize = 200 * BYTES_PER_TOKEN;

/// The fixed part of a prompt takes the whole budget.
///
/// The list of steps is never cut: a model that does not see a step cannot recommend it, and nobody would know why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the prompt's instructions{} need {needed} tokens with the least room for the alert; the budget is {budget}",
    listed(*steps)
)]
pub struct OverBudget {
    /// How many steps are on the list, where there is one.
    pub steps: usize,
    /// The tokens that would do, by [`BYTES_PER_TOKEN`].
    pub needed: usize,
    /// The tokens there are.
    pub budget: usize,
}

fn listed(steps: usize) -> String {
    if steps == 0 { String::new() } else { format!(" and its list of {steps} steps") }
}

impl Prompt {
    fn of(system: String, user: String) -> Self {
        Self(Arc::new(Words { system, user }))
    }

    /// What the model is and how it answers.
    pub fn system(&self) -> &str {
        &self.0.system
    }

    /// The question.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// The tokens that it takes, by [`BYTES_PER_TOKEN`].
    pub fn tokens(&self) -> usize {
        (self.0.system.len() + self.0.user.len()).div_ceil(BYTES_PER_TOKEN)
    }

    /// What is this alert, and which of the steps on offer would help?
    ///
    /// Of the budget (in tokens) the instructions and the list of steps take what they need. Of the rest the alert may
    /// take two fifths, the sections three quarters of what the alert leaves, the metrics what is left then.
    pub fn triage(alert: &Alert, retrieval: &Retrieval, metrics: &[Metric], budget: usize) -> Result<Self, OverBudget> {
        let steps = parts::steps(retrieval);
        let fixed = Self::of_triage(&"0".repeat(NONCE_DIGITS), "", "", &steps, "").bytes();
        let bytes = budget.saturating_mul(BYTES_PER_TOKEN);
        if bytes < fixed + LEAST_ROOM {
            let needed = (fixed + LEAST_ROOM).div_ceil(BYTES_PER_TOKEN);
            return Err(OverBudget { steps: retrieval.steps.len(), needed, budget });
        }
        let mut room = bytes - fixed;
        let alert = parts::alert(alert, room / 5 * 2);
        room -= alert.len();
        let sections = parts::sections(retrieval, room / 4 * 3);
        room -= sections.len();
        let metrics = parts::metrics(metrics, room);
        let nonce = nonce(&[&alert, &sections, &steps, &metrics]);
        Ok(Self::of_triage(&nonce, &alert, &sections, &steps, &metrics))
    }

    fn of_triage(nonce: &str, alert: &str, sections: &str, steps: &str, metrics: &str) -> Self {
        let user = fill(
            include_str!("triage_user.md"),
            &[("nonce", nonce), ("alert", alert), ("sections", sections), ("steps", steps), ("metrics", metrics)],
        );
        Self::of(fill(include_str!("triage_system.md"), &[("nonce", nonce)]), user)
    }

    /// The same question once more, with the answer that could not be used and what is wrong with it.
    ///
    /// The answer is cut to 2,000 bytes: enough to see its shape.
    pub fn triage_repair(first: &Self, answer: &str, defect: &ReplyDefect) -> Self {
        let answer = redact(answer).cut(2000);
        let defect = redact(&defect.to_string());
        // A delimiter of its own: the model has seen the first one and may have written it into its answer.
        let nonce = nonce(&[&first.0.user, answer.as_str(), defect.as_str()]);
        let user = fill(
            include_str!("triage_repair.md"),
            &[("question", &first.0.user), ("nonce", &nonce), ("answer", answer.as_str()), ("defect", defect.as_str())],
        );
        Self::of(first.0.system.clone(), user)
    }

    fn bytes(&self) -> usize {
        self.0.system.len() + self.0.user.len()
    }
}

const NONCE_DIGITS: usize = 16;

/// A word for the delimiters that occurs in none of the texts.
///
/// Derived from the texts, so that the same case gives the same prompt and a journal can be replayed. Its safety does
/// not rest on the hash being hard to foresee: a word that occurs is passed over, so however a text was made, it cannot
/// hold its own delimiter.
fn nonce(texts: &[&str]) -> String {
    let hash = texts.iter().fold(Fnv::EMPTY, |hash, text| hash.bytes(text.as_bytes()));
    unused_word(hash.value(), texts)
}

/// The first word from `number` on that occurs in none of the texts.
fn unused_word(mut number: u64, texts: &[&str]) -> String {
    loop {
        let word = format!("{number:0NONCE_DIGITS$x}");
        if texts.iter().all(|text| !text.to_ascii_lowercase().contains(&word)) {
            return word;
        }
        number = number.wrapping_add(1);
    }
}
