//! What every format says, in the order that an engineer reads it: the formats differ in their markup alone.

use crate::alert::Severity;
use crate::page::{Page, PageKind};

/// One part of a page: a heading and what stands under it.
pub struct Part {
    pub heading: &'static str,
    pub lines: Vec<Line>,
}

/// One piece under a heading.
pub enum Line {
    /// Words.
    Text(String),
    /// To be typed as it is, or shown as it is.
    Code(String),
}

/// The one line by which a page is recognised in a list.
pub fn headline(page: &Page) -> String {
    let state = match page.kind {
        PageKind::Escalation => "",
        PageKind::Notice => "Handled: ",
        PageKind::ApprovalOutcome => "After approval: ",
        PageKind::Resolved => "Resolved: ",
        PageKind::Test => "Test: ",
    };
    let severity = page.severity.map(|severity| format!("[{severity}] ")).unwrap_or_default();
    format!("{state}{severity}{} {}", page.incident_id, page.title)
}

/// Everything else, most urgent first. Parts with nothing in them are left out.
pub fn parts(page: &Page) -> Vec<Part> {
    let text = |text: String| vec![Line::Text(text)];
    let list = |items: Vec<String>| items.into_iter().map(|item| Line::Text(format!("• {item}"))).collect();
    let parts = [
        Part { heading: "Alert", lines: text(page.alert.text.clone()) },
        Part { heading: "Diagnosis", lines: diagnosis(page) },
        Part {
            heading: "Done",
            lines: list(page.done.iter().map(|w| format!("{}: {}", w.summary, w.outcome)).collect()),
        },
        Part { heading: "To do next", lines: recommended(page) },
        Part {
            heading: "Evidence",
            lines: list(page.evidence.iter().map(|e| format!("{}: {}", e.what, e.finding)).collect()),
        },
        Part { heading: "Why a person is asked", lines: list(objections(page)) },
        Part { heading: "Runbook", lines: runbook(page) },
        Part {
            heading: "Alert details",
            lines: text(details(page).map(|(name, value)| format!("{name}: {value}\n")).collect()),
        },
    ];
    parts.into_iter().filter(|part| !part.lines.is_empty()).collect()
}

fn diagnosis(page: &Page) -> Vec<Line> {
    let mut said = page.classification.clone().unwrap_or_default();
    if let Some(confidence) = page.confidence {
        said = format!("{said} (confidence {confidence})");
    }
    [Some(said.trim().to_owned()), page.hypothesis.clone()]
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .map(Line::Text)
        .collect()
}

fn recommended(page: &Page) -> Vec<Line> {
    let mut lines = Vec::new();
    for action in &page.recommended {
        let warning = if action.destructive { " (destructive)" } else { "" };
        lines.push(Line::Text(format!("• {}{warning}: {}", action.step_id, action.summary)));
        lines.extend(action.approve.clone().map(Line::Code));
    }
    lines
}

/// The conditions that were not met; a page that asks for nothing has none worth reading.
fn objections(page: &Page) -> Vec<String> {
    if page.kind != PageKind::Escalation {
        return Vec::new();
    }
    page.reasons.iter().filter(|reason| !reason.pass).map(|reason| reason.reason.clone()).collect()
}

fn runbook(page: &Page) -> Vec<Line> {
    let Some(section) = &page.runbook else { return Vec::new() };
    let place = format!("{} {}: {}", section.runbook_id, section.title, section.section);
    vec![Line::Text(place), Line::Text(section.content.clone())]
}

/// Name and value of what identifies the alert.
pub fn details(page: &Page) -> impl Iterator<Item = (String, String)> {
    let started = page.alert.started_at.map(|at| at.to_string());
    let known = [
        ("source", Some(page.alert.source.clone())),
        ("started_at", started),
        ("fingerprint", Some(page.fingerprint.clone())),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.filter(|v| !v.is_empty())?)));
    known.chain(page.alert.labels.clone())
}

/// How bad it is for whoever is told: what is handled, over, or only tried wakes nobody.
pub fn urgency(page: &Page) -> Option<Severity> {
    match page.kind {
        PageKind::Escalation | PageKind::ApprovalOutcome => page.severity,
        PageKind::Notice | PageKind::Resolved | PageKind::Test => Some(Severity::P5),
    }
}

/// What stands where something was left out.
pub const SIGN: &str = "…";

/// At most `bytes` bytes of `text`, and a sign where something was left out.
///
/// Receivers count characters or UTF-16 units; bytes are never fewer than these.
pub fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}{SIGN}", &text[..text.floor_char_boundary(bytes.saturating_sub(SIGN.len()))])
}

/// A text that receivers refuse when it is empty.
pub fn not_empty(text: &str) -> &str {
    if text.trim().is_empty() { "-" } else { text }
}
