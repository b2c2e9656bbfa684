//! Opsgenie: the webhooks that it sends, and the body by which alerts are created in it.
//!
//! The `alias` is the correlation key (Opsgenie gives an alert without one its id as alias). `details` and tags of the
//! form `k:v` are labels: Alertmanager puts the labels there.

use serde_json::Value;

use super::Status;
use super::draft::Draft;
use super::fields::Fields;
use super::formats::{AlertError, Format};

/// The webhook.
pub(super) const WEBHOOK: Format = Format {
    name: "opsgenie webhook",
    told_by: "\"action\" with \"alert\", an object",
    is: |fields| fields.has("action") && fields.get("alert").is_some_and(Value::is_object),
    read: |fields| Ok(vec![read_webhook(fields)?]),
};

/// The body of a request to create an alert.
pub(super) const CREATE: Format = Format {
    name: "opsgenie alert",
    told_by: "\"message\" with \"alias\", \"responders\" or \"visibleTo\"",
    is: |fields| fields.text("message").is_some() && fields.has_any(&["alias", "responders", "visibleTo"]),
    read: |mut fields| Ok(vec![read_alert(&mut fields, Status::Firing)?.keep(fields)]),
};

fn read_webhook(mut webhook: Fields) -> Result<Draft, AlertError> {
    let action = webhook.text("action").unwrap_or_default();
    let status = match action.as_str() {
        "Create" | "UnAcknowledge" | "Escalate" | "SnoozeEnded" => Status::Firing,
        "Acknowledge" | "TakeOwnership" | "Snooze" => Status::Acknowledged,
        "Close" | "Delete" => Status::Resolved,
        _ => {
            return Err(AlertError::NotAnAlert {
                format: "opsgenie",
                what: format!("the action {:?} does not change where an alert stands", super::words::cut(&action, 64)),
                advice: "Let the webhook integration send Create, Acknowledge, UnAcknowledge, Close and Delete only."
                    .to_owned(),
            });
        }
    };
    let mut alert = webhook.take_object("alert").unwrap_or_default();
    let draft = read_alert(&mut alert, status)?;
    webhook.put_back("alert", alert);
    Ok(draft.keep(webhook))
}

fn read_alert(alert: &mut Fields, status: Status) -> Result<Draft, AlertError> {
    let mut draft = Draft::new("opsgenie");
    draft.status = status;
    draft.key = alert.text("alias").or_else(|| alert.text("alertId"));
    draft.text = alert.take_text("message");
    if draft.text.is_none() && draft.key.is_none() {
        let problem = "there is neither a \"message\" nor an \"alias\"".to_owned();
        return Err(AlertError::Malformed { format: "opsgenie", problem });
    }
    draft.severity = alert.take_severity("priority");
    draft.annotation("description", alert.take_text("description"));
    draft.starts_at = alert.take_time("createdAt");
    draft.ends_at = alert.take_end("updatedAt", status);
    draft.take_labels(alert, "details");
    draft.take_labels(alert, "tags");
    draft.take_label(alert, "entity", "entity");
    draft.take_label(alert, "source", "source");
    Ok(draft)
}
