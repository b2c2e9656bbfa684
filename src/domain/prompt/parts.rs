//! The parts of a prompt as text: the alert, the sections, the list of steps, the metrics.
//!
//! Whatever was written outside goes through the redactor here; names that were checked when they were made (ids,
//! tools) do not, since the model must see them letter by letter.

use std::fmt::Write;

use crate::alert::Alert;
use crate::host::Metric;
use crate::ids::StepId;
use crate::redact::{redact, redact_json, redact_named};
use crate::retrieval::{FoundBy, Retrieval};

/// The alert in at most `room` bytes: what it says first, then what identifies and describes it.
pub(super) fn alert(alert: &Alert, room: usize) -> String {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: &str, most: usize| {
        let value = redact_named(name, value).cut(most);
        // A name comes from outside as well, and the redactor may find more in name and value together.
        lines.push(redact(&format!("{name}: {}", value.as_str())).as_str().to_owned());
    };
    add("source", &alert.source, room);
    if let Some(name) = &alert.name {
        add("name", name, room);
    }
    add("severity", alert.severity.map_or("unknown", |severity| severity.as_str()), room);
    if let Some(since) = alert.starts_at {
        add("since", &since.to_string(), room);
    }
    // Half of the room, so that the labels are seen whatever the length of the text.
    add("text", &alert.text, room / 2);
    for (name, value) in alert.labels.iter().chain(&alert.annotations) {
        // Senders often repeat the text in an annotation.
        if *value != alert.text {
            add(name, value, room / 4);
        }
    }
    for (name, value) in &alert.extra {
        // Redacted while it still is a document: as text, a secret would have lost the key that names it.
        let value = value.as_str().map_or_else(|| redact_json(value).to_string(), str::to_owned);
        add(name, &value, room / 4);
    }
    within(room, lines, "lines")
}

/// The sections in at most `room` bytes, best first; the last one that finds room is cut to it.
pub(super) fn sections(retrieval: &Retrieval, room: usize) -> String {
    let described = retrieval.sections.iter().map(|section| {
        let mut text = format!("Runbook {}: {}\n", section.runbook_id, redact(&section.title).as_str());
        if let Some(incident_type) = &section.incident_type {
            let _ = writeln!(text, "Incident type {}", redact(incident_type).as_str());
        }
        let _ = match section.found_by {
            FoundBy::AlertName => writeln!(text, "Found by the alert's name"),
            FoundBy::Similarity => writeln!(text, "Found by similarity {:.2}", section.similarity),
        };
        let _ = writeln!(text, "Section {}", redact(&section.section).as_str());
        let step = StepId::of(&section.runbook_id, &section.section).ok();
        if let Some(step) = step.filter(|id| retrieval.step(id.as_str()).is_some()) {
            let _ = writeln!(text, "Step {step}");
        }
        text + redact(&section.content).as_str() + "\n"
    });
    within(room, described, "sections")
}

/// Every step on offer, whatever the room.
pub(super) fn steps(retrieval: &Retrieval) -> String {
    let mut text = String::new();
    for step in &retrieval.steps {
        let parameters = serde_json::to_string(&step.parameters).unwrap_or_default();
        let destructive = if step.destructive { "yes" } else { "no" };
        let parameters = redact(&parameters);
        let separator = if text.is_empty() { "" } else { "\n" };
        let _ = write!(
            text,
            "{separator}- {}\n  tool {}, destructive: {destructive}, parameters {}",
            step.id,
            step.tool,
            parameters.as_str()
        );
    }
    if text.is_empty() { "(none: recommend no action)".to_owned() } else { text }
}

/// The metrics in at most `room` bytes, one a line, most telling first.
pub(super) fn metrics(metrics: &[Metric], room: usize) -> String {
    let lines = metrics.iter().map(|metric| {
        let at = metric.at.map(|at| format!(" at {at}")).unwrap_or_default();
        // Statements have line ends, which would look like other metrics.
        let about = redact(&metric.about).as_str().split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} = {}{at} | {}", redact(&metric.name).as_str(), metric.value, redact(&about).cut(400).as_str())
    });
    within(room, lines, "lines")
}

/// As many of the texts as there is room for, in their order, the last one cut; how many were left out is said.
fn within<I>(room: usize, texts: I, what: &str) -> String
where
    I: IntoIterator<Item = String, IntoIter: ExactSizeIterator>,
{
    // For the note at the end.
    const NOTE: usize = 48;
    let room = room.saturating_sub(NOTE);
    let mut kept = String::new();
    let mut texts = texts.into_iter();
    while let Some(text) = texts.next() {
        let free = room.saturating_sub(kept.len() + 1);
        if free < text.len() && free < 100 {
            // Counted without being made: what is left out costs nothing.
            let _ = write!(kept, "\n[{} more {what} left out]", texts.len() + 1);
            break;
        }
        if !kept.is_empty() {
            kept.push('\n');
        }
        let end = text.floor_char_boundary(free);
        kept.push_str(&text[..end]);
        if end < text.len() {
            kept.push_str(" [cut]");
        }
    }
    if kept.is_empty() { "(none)".to_owned() } else { kept }
}
