//! The model that is always there: an embedder and a triage with no model behind them.
//!
//! Deterministic and cheap, so that the whole pipeline runs with nothing beside Postgres, and goes on when a model pod
//! does not.

mod chunks;
mod confidence;
mod embedder;
mod hash;
mod stem;
mod stop_words;
mod tokens;
mod triage;
mod weights;

pub use chunks::{LONGEST_SECTION, chunk_text, pod_passage_text, pod_query_text, split_section};
pub use confidence::{BY_NAME, confidence};
pub use embedder::{LONGEST_TEXT, embed, is_blank};
pub use hash::DIMENSIONS;
pub use triage::triage;
