//! Which diagnostic queries may be asked for an incident.
//!
//! The list is finite and made before a model is asked: a query is named by a label and found in the list, never parsed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::host::ToolCall;
use crate::ids::ToolName;
use crate::incident::Incident;
use crate::runbook::Binding;
use crate::tool::{Kind, ParameterType, Tool};

/// The queries by their labels: `activity_by_state`, `pgbouncer_pools(server=pgbouncer)`.
pub(super) type Offers = BTreeMap<String, ToolCall>;

/// The most queries that one tool gives.
const MOST_OF_ONE: usize = 8;

/// Every diagnostic of the catalogue, with values that the retrieved runbooks name for a parameter of that name, or that
/// the tool itself lists. A tool for which there are none is not on offer: a free value would be a model's to invent.
pub(super) fn offers(incident: &Incident) -> Offers {
    let known = known_values(incident);
    let mut offers = Offers::new();
    for tool in incident.catalogue.iter().filter(|tool| tool.kind == Kind::Diagnostic) {
        for values in combinations(tool, &known) {
            // A value of another type than this tool's parameter of that name is refused here.
            if let Ok(call) = ToolCall::diagnostic(&tool.name, &values, &incident.catalogue) {
                offers.insert(label(&tool.name, &values), call);
            }
        }
    }
    offers
}

/// The offers with what each of them shows, one a line, for a prompt.
pub(super) fn described(offers: &Offers, incident: &Incident) -> String {
    let summary =
        |call: &ToolCall| call.tool().and_then(|name| incident.catalogue.get(name)).map(|tool| tool.summary.as_str());
    let lines = offers.iter().map(|(label, call)| format!("- {label}: {}", summary(call).unwrap_or_default()));
    lines.collect::<Vec<_>>().join("\n")
}

/// What the retrieved runbooks fix, by the parameter's name.
fn known_values(incident: &Incident) -> BTreeMap<&str, Vec<Value>> {
    let mut known: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (name, binding) in incident.retrieval.steps.iter().flat_map(|step| &step.parameters) {
        if let Binding::Fixed(value) = binding
            && seen.insert((name.as_str(), value.to_string()))
        {
            known.entry(name).or_default().push(value.clone());
        }
    }
    known
}

fn combinations(tool: &Tool, known: &BTreeMap<&str, Vec<Value>>) -> Vec<BTreeMap<String, Value>> {
    let mut all = vec![BTreeMap::new()];
    for (name, parameter) in &tool.parameters {
        let values = match parameter {
            ParameterType::Enum { values } => values.iter().map(|word| Value::from(word.as_str())).collect(),
            _ => known.get(name.as_str()).cloned().unwrap_or_default(),
        };
        let longer = all.iter().flat_map(|chosen| {
            values.iter().map(|value| {
                let mut chosen = chosen.clone();
                chosen.insert(name.clone(), value.clone());
                chosen
            })
        });
        all = longer.take(MOST_OF_ONE).collect();
    }
    all
}

fn label(tool: &ToolName, values: &BTreeMap<String, Value>) -> String {
    if values.is_empty() {
        return tool.to_string();
    }
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values: Vec<String> = values.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect();
    format!("{tool}({})", values.join(", "))
}
