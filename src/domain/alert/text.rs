//! Plain text: the first line is the story, marks before it tell status and severity.

use super::draft::Draft;
use super::formats::AlertError;
use super::{Status, marker, words};

/// Read a text. Everything is kept as it stands.
pub(super) fn read(text: &str) -> Result<Draft, AlertError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AlertError::Empty);
    }
    let marks = marker::read(words::first_line(text));
    Ok(Draft {
        status: marks.status.unwrap_or(Status::Firing),
        severity: marks.severity,
        text: Some(text.to_owned()),
        ..Draft::new("text")
    })
}
