//! Datadog: the body of a webhook is a template of the user's; this reads the one that we document, whose values are all strings.
//!
//! `aggreg_key` with the scope is the correlation key: the scope tells the groups of one monitor apart.
//! `alert_cycle_key` is not part of it, because the alert that comes back next week is the same alert.
//! A variable that Datadog did not fill (`$ALERT_PRIORITY`) is null.

use super::draft::Draft;
use super::fields::Fields;
use super::formats::{AlertError, Format};
use super::{Severity, Status};

/// The documented template.
pub(super) const FORMAT: Format = Format {
    name: "datadog",
    told_by: "\"source\": \"datadog\", \"aggreg_key\" or \"alert_cycle_key\"",
    is: |fields| {
        fields.text("source").as_deref() == Some("datadog") || fields.has_any(&["aggreg_key", "alert_cycle_key"])
    },
    read: |fields| Ok(vec![read(fields)?]),
};

fn is_placeholder(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    })
}

fn read(mut event: Fields) -> Result<Draft, AlertError> {
    event.clear_placeholders(is_placeholder);
    let mut draft = Draft::new("datadog");
    let title = event.take_text("title");
    let alert_title = event.take_text("alert_title");
    draft.name = title.as_deref().map(monitor).or(alert_title.as_deref()).map(str::to_owned);
    draft.text = alert_title.or_else(|| draft.name.clone());
    draft.annotation("title", title);
    draft.annotation("description", event.take_text("body"));
    if draft.text.is_none() && !draft.annotations.contains_key("description") {
        let problem = "\"title\", \"alert_title\" and \"body\" are empty, or not filled in".to_owned();
        return Err(AlertError::Malformed { format: "datadog", problem });
    }
    draft.text = draft.text.or_else(|| draft.annotations.get("description").cloned());

    // The word stays: `No Data` is a way of firing that somebody will want to see.
    let transition = event.text("transition").unwrap_or_default().to_ascii_lowercase();
    let is_over = transition.starts_with("recover") || event.text("type").as_deref() == Some("success");
    draft.status = if is_over { Status::Resolved } else { Status::Firing };
    draft.severity = event.take_severity("priority");
    if draft.severity.is_none() && !is_over {
        let warns = transition.ends_with("warn").then_some(Severity::P3);
        draft.severity = warns.or_else(|| event.take_severity("type"));
    }

    let mut scope: Vec<String> =
        event.text("scope").unwrap_or_default().split(',').map(|tag| tag.trim().to_owned()).collect();
    scope.sort();
    draft.key = event.text("aggreg_key").map(|key| match scope.concat().as_str() {
        "" | "*" => key,
        _ => format!("{key} {}", scope.join(",")),
    });
    draft.take_labels(&mut event, "scope");
    draft.take_labels(&mut event, "tags");
    draft.take_label(&mut event, "hostname", "host");
    draft.annotation("metric", event.take_text("metric"));
    draft.annotation("query", event.take_text("query"));
    draft.url = event.take_text("link");
    match draft.status {
        Status::Resolved => draft.ends_at = event.take_time("date"),
        // A reminder is dated when it is sent, not when the alert began.
        _ if transition.starts_with("re") => {}
        _ => draft.starts_at = event.take_time("date"),
    }
    Ok(draft.keep(event))
}

/// The monitor's name: the title without `[P1]` and `[Re-Triggered on {host:a}]`, which Datadog puts before it. Other brackets
/// are the user's.
fn monitor(title: &str) -> &str {
    const MARKS: [&str; 7] = ["triggered", "recovered", "warn", "no data", "renotify", "alert", "ok"];
    let mut name = title.trim();
    while let Some((mark, after)) = name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let mark = mark.to_ascii_lowercase();
        let mark = mark.split(" on {").next().unwrap_or_default();
        let known = MARKS.contains(&mark.strip_prefix("re-").unwrap_or(mark)) || Severity::parse(mark).is_some();
        if !known || after.trim().is_empty() {
            break;
        }
        name = after.trim();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_monitor_is_the_same_in_all_its_titles() {
        for title in [
            "[Triggered on {database:shop}] [shop] Pool exhausted",
            "[P1] [Re-Triggered on {database:shop}] [shop] Pool exhausted",
            "[Recovered] [shop] Pool exhausted",
            "[No Data on {database:shop}] [shop] Pool exhausted",
            "[shop] Pool exhausted",
        ] {
            assert_eq!(monitor(title), "[shop] Pool exhausted");
        }
        assert_eq!(monitor("[Triggered]"), "[Triggered]");
    }
}
