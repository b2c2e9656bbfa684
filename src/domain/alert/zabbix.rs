//! Zabbix: the parameters of a webhook media type, `{EVENT.ID}` as `event_id` and so on.
//!
//! A macro that Zabbix could not resolve arrives as it was written, or as `*UNKNOWN*`: both are null. Dates and times
//! are those of Zabbix's server, without an offset; they are read as UTC, and a note in `extra` says so.
//!
//! The trigger is what fires and recovers, so its id is the correlation key (that of the event where there is none).

use serde_json::Value;

use super::draft::Draft;
use super::fields::Fields;
use super::formats::{AlertError, Format};
use super::time::{self, Time};
use super::{Severity, Status};

/// The media type's parameters.
pub(super) const FORMAT: Format = Format {
    name: "zabbix",
    told_by: "\"event_id\" or \"trigger_id\" with \"event_value\", \"event_nseverity\" or \"event_update_status\"",
    is: |fields| {
        fields.has_any(&["event_id", "trigger_id"])
            && fields.has_any(&["event_value", "event_nseverity", "event_update_status"])
    },
    read: |fields| Ok(vec![read(fields)?]),
};

fn is_placeholder(text: &str) -> bool {
    // `{EVENT.ID}`, `{$USER.MACRO}`, `{#LLD}`, `{{ITEM.VALUE}.regsub(...)}`; but not `{"a": 1}`.
    let macro_like = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    text == "*UNKNOWN*"
        || macro_like.is_some_and(|inner| {
            inner.starts_with(|c: char| c.is_ascii_uppercase() || matches!(c, '$' | '#' | '{' | '?'))
        })
}

fn read(mut event: Fields) -> Result<Draft, AlertError> {
    event.clear_placeholders(is_placeholder);
    let mut draft = Draft::new("zabbix");
    // Ids count for one server only, and other systems count too.
    let key = |name: &str, kind: &str| event.text(name).map(|id| format!("zabbix:{kind}:{id}"));
    draft.key = key("trigger_id", "trigger").or_else(|| key("event_id", "event"));
    draft.name = event.take_first(&["event_name", "trigger_name"]);
    let subject = event.take_text("subject");
    if draft.key.is_none() && draft.name.is_none() && subject.is_none() {
        let problem = "its macros were not filled in; it must be sent by Zabbix for an event".to_owned();
        return Err(AlertError::Malformed { format: "zabbix", problem });
    }
    draft.status = match event.text("event_value").as_deref() {
        Some("0") => Status::Resolved,
        _ if acknowledged(&event) => Status::Acknowledged,
        _ => Status::Firing,
    };
    draft.severity = event.take_as("event_nseverity", severity).or_else(|| event.take_severity("event_severity"));
    draft.text = draft.name.clone().or_else(|| subject.clone());
    draft.annotation("subject", subject);
    draft.annotation("description", event.take_text("message"));
    draft.annotation("opdata", event.take_text("event_opdata"));
    draft.take_labels(&mut event, "event_tags");
    draft.take_label(&mut event, "host", "host");
    draft.starts_at = take_date(&mut event, "event_date", "event_time");
    if draft.status == Status::Resolved {
        draft.ends_at = take_date(&mut event, "event_recovery_date", "event_recovery_time");
    }
    if draft.starts_at.is_some() || draft.ends_at.is_some() {
        draft.notes.push("times were read as UTC: Zabbix sends its server's local time, without an offset".to_owned());
    }
    draft.url = event.take_first(&["url", "event_url", "trigger_url"]);
    Ok(draft.keep(event))
}

/// `{EVENT.ACK.STATUS}` is `Yes` or `No`; `{EVENT.UPDATE.ACTION}` lists what was done in words.
fn acknowledged(event: &Fields) -> bool {
    let is = |key: &str, words: &[&str]| event.text(key).is_some_and(|text| words.contains(&text.as_str()));
    let done = event.text("event_update_action").unwrap_or_default();
    is("event_ack_status", &["Yes", "1"])
        || done.split(',').any(|word| word.trim().eq_ignore_ascii_case("acknowledged"))
}

/// Zabbix's numbers by their names, 0 to 5: not classified, information, warning, average, high, disaster.
fn severity(number: &str) -> Option<Severity> {
    let name = match number {
        "1" => "information",
        "2" => "warning",
        "3" => "average",
        "4" => "high",
        "5" => "disaster",
        _ => return None,
    };
    Severity::parse(name)
}

fn take_date(event: &mut Fields, date: &str, time: &str) -> Option<jiff::Timestamp> {
    let both = Value::String(format!("{} {}", event.text(date)?, event.text(time)?));
    let Some(Time::At(at)) = time::read(&both) else { return None };
    event.take_first(&[date]);
    event.take_first(&[time]);
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_macro_is_told_from_json_and_from_words() {
        for text in ["{EVENT.RECOVERY.DATE}", "{$LIMIT}", "{#FSNAME}", "{{ITEM.VALUE}.regsub(a, b)}", "*UNKNOWN*"] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["{\"a\": 1}", "{}", "disk {full}", "", "{", "}"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn the_numbers_of_zabbix_count_upwards() {
        assert_eq!(severity("5"), Some(Severity::P1));
        assert_eq!(severity("4"), Some(Severity::P2));
        assert_eq!(severity("3"), Some(Severity::P3));
        assert_eq!(severity("2"), Some(Severity::P3));
        assert_eq!(severity("1"), Some(Severity::P4));
        assert_eq!(severity("0"), None);
    }
}
