//! Any other JSON object that says something: the keys that people and articles use, each with its synonyms.
//!
//! | what | keys, the first that is usable counts |
//! | --- | --- |
//! | text | [`TEXT`]; the next one of them is the `description`, any other an annotation of its own name |
//! | name | [`NAME`] |
//! | severity | [`SEVERITY`] |
//! | status | `status`, `state`, `resolved: true`; without any, the text's mark (`[RESOLVED]`); without that, firing |
//! | correlation key | [`KEY`] |
//! | start, end | [`START`], [`END`]; a mere [`TIME`] is the end of a resolved alert, else the start |
//! | link | [`URL`] |
//! | labels | `labels`, `tags` (object, list or `k:v,k:v`), and the keys of [`LABELS`] |
//! | annotations | `annotations` |

use serde_json::Value;

use super::draft::Draft;
use super::fields::Fields;
use super::formats::{AlertError, Format};
use super::{Severity, Status, fingerprint, marker, words};

const TEXT: [&str; 12] = [
    "text",
    "alert_text",
    "summary",
    "title",
    "message",
    "msg",
    "alert",
    "subject",
    "description",
    "body",
    "content",
    "details",
];
const NAME: [&str; 6] = ["alertname", "alert_name", "alertName", "name", "rule_name", "ruleName"];
const SEVERITY: [&str; 5] = ["severity", "priority", "level", "urgency", "sev"];
const KEY: [&str; 7] =
    ["fingerprint", "dedup_key", "dedupKey", "deduplication_key", "incident_key", "correlation_key", "alias"];
const START: [&str; 7] = ["starts_at", "startsAt", "started_at", "startedAt", "start_time", "startTime", "since"];
const END: [&str; 8] = ["ends_at", "endsAt", "ended_at", "endedAt", "end_time", "endTime", "resolved_at", "resolvedAt"];
const TIME: [&str; 9] =
    ["timestamp", "time", "ts", "@timestamp", "date", "created_at", "createdAt", "occurred_at", "eventTime"];
const URL: [&str; 6] = ["url", "link", "generatorURL", "html_url", "alert_url", "dashboard_url"];
const LABELS: [(&str, &str); 15] = [
    ("cluster", "cluster"),
    ("component", "component"),
    ("database", "database"),
    ("db", "database"),
    ("environment", "environment"),
    ("env", "environment"),
    ("host", "host"),
    ("hostname", "host"),
    ("instance", "instance"),
    ("job", "job"),
    ("namespace", "namespace"),
    ("region", "region"),
    ("service", "service"),
    ("source", "source"),
    ("source_system", "source"),
];

/// The keys above.
pub(super) const FORMAT: Format = Format {
    name: "generic JSON",
    told_by: "a text (\"text\", \"message\", \"summary\", \"title\", \"description\"), a name (\"name\", \
              \"alertname\"), \"labels\", or a key (\"fingerprint\", \"dedup_key\") with a \"status\"",
    is: |fields| {
        TEXT.iter().chain(&NAME).any(|key| fields.get(key).is_some_and(is_said))
            || ["labels", "annotations"].iter().any(|key| {
                fields.get(key).and_then(Value::as_object).is_some_and(|pairs| pairs.values().any(is_said))
            })
            // A resolution may be no more than this.
            || (KEY.iter().any(|key| fields.get(key).is_some_and(is_said))
                && ["status", "state"].iter().any(|key| fields.text(key).and_then(|word| Status::parse(&word)).is_some()))
    },
    read: |fields| Ok(vec![read(fields)?]),
};

/// Whether it is a text with something in it. A number is no story.
fn is_said(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

fn read(mut payload: Fields) -> Result<Draft, AlertError> {
    let mut draft = Draft::new("generic");
    draft.annotations = payload.take_pairs_of_object("annotations");
    draft.take_labels(&mut payload, "labels");
    draft.take_labels(&mut payload, "tags");
    for (key, name) in LABELS {
        draft.take_label(&mut payload, key, name);
    }
    draft.name = payload.take_first(&NAME);

    for key in TEXT {
        if !payload.get(key).is_some_and(is_said) {
            continue;
        }
        let said = payload.take_text(key);
        if draft.text.is_none() {
            draft.text = said;
        } else if key == "description" || !draft.annotations.contains_key("description") {
            draft.annotation("description", said);
        } else {
            draft.annotation(key, said);
        }
    }
    if draft.text.is_none() {
        draft.text = ["summary", "description"].iter().find_map(|name| draft.annotations.get(*name).cloned());
    }

    let marks = marker::read(words::first_line(draft.text.as_deref().unwrap_or_default()));
    let (by_mark, severity_by_mark) = (marks.status, marks.severity);
    let resolved = (payload.get("resolved") == Some(&Value::Bool(true))).then_some(Status::Resolved);
    let said = payload.take_status("status").or_else(|| payload.take_status("state"));
    draft.status = said.or(resolved).or(by_mark).unwrap_or(Status::Firing);
    draft.severity = SEVERITY.iter().find_map(|key| payload.take_severity(key));
    if draft.severity.is_none() && draft.labels.get("severity").is_none_or(|word| Severity::parse(word).is_none()) {
        draft.severity = severity_by_mark;
    }

    draft.key = KEY.iter().find_map(|key| {
        payload
            .take_as(key, |key| fingerprint::is_fingerprint(key).then(|| key.to_owned()))
            .or_else(|| payload.text(key))
    });
    draft.starts_at = START.iter().find_map(|key| payload.take_time(key));
    draft.ends_at = END.iter().find_map(|key| payload.take_end(key, draft.status));
    for key in TIME {
        let place = if draft.status == Status::Resolved { &mut draft.ends_at } else { &mut draft.starts_at };
        if place.is_none() {
            *place = payload.take_time(key);
        }
    }
    draft.url = payload.take_first(&URL);
    Ok(draft.keep(payload))
}
