//! The PagerDuty Events API v2: an escalation triggers, a person's approval acknowledges, a resolution resolves.

use std::collections::BTreeMap;

use serde_json::json;

use super::parts::{Line, cut, headline, not_empty, parts, urgency};
use super::{Envelope, Request};
use crate::alert::Severity;
use crate::page::{Page, PageKind};

/// The longest summary, and the longest of the names beside it.
const SUMMARY: usize = 1024;
/// The longest key by which alerts are joined.
const KEY: usize = 255;

pub fn render(page: &Page, envelope: &Envelope<'_>) -> Request {
    let action = match page.kind {
        PageKind::Escalation | PageKind::Notice | PageKind::Test => "trigger",
        PageKind::ApprovalOutcome => "acknowledge",
        PageKind::Resolved => "resolve",
    };
    let severity = match urgency(page) {
        Some(Severity::P1) => "critical",
        // An alert that does not say how bad it is must not be the one that nobody hears.
        Some(Severity::P2) | None => "error",
        Some(Severity::P3) => "warning",
        Some(Severity::P4 | Severity::P5) => "info",
    };
    let label = |name: &str| page.alert.labels.get(name).map(|value| cut(value, SUMMARY));
    let host = ["host", "instance", "source"].into_iter().find_map(label);
    let details: BTreeMap<&str, String> = parts(page)
        .into_iter()
        .map(|part| {
            let texts = part.lines.into_iter().map(|(Line::Text(text) | Line::Code(text))| text);
            (part.heading, texts.collect::<Vec<_>>().join("\n"))
        })
        .collect();
    Request::to_address(&json!({
        // Absent where there is no secret: PagerDuty then says so, and the page is a dead letter with its word.
        "routing_key": envelope.secret.map(|secret| secret.reveal()),
        "event_action": action,
        "dedup_key": cut(envelope.incident_key, KEY),
        "client": "pg_oncall",
        "payload": {
            "summary": cut(not_empty(&headline(page)), SUMMARY),
            "source": host.unwrap_or_else(|| cut(not_empty(envelope.database), SUMMARY)),
            "severity": severity,
            "timestamp": page.created_at,
            "component": label("service").or_else(|| label("component")),
            "group": cut(envelope.database, SUMMARY),
            "class": page.classification,
            "custom_details": details,
        },
    }))
}
