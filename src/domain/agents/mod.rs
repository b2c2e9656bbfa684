//! The agents: plain `async fn`s over a [`crate::host::Host`].
//!
//! An agent reads from top to bottom and knows nothing of Postgres, threads or SQL. Between its calls to the host it is
//! deterministic, so that a journal can answer for the world and the same function runs again after a crash.
//!
//! The way of an incident: [`triage`] before the decision; then [`treat`], which either resolves it (remediation,
//! diagnostics and notification at once, each on a branch of its own) or escalates it; and [`carry_out_approved`] for
//! each step that a person approves afterwards. Each agent has its own prompt and its own tools: remediation the approved
//! steps, diagnostics the queries of the catalogue, notification and escalation the outbox.

mod answer;
mod approved;
mod asking;
mod carry_out;
mod diagnostics;
mod escalation;
mod notification;
mod offers;
mod open;
mod paging;
mod remediation;
mod resolve;
mod synthesis;
#[cfg(test)]
mod tests;
pub mod triage;
mod work;

pub use approved::{ApprovalOutcome, carry_out_approved};
pub use diagnostics::{Found, Look};
pub use escalation::{escalate, last_resort};
pub use remediation::Remediation;
pub use resolve::{resolve, treat};
pub use synthesis::{Resolution, with_later};
pub use triage::{TriageSettings, triage};
pub use work::{End, Work};

/// What an agent may spend on a question to the model.
pub type Limits = TriageSettings;
