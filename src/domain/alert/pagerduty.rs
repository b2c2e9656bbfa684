//! PagerDuty: the events that are sent to it (Events v2), and the webhooks that it sends (v3).
//!
//! Both carry the same correlation key, `dedup_key` there and `incident_key` here. An event's `routing_key` is a
//! credential and is withheld: `extra` says that there was one.
//!
//! `custom_details` describe; their `labels`, where the sender puts an object of that name, and their `alertname` identify.

use serde_json::{Map, Value};

use super::draft::Draft;
use super::fields::Fields;
use super::formats::{AlertError, Format};
use super::{Severity, Status, pairs};

/// Events API v2.
pub(super) const EVENT: Format = Format {
    name: "pagerduty event",
    told_by: "\"event_action\" with \"dedup_key\", \"routing_key\" or \"payload\"",
    is: |fields| fields.has("event_action") && fields.has_any(&["dedup_key", "routing_key", "payload"]),
    read: |fields| Ok(vec![read_event(fields)?]),
};

/// Webhooks v3.
pub(super) const WEBHOOK: Format = Format {
    name: "pagerduty webhook",
    told_by: "\"event\" with \"event_type\"",
    is: |fields| fields.get("event").and_then(|event| event.get("event_type")).is_some_and(Value::is_string),
    read: |fields| Ok(vec![read_webhook(fields)?]),
};

fn malformed(problem: impl Into<String>) -> AlertError {
    AlertError::Malformed { format: "pagerduty", problem: problem.into() }
}

fn read_event(mut event: Fields) -> Result<Draft, AlertError> {
    let mut draft = Draft::new("pagerduty");
    draft.status = match event.take_text("event_action").as_deref() {
        Some("trigger") => Status::Firing,
        Some("acknowledge") => Status::Acknowledged,
        Some("resolve") => Status::Resolved,
        _ => return Err(malformed("\"event_action\" is not trigger, acknowledge or resolve")),
    };
    draft.key = event.text("dedup_key");
    if draft.key.is_none() && draft.status != Status::Firing {
        return Err(malformed("without a \"dedup_key\" nobody knows which alert it is about"));
    }
    if event.text("routing_key").is_some() {
        event.set("routing_key", "(withheld)");
    }
    draft.url = event.take_text("client_url");
    let mut payload = event.take_object("payload").unwrap_or_default();
    draft.text = payload.take_text("summary");
    if draft.text.is_none() && draft.status == Status::Firing {
        return Err(malformed("a trigger must have \"payload\" with a \"summary\""));
    }
    if draft.text.is_none() {
        draft.text = draft.key.as_ref().map(|key| format!("PagerDuty alert {key}, {}", draft.status));
    }
    draft.severity = payload.take_severity("severity");
    match draft.status {
        Status::Firing => draft.starts_at = payload.take_time("timestamp"),
        Status::Resolved => draft.ends_at = payload.take_time("timestamp"),
        // When somebody saw it is neither its start nor its end.
        Status::Acknowledged => {}
    }
    if let Some(mut details) = payload.take_object("custom_details") {
        if details.get("labels").is_some_and(Value::is_object) {
            draft.take_labels(&mut details, "labels");
        }
        draft.take_label(&mut details, "alertname", "alertname");
        draft.annotations = details.take_scalars();
        payload.put_back("custom_details", details);
    }
    for name in ["source", "component", "group", "class"] {
        draft.take_label(&mut payload, name, name);
    }
    event.put_back("payload", payload);
    Ok(draft.keep(event))
}

fn read_webhook(mut webhook: Fields) -> Result<Draft, AlertError> {
    let mut event = webhook.take_object("event").unwrap_or_default();
    let kind = event.text("event_type").unwrap_or_default();
    let mut incident = event.take_object("data").unwrap_or_default();
    let by_incident = incident.text("status").and_then(|word| Status::parse(&word)).unwrap_or(Status::Firing);
    let status = match kind.as_str() {
        "incident.triggered" | "incident.unacknowledged" | "incident.reopened" => Status::Firing,
        "incident.acknowledged" => Status::Acknowledged,
        "incident.resolved" => Status::Resolved,
        "incident.escalated" | "incident.reassigned" | "incident.delegated" | "incident.priority_updated" => {
            by_incident
        }
        _ => {
            return Err(AlertError::NotAnAlert {
                format: "pagerduty",
                what: format!("its event_type is {:?}", super::words::cut(&kind, 64)),
                advice: "Subscribe the webhook to incident.triggered, incident.acknowledged, \
                         incident.unacknowledged, incident.reopened and incident.resolved only."
                    .to_owned(),
            });
        }
    };
    let mut draft = Draft::new("pagerduty");
    draft.status = status;
    incident.take_status("status");
    draft.key = incident.text("incident_key").or_else(|| incident.text("id"));
    if draft.key.is_none() {
        return Err(malformed("\"event.data\" has neither \"incident_key\" nor \"id\""));
    }
    draft.text = incident.take_text("title").or_else(|| incident.take_text("summary"));
    draft.severity = priority(incident.get("priority")).or_else(|| incident.take_severity("urgency"));
    draft.starts_at = incident.take_time("created_at");
    if status == Status::Resolved {
        draft.ends_at = event.take_time("occurred_at");
    }
    draft.url = incident.take_text("html_url");
    if let Some(service) = incident.get("service").and_then(|service| service.get("summary")).and_then(pairs::scalar) {
        draft.labels.insert("service".to_owned(), service);
    }
    event.put_back("data", incident);
    webhook.put_back("event", event);
    Ok(draft.keep(webhook))
}

/// A priority is an object with a name that the account's owner chose; left in place for its other keys.
fn priority(priority: Option<&Value>) -> Option<Severity> {
    let priority: &Map<String, Value> = priority?.as_object()?;
    ["summary", "name"].iter().find_map(|key| Severity::parse(priority.get(*key)?.as_str()?))
}
