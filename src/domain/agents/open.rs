//! What a step leaves open, and how a model says what it chooses.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::host::CallError;
use crate::runbook::{Binding, Bounds, Step};
use crate::tool::{Catalogue, ParameterType, validate_step};

/// A model's choice, unchecked: [`crate::tool::bind`] holds it against the step's bounds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    /// A value for each open parameter.
    pub parameters: Chosen,
    /// One sentence for the engineer; kept in the journal with the answer.
    #[serde(default, rename = "reason")]
    _reason: String,
}

/// Values by name, each once: readers differ in which of two they take.
#[derive(Debug)]
pub(super) struct Chosen(pub BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Chosen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Chosen;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of values by parameter")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Chosen, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if values.insert(name, value).is_some() {
                        return Err(A::Error::custom("a parameter stands twice"));
                    }
                }
                Ok(Chosen(values))
            }
        }
        from.deserialize_map(Once)
    }
}

/// The open parameters of a step and their bounds.
pub(super) fn open_parameters(step: &Step) -> BTreeMap<&str, &Bounds> {
    let open = step.parameters.iter().filter_map(|(name, binding)| match binding {
        Binding::Open(bounds) => Some((name.as_str(), bounds)),
        Binding::Fixed(_) => None,
    });
    open.collect()
}

/// The JSON Schema of a choice: exactly the open parameters, each within the step's bounds as far as a schema can say.
pub(super) fn choice_schema(step: &Step, catalogue: &Catalogue) -> Result<Value, CallError> {
    validate_step(step, catalogue)?;
    let tool = catalogue.get(&step.tool).ok_or_else(|| CallError::UnknownTool(step.tool.clone()))?;
    let mut properties = Map::new();
    for (name, bounds) in open_parameters(step) {
        let schema = match tool.parameters.get(name) {
            Some(ParameterType::Integer { .. }) => {
                json!({"type": "integer", "minimum": bounds.min, "maximum": bounds.max})
            }
            Some(ParameterType::Interval { .. }) => {
                let text =
                    |bound: &Option<Value>| bound.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
                let (min, max) = (text(&bounds.min), text(&bounds.max));
                json!({"type": "string", "maxLength": 40, "description": format!("an interval from {min} to {max}")})
            }
            _ => json!({"enum": bounds.one_of}),
        };
        properties.insert(name.to_owned(), schema);
    }
    let names: Vec<&String> = properties.keys().collect();
    Ok(json!({
        "type": "object", "required": ["parameters", "reason"], "additionalProperties": false,
        "properties": {
            "parameters": {"type": "object", "required": names, "properties": properties, "additionalProperties": false},
            "reason": {"type": "string", "maxLength": 400, "description": "one sentence: why these values"},
        },
    }))
}
