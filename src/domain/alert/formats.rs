//! Which format a payload is of: told in one place, by its keys, in a fixed order.

use serde_json::Value;

use super::draft::Draft;
use super::fields::Fields;
use super::{
    Alert, Basis, alertmanager, cloudwatch, datadog, generic, nagios, opsgenie, pagerduty, text, words, zabbix,
};

/// One format: how it is told, and how it is read.
pub(super) struct Format {
    /// Its name, as error messages say it.
    pub name: &'static str,
    /// The keys by which it is told, as error messages say them.
    pub told_by: &'static str,
    /// Whether a payload is of this format.
    pub is: fn(&Fields) -> bool,
    /// Read a payload of this format.
    pub read: fn(Fields) -> Result<Vec<Draft>, AlertError>,
}

/// Every format, in the order in which they are tried: the more telling its keys, the earlier; `generic` is last
/// because it wants so little.
const FORMATS: [Format; 12] = [
    cloudwatch::ENVELOPE,
    cloudwatch::ALARM,
    pagerduty::WEBHOOK,
    pagerduty::EVENT,
    opsgenie::WEBHOOK,
    alertmanager::GRAFANA,
    alertmanager::ALERTMANAGER,
    zabbix::FORMAT,
    nagios::FORMAT,
    datadog::FORMAT,
    opsgenie::CREATE,
    generic::FORMAT,
];

/// Why a payload is no alert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// Nothing but blanks.
    #[error("the alert is empty")]
    Empty,
    /// A JSON value that cannot be a payload.
    #[error("an alert is a text, an object, or a list of objects, not {found}")]
    NotAnObject {
        /// What it is instead.
        found: &'static str,
    },
    /// No format has these keys.
    #[error("the alert is of no known format: it has {found}")]
    UnknownFormat {
        /// The keys that it has, cut to size.
        found: String,
    },
    /// The format is known, but something that it must have is missing.
    #[error("this {format} payload is malformed: {problem}")]
    Malformed {
        /// The format.
        format: &'static str,
        /// What is missing or wrong.
        problem: String,
    },
    /// The format is known, and the message is about something else.
    #[error("this {format} message is no alert: {what}")]
    NotAnAlert {
        /// The format.
        format: &'static str,
        /// What it is instead.
        what: String,
        /// What to do about it.
        advice: String,
    },
    /// One payload of a list is no alert.
    #[error("number {number} of the list: {error}")]
    InList {
        /// Its place in the list, counted from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        error: Box<AlertError>,
    },
}

impl AlertError {
    /// What was looked for, where nothing of it was found.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::NotAnObject { .. } | Self::UnknownFormat { .. } => {
                let formats: Vec<String> = FORMATS.iter().map(|f| format!("{} ({})", f.name, f.told_by)).collect();
                Some(format!("Looked for, in this order: {}.", formats.join("; ")))
            }
            Self::InList { error, .. } => error.detail(),
            Self::Empty | Self::Malformed { .. } | Self::NotAnAlert { .. } => None,
        }
    }

    /// What the sender, or whoever set the sender up, can do.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty | Self::NotAnObject { .. } | Self::UnknownFormat { .. } => {
                "Send a text, or a payload with at least a \"text\" or a \"name\".".to_owned()
            }
            Self::Malformed { .. } => "Send the payload as the system produced it, unchanged.".to_owned(),
            Self::NotAnAlert { advice, .. } => advice.clone(),
            Self::InList { error, .. } => error.hint(),
        }
    }
}

/// The alerts of a payload, as its sender posted it.
///
/// The format is told by the payload's keys. A list is a list of payloads, a string is a text ([`normalise_text`]).
/// One payload may carry several alerts, firing and resolved mixed: each has its own status. Either all of a payload
/// can be read or it is an error, so that nothing is lost unsaid; there is at least one alert in the answer.
pub fn normalise(payload: &Value) -> Result<Vec<Alert>, AlertError> {
    Ok(drafts(payload)?.into_iter().map(Draft::finish).collect())
}

/// The alerts of a text: one alert whose first line is the story, or those of the JSON object or list that it is.
///
/// Some senders say `text/plain` and send JSON (CloudWatch through SNS does). A text that only looks like JSON, such as one
/// that was cut off on its way, is a text.
pub fn normalise_text(text: &str) -> Result<Vec<Alert>, AlertError> {
    Ok(drafts_of_text(text)?.into_iter().map(Draft::finish).collect())
}

/// [`normalise`], and with each alert what its fingerprint is made from.
pub fn explain(payload: &Value) -> Result<Vec<(Alert, Basis)>, AlertError> {
    Ok(drafts(payload)?.into_iter().map(Draft::explain).collect())
}

fn drafts(payload: &Value) -> Result<Vec<Draft>, AlertError> {
    match payload {
        Value::Object(map) => read(Fields::new(map.clone())),
        Value::String(text) => drafts_of_text(text),
        Value::Array(list) if list.is_empty() => Err(AlertError::Empty),
        Value::Array(list) => {
            let mut drafts = Vec::with_capacity(list.len());
            for (index, item) in list.iter().enumerate() {
                let found = match item {
                    Value::Object(map) => read(Fields::new(map.clone())),
                    other => Err(AlertError::NotAnObject { found: kind(other) }),
                };
                drafts.extend(found.map_err(|error| AlertError::InList { number: index + 1, error: Box::new(error) })?);
            }
            Ok(drafts)
        }
        other => Err(AlertError::NotAnObject { found: kind(other) }),
    }
}

fn drafts_of_text(text: &str) -> Result<Vec<Draft>, AlertError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with(['{', '[']) {
        match serde_json::from_str(text) {
            Ok(payload @ Value::Object(_)) => return drafts(&payload),
            Ok(Value::Array(list)) if list.first().is_some_and(Value::is_object) => {
                return drafts(&Value::Array(list));
            }
            _ => {}
        }
    }
    Ok(vec![text::read(text)?])
}

/// The drafts of an object, by the first format that has its keys.
pub(super) fn read(fields: Fields) -> Result<Vec<Draft>, AlertError> {
    match FORMATS.iter().find(|format| (format.is)(&fields)) {
        Some(format) => (format.read)(fields),
        None => Err(AlertError::UnknownFormat { found: keys(&fields) }),
    }
}

fn keys(fields: &Fields) -> String {
    let mut found: Vec<String> = fields.keys().take(12).map(|key| format!("{:?}", words::cut(key, 40))).collect();
    match fields.keys().count() {
        0 => return "no keys".to_owned(),
        more if more > found.len() => found.push(format!("and {} more", more - found.len())),
        _ => {}
    }
    format!("the keys {}", found.join(", "))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
