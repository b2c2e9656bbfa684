//! The Opsgenie alert API: an escalation creates, a person's approval acknowledges, a resolution closes, all by alias.

use std::collections::BTreeMap;

use serde_json::json;

use super::parts::{Line, cut, details, headline, not_empty, parts, urgency};
use super::{Envelope, Request};
use crate::alert::Severity;
use crate::page::{Page, PageKind};

/// The longest message.
const MESSAGE: usize = 130;
/// The longest alias.
const ALIAS: usize = 512;
/// The longest description.
const DESCRIPTION: usize = 15_000;
/// The longest source.
const SOURCE: usize = 100;
/// The longest note.
const NOTE: usize = 25_000;

pub fn render(page: &Page, envelope: &Envelope<'_>) -> Request {
    let alias = cut(envelope.incident_key, ALIAS);
    let source = cut(&format!("pg_oncall/{}", envelope.database), SOURCE);
    let (path, body) = match page.kind {
        PageKind::Escalation | PageKind::Notice | PageKind::Test => (
            "/v2/alerts".to_owned(),
            json!({
                "message": cut(not_empty(&headline(page)), MESSAGE),
                "alias": alias,
                "description": cut(&description(page), DESCRIPTION),
                "details": details(page).collect::<BTreeMap<_, _>>(),
                "entity": page.alert.labels.get("service").or(page.alert.labels.get("host")),
                "source": source,
                "tags": ["pg_oncall", page.kind.as_str()],
                "priority": urgency(page).unwrap_or(Severity::P3),
            }),
        ),
        PageKind::ApprovalOutcome => (of(&alias, "acknowledge"), note(page, &source)),
        PageKind::Resolved => (of(&alias, "close"), note(page, &source)),
    };
    let headers = envelope.secret.map(|key| ("Authorization", format!("GenieKey {}", key.reveal())));
    Request { path, headers: headers.into_iter().collect(), ..Request::to_address(&body) }
}

fn note(page: &Page, source: &str) -> serde_json::Value {
    json!({ "source": source, "note": cut(&format!("{}\n\n{}", headline(page), description(page)), NOTE) })
}

fn description(page: &Page) -> String {
    let mut text = String::new();
    for part in parts(page) {
        text.push_str(part.heading);
        for Line::Text(line) | Line::Code(line) in part.lines {
            text.push('\n');
            text.push_str(&line);
        }
        text.push_str("\n\n");
    }
    text
}

/// The path of an action on the alert of an alias.
fn of(alias: &str, action: &str) -> String {
    let mut path = String::from("/v2/alerts/");
    for byte in alias.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    format!("{path}/{action}?identifierType=alias")
}
