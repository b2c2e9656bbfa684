//! The thinking of pg_oncall: pure, deterministic Rust that knows nothing of Postgres.
//!
//! The way of an alert through this crate: [`alert`] normalises it, [`intake`] says which incident it belongs to, [`retrieval`] says what was found for it,
//! [`prompt`] words the question, [`triage`] checks the answer, [`policy`] decides. [`agents`] tie these together as
//! plain `async fn`s over a [`host`], the only door to the world. [`runbook`] and [`tool`] are the catalogue,
//! [`builtin`] is the model that is always there, [`redact`] keeps secrets out of prompts and journal.

pub mod agents;
pub mod alert;
pub mod builtin;
pub mod delivery;
pub mod flat;
mod fnv;
pub mod host;
pub mod ids;
pub mod incident;
pub mod intake;
pub mod page;
pub mod policy;
pub mod prompt;
pub mod ranking;
pub mod redact;
pub mod retrieval;
pub mod runbook;
pub mod tool;
pub mod triage;
