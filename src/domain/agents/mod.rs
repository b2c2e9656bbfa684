//! The agents: plain `async fn`s over a [`crate::host::Host`].
//!
//! An agent reads from top to bottom and knows nothing of Postgres, threads or SQL. Between its calls to the host it is
//! deterministic, so that a journal can answer for the world and the same function runs again after a crash.

pub mod triage;

pub use triage::{TriageSettings, triage};
