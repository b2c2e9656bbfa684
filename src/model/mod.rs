//! The wire: one client for every OpenAI-compatible model pod, and the guard on where it may connect.
//!
//! The way of a question through this crate: [`Pod::chat`] words it in the pod's [`Dialect`], `call` sends it through
//! the [`egress`] guard and tries again where that helps (`retry`), `chat` and `embedding` read the answer, and
//! `fault` turns whatever went wrong into a [`ModelError`]. What the answer *means* is for the domain to check:
//! servers silently skip parts of a schema. [`Webhooks`] sends what is for people, through the same guard.
//!
//! Every call blocks. It belongs on a helper thread, whose main thread leaves it behind with [`Pod::shutdown`].
//! Nothing here starts a thread by itself, except the look-up of a host name, which ureq makes on one.

pub mod egress;

mod agent;
mod call;
mod chat;
mod dialect;
mod embedding;
mod fault;
mod key;
mod pod;
mod retry;
mod settings;
mod tls;
mod webhook;

pub use chat::Question;
pub use dialect::Dialect;
pub use embedding::{Embeddings, Kind};
pub use key::{ApiKey, InvalidKey};
pub use oncall_domain::host::{ChatAnswer, ModelError};
pub use pod::{Pod, SetUpError};
pub use settings::{PodSettings, Timeouts};
pub use tls::InvalidAuthorities;
pub use webhook::{InvalidAddress, Letter, Sent, Webhooks, check_address};
