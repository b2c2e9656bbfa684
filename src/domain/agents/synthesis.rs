//! The synthesis: what the agents did, saw and said, as the audit row has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::diagnostics::Found;
use super::notification::Draft;
use super::remediation::Remediation;
use super::work::{End, Work};
use crate::ids::StepId;
use crate::incident::Incident;
use crate::page::PageKind;

/// What the treatment of an incident came to. The store completes the audit row with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// `incident_audit.remediation_action`; none where there was nothing to carry out.
    pub remediation_action: Option<Value>,
    /// `incident_audit.diagnostics`.
    pub diagnostics: Value,
    /// `incident_audit.notification`.
    pub notification: Value,
    /// Why a person was paged, if one was: by the router's decision, or since the work went badly.
    pub escalated: Option<String>,
    /// Steps that a person may approve although nobody recommended them: their guards hold.
    pub proposals: Vec<StepId>,
    /// The outcome in a sentence or two.
    pub summary: String,
}

/// Who was told what.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    /// The kind of page.
    pub page: PageKind,
    /// Its title.
    pub title: String,
    /// The sinks that get it, as the host names them.
    pub sinks: Vec<String>,
}

impl Resolution {
    /// Of an incident that the router escalated.
    pub(super) fn escalated(incident: &Incident, why: String, found: Found, told: Told) -> Self {
        Self {
            remediation_action: None,
            diagnostics: found.to_audit(),
            notification: notification(incident, &told, None),
            summary: format!("Escalated. {why}"),
            escalated: Some(why),
            proposals: Vec::new(),
        }
    }

    /// Of an incident that was worked on.
    pub(super) fn worked(
        incident: &Incident,
        fixed: Remediation,
        found: &Found,
        draft: Option<&Draft>,
        told: &Told,
    ) -> Self {
        Self {
            remediation_action: Some(remediation_action(&fixed.work)),
            diagnostics: found.to_audit(),
            notification: notification(incident, told, draft),
            summary: summary(&fixed),
            escalated: fixed.objection,
            proposals: fixed.proposals,
        }
    }
}

fn summary(fixed: &Remediation) -> String {
    let steps = |end: End| {
        let ids: Vec<&str> = fixed.work.iter().filter(|work| work.end == end).map(|work| work.step.as_str()).collect();
        ids.join(", ")
    };
    let told = [(End::Done, "Carried out"), (End::Planned, "Would be carried out"), (End::AlreadySo, "Already so")];
    let told = told.into_iter().map(|(end, word)| (word, steps(end))).filter(|(_, steps)| !steps.is_empty());
    let mut sentences: Vec<String> = told.map(|(word, steps)| format!("{word}: {steps}.")).collect();
    if let Some(why) = &fixed.objection {
        sentences.push(format!("Escalated. {why}"));
    }
    sentences.extend(fixed.work.iter().filter_map(|work| Some(format!("Follow-up: {}", work.follow_up.as_deref()?))));
    sentences.join(" ")
}

/// The first action flat, as one reads it, then all of them.
pub(super) fn remediation_action(work: &[Work]) -> Value {
    let mut flat = Map::new();
    // The first one that something came of; where nothing came of any, the first.
    let first = work.iter().find(|work| matches!(work.end, End::Done | End::Planned)).or(work.first());
    if let Some(work) = first {
        flat.insert("tool".to_owned(), json!(work.tool));
        flat.extend(change(&work.parameters, work.before.as_ref()));
        flat.insert("outcome".to_owned(), json!(work.end));
    }
    let follow_ups: Vec<&String> = work.iter().filter_map(|work| work.follow_up.as_ref()).collect();
    if !follow_ups.is_empty() {
        flat.insert("follow_up".to_owned(), json!(follow_ups));
    }
    flat.insert("actions".to_owned(), json!(work));
    Value::Object(flat)
}

/// What stood in `incident_audit.remediation_action`, and what was carried out by a person's word afterwards, as one.
///
/// All actions in their order. Flat is still the first one that was done; else that was planned; else the first.
pub fn with_later(stood: Value, later: Value) -> Value {
    let rank = |action: &Value| match action["outcome"].as_str() {
        Some("done") => 2,
        Some("planned") => 1,
        _ => 0,
    };
    let lists = ["follow_up", "actions"].map(|name| {
        let both = [&stood, &later].into_iter().filter_map(|action| action[name].as_array());
        (name, both.flatten().cloned().collect::<Vec<_>>())
    });
    let mut flat = if stood.is_object() && rank(&stood) >= rank(&later) { stood } else { later };
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        flat[name] = Value::Array(list);
    }
    flat
}

/// What was changed, from what, to what, where the tool sets something; else its parameters.
fn change(parameters: &BTreeMap<String, Value>, before: Option<&Value>) -> Map<String, Value> {
    let (Some(Value::String(setting)), Some(to)) = (parameters.get("setting"), parameters.get("value")) else {
        return parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    };
    let from = before.and_then(|figures| figures.get(setting)).cloned();
    let named = [("param", Some(json!(setting))), ("from", from), ("to", Some(to.clone()))];
    named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// Who was told, by the kind of sink, and under which number.
fn notification(incident: &Incident, told: &Told, draft: Option<&Draft>) -> Value {
    let mut flat = Map::new();
    for sink in &told.sinks {
        let (kind, name) = sink.split_once(':').unwrap_or(("sink", sink));
        flat.entry(kind).or_insert_with(|| json!(name));
    }
    flat.insert("tracker_id".to_owned(), json!(incident.id));
    flat.insert("page".to_owned(), json!(told.page));
    flat.insert("title".to_owned(), json!(told.title));
    flat.insert("sinks".to_owned(), json!(told.sinks));
    if let Some(draft) = draft {
        flat.insert("written_by".to_owned(), json!(draft.by));
        if let Some(trouble) = &draft.trouble {
            flat.insert("trouble".to_owned(), json!(trouble));
        }
    }
    Value::Object(flat)
}
