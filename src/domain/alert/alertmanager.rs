//! Alertmanager's webhook, version 4, and Grafana's, which is made after it: a group of alerts.
//!
//! The status of each alert counts; the group's says only whether any of them is firing. A key of the group that found no place
//! (`receiver`, `groupKey`, `routeLabels`, ...) stands under `group` in each alert's `extra`. Where these copies would
//! take more than [`MAX_GROUP_COPIES`] bytes, the first alert has them all and the others only the `groupKey`, by
//! which it is found again. `commonLabels` and `commonAnnotations` repeat what every alert says itself and are left out
//! where they do.

use serde_json::{Map, Value};

use super::Status;
use super::draft::Draft;
use super::fields::Fields;
use super::fingerprint;
use super::formats::{AlertError, Format};

/// The most bytes that the copies of a group's keys may take together.
const MAX_GROUP_COPIES: usize = 256 * 1024;

/// Grafana: Alertmanager's form with keys of its own.
pub(super) const GRAFANA: Format = Format {
    name: "grafana",
    told_by: "\"alerts\" with \"orgId\" or \"version\": \"1\"",
    is: |fields| has_alerts(fields) && (fields.has("orgId") || fields.text("version").as_deref() == Some("1")),
    read: |fields| read("grafana", fields),
};

/// Alertmanager.
pub(super) const ALERTMANAGER: Format = Format {
    name: "alertmanager",
    told_by: "\"alerts\", a list",
    is: has_alerts,
    read: |fields| read("alertmanager", fields),
};

fn has_alerts(fields: &Fields) -> bool {
    fields.get("alerts").is_some_and(Value::is_array)
}

fn read(source: &'static str, mut group: Fields) -> Result<Vec<Draft>, AlertError> {
    let malformed = |problem: String| AlertError::Malformed { format: source, problem };
    let mut alerts = Vec::new();
    for (index, alert) in group.take_list("alerts").unwrap_or_default().into_iter().enumerate() {
        match alert {
            Value::Object(map) if map.get("labels").is_some_and(Value::is_object) => alerts.push(map),
            _ => return Err(malformed(format!("alerts[{index}] is not an object with \"labels\""))),
        }
    }
    if alerts.is_empty() {
        return Err(malformed("\"alerts\" is empty".to_owned()));
    }
    for (common, own) in [("commonLabels", "labels"), ("commonAnnotations", "annotations")] {
        if alerts.iter().all(|alert| repeats(group.get(common), alert.get(own))) {
            group.take_object(common);
        }
    }
    let group = group.rest();
    let copies = serde_json::to_string(&group).map_or(usize::MAX, |text| text.len().saturating_mul(alerts.len()));
    let few: Map<String, Value> =
        group.iter().filter(|(key, _)| copies <= MAX_GROUP_COPIES || *key == "groupKey").map(own).collect();
    let mut whole = Some(group);
    let drafts = alerts.into_iter().map(|alert| {
        let mut draft = read_one(source, Fields::new(alert));
        let group = whole.take().unwrap_or_else(|| few.clone());
        if !group.is_empty() {
            // An alert of its own making may have a key of this name.
            let key = if draft.extra.contains_key("group") { "_group" } else { "group" };
            draft.extra.insert(key.to_owned(), Value::Object(group));
        }
        draft
    });
    Ok(drafts.collect())
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// Whether all that is common stands in the alert too.
fn repeats(common: Option<&Value>, own: Option<&Value>) -> bool {
    let Some(Value::Object(common)) = common else { return true };
    common.iter().all(|(name, value)| own.and_then(|own| own.get(name)) == Some(value))
}

fn read_one(source: &'static str, mut alert: Fields) -> Draft {
    let mut draft = Draft::new(source);
    draft.status = alert.take_status("status").unwrap_or(Status::Firing);
    draft.labels = alert.take_pairs("labels");
    draft.annotations = alert.take_pairs("annotations");
    let said = |name: &str| draft.annotations.get(name).filter(|text| !text.trim().is_empty());
    draft.text = said("summary").or_else(|| said("description")).or_else(|| said("message")).cloned();
    draft.starts_at = alert.take_time("startsAt");
    draft.ends_at = alert.take_end("endsAt", draft.status);
    draft.url = alert.take_text("generatorURL");
    draft.key = alert.take_as("fingerprint", |key| fingerprint::is_fingerprint(key).then(|| key.to_owned()));
    draft.key = draft.key.or_else(|| alert.text("fingerprint"));
    draft.keep(alert)
}
