//! To come.
use serde::{Deserialize, Serialize};
/// Text without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redacted(String);
