//! To come.
use serde::Serialize;
/// The words of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prompt;
