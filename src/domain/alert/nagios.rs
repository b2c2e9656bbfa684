//! Nagios, and what notifies like it: a command that posts `$NOTIFICATIONTYPE$`, `$HOSTNAME$`, `$SERVICEDESC$`, ... as JSON.
//!
//! Host and service identify an alert: `$SERVICEPROBLEMID$` is 0 at a recovery, so it cannot. The service's
//! description is the alert's name; a host alert has none.

use super::draft::Draft;
use super::fields::Fields;
use super::formats::{AlertError, Format};
use super::{Severity, Status, words};

const HOST: [&str; 3] = ["host", "hostname", "host_name"];
const SERVICE: [&str; 3] = ["service", "service_description", "servicedesc"];

/// The notification.
pub(super) const FORMAT: Format = Format {
    name: "nagios",
    told_by: "\"notification_type\" with \"host\"",
    is: |fields| fields.has("notification_type") && fields.has_any(&HOST),
    read: |fields| Ok(vec![read(fields)?]),
};

fn read(mut event: Fields) -> Result<Draft, AlertError> {
    let mut draft = Draft::new("nagios");
    let kind = event.text("notification_type").unwrap_or_default();
    // The words stay: OK and UP, DOWN and CRITICAL differ in more than severity.
    let state = event.text("state").unwrap_or_default();
    let by_state = if matches!(state.as_str(), "OK" | "UP") { Status::Resolved } else { Status::Firing };
    draft.status = match kind.as_str() {
        "PROBLEM" => Status::Firing,
        "RECOVERY" => Status::Resolved,
        "ACKNOWLEDGEMENT" => Status::Acknowledged,
        "FLAPPINGSTART" | "FLAPPINGSTOP" | "FLAPPINGDISABLED" | "CUSTOM" => by_state,
        _ => {
            return Err(AlertError::NotAnAlert {
                format: "nagios",
                what: format!("its notification_type is {:?}", words::cut(&kind, 64)),
                advice: "Call the command for PROBLEM, RECOVERY, ACKNOWLEDGEMENT and FLAPPING notifications only \
                         (notification_options w,u,c,r,f)."
                    .to_owned(),
            });
        }
    };
    let Some(host) = event.take_first(&HOST) else {
        return Err(AlertError::Malformed { format: "nagios", problem: "\"host\" is empty".to_owned() });
    };
    draft.name = event.take_first(&SERVICE);
    draft.key = Some(format!("nagios:{host}/{}", draft.name.as_deref().unwrap_or_default()));
    let output = event.take_text("output");
    draft.text = match (&draft.name, output) {
        (Some(_), output) => output,
        (None, Some(output)) => Some(format!("{host} is {}: {output}", state.to_lowercase())),
        (None, None) => Some(format!("{host} is {}", state.to_lowercase())),
    };
    draft.annotation("description", event.take_text("long_output"));
    draft.labels.insert("host".to_owned(), host);
    // The state of a recovery says that it is over, not how bad it was.
    if draft.status != Status::Resolved {
        draft.severity = Severity::parse(&state);
    }
    match draft.status {
        Status::Firing => draft.starts_at = event.take_time("last_state_change").or_else(|| event.take_time("time")),
        Status::Resolved => draft.ends_at = event.take_time("last_state_change").or_else(|| event.take_time("time")),
        Status::Acknowledged => draft.starts_at = event.take_time("last_state_change"),
    }
    draft.url = event.take_text("url");
    Ok(draft.keep(event))
}
