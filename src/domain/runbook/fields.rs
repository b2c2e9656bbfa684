//! Front matter and steps: from YAML with lines to the types, every key accounted for.

use std::collections::BTreeMap;

use super::error::Problem;
use super::yaml::{Data, Entry, Node};
use super::{Binding, Bounds, Rollback, Step};
use crate::alert::Severity;
use crate::ids::{RunbookId, StepId, ToolName};

/// A defect and its line.
pub(super) type At<T> = Result<T, (usize, Problem)>;

/// The front matter.
pub(super) struct Front {
    pub id: RunbookId,
    pub title: Option<String>,
    pub incident_type: String,
    pub severity: Option<Severity>,
    pub alerts: Vec<String>,
}

/// The line of each key of a step, by its path: `parameters.value`, `rollback.tool`.
pub(super) type Lines = BTreeMap<String, usize>;

const FRONT: &[&str] = &["id", "title", "incident_type", "severity", "alerts"];
const STEP: &[&str] = &["tool", "parameters", "destructive", "guard", "verify", "measure", "rollback", "follow_up"];
const BOUNDS: &[&str] = &["min", "max", "one_of"];
const ROLLBACK: &[&str] = &["tool", "parameters"];

/// Read the front matter.
pub(super) fn front(node: &Node) -> At<Front> {
    let keys = Keys::of("the front matter", node, FRONT)?;
    let id = keys.need("id", "the runbook's id, such as RB-001")?;
    let incident_type = keys.need("incident_type", "what a triage calls such an incident, such as LockPileUp")?;
    let kind = text(incident_type)?;
    let word = kind.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !word || kind.len() > 64 {
        return Err(wrong(incident_type, "one word of at most 64 letters, digits, '-', '_' and '.'"));
    }
    Ok(Front {
        id: RunbookId::new(text(id)?).map_err(|error| (id.line, error.into()))?,
        title: keys.get("title").map(one_line).transpose()?,
        incident_type: kind,
        severity: keys.get("severity").map(severity).transpose()?,
        alerts: keys.get("alerts").map(alerts).transpose()?.unwrap_or_default(),
    })
}

/// Read a step's block.
pub(super) fn step(node: &Node, id: StepId) -> At<(Step, Lines)> {
    let keys = Keys::of("a step", node, STEP)?;
    let mut lines = Lines::new();
    for entry in keys.entries {
        lines.insert(entry.key.clone(), entry.line);
    }
    let tool = tool_name(keys.need("tool", "the name of a tool of the catalogue")?)?;
    let destructive = keys.need("destructive", "say true or false; only with false it may run without a person")?;
    let Data::Bool(flag) = destructive.value.data else {
        return Err(wrong(destructive, "true or false"));
    };
    let mut parameters = BTreeMap::new();
    for entry in map(keys.get("parameters"))? {
        lines.insert(format!("parameters.{}", entry.key), entry.line);
        parameters.insert(entry.key.clone(), binding(entry)?);
    }
    let rollback = match keys.get("rollback") {
        None => None,
        Some(entry) => {
            let keys = Keys::of("rollback", &entry.value, ROLLBACK)?;
            let tool = keys.need("tool", "the tool that undoes the step")?;
            lines.insert("rollback.tool".to_owned(), tool.line);
            let mut parameters = BTreeMap::new();
            for entry in map(keys.get("parameters"))? {
                lines.insert(format!("rollback.parameters.{}", entry.key), entry.line);
                parameters.insert(entry.key.clone(), entry.value.to_json());
            }
            Some(Rollback { tool: tool_name(tool)?, parameters })
        }
    };
    let guard = keys.get("guard").map(text).transpose()?;
    let verify = keys.get("verify").map(text).transpose()?;
    let measure = keys.get("measure").map(text).transpose()?;
    let follow_up = keys.get("follow_up").map(text).transpose()?;
    Ok((Step { id, tool, parameters, destructive: flag, guard, verify, measure, rollback, follow_up }, lines))
}

fn binding(entry: &Entry) -> At<Binding> {
    match &entry.value.data {
        Data::Null => Err(wrong(entry, "a value, or bounds: {min: …, max: …} or {one_of: […]}")),
        Data::Map(_) => {
            let keys = Keys::of(&entry.key, &entry.value, BOUNDS)?;
            let one_of = match keys.get("one_of") {
                None => Vec::new(),
                Some(Entry { value: Node { data: Data::List(items), .. }, .. }) => {
                    items.iter().map(Node::to_json).collect()
                }
                Some(other) => return Err(wrong(other, "a list of values")),
            };
            let bound = |key| keys.get(key).map(|entry| entry.value.to_json()).filter(|value| !value.is_null());
            Ok(Binding::Open(Bounds { min: bound("min"), max: bound("max"), one_of }))
        }
        _ => Ok(Binding::Fixed(entry.value.to_json())),
    }
}

/// A mapping of which every key is known.
struct Keys<'n> {
    line: usize,
    entries: &'n [Entry],
}

impl<'n> Keys<'n> {
    fn of(what: &str, node: &'n Node, allowed: &'static [&'static str]) -> At<Self> {
        let entries: &[Entry] = match &node.data {
            Data::Map(entries) => entries,
            Data::Null => &[],
            _ => {
                let expected = "a mapping of keys to values";
                let problem = Problem::WrongValue { key: what.to_owned(), expected, found: node.found() };
                return Err((node.line, problem));
            }
        };
        match entries.iter().find(|entry| !allowed.contains(&entry.key.as_str())) {
            None => Ok(Self { line: node.line, entries }),
            Some(entry) => Err((entry.line, Problem::UnknownKey { key: entry.key.clone(), allowed })),
        }
    }

    fn get(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn need(&self, key: &'static str, what: &'static str) -> At<&'n Entry> {
        self.get(key).ok_or((self.line, Problem::MissingKey { key, what }))
    }
}

fn wrong(entry: &Entry, expected: &'static str) -> (usize, Problem) {
    let problem = Problem::WrongValue { key: entry.key.clone(), expected, found: entry.value.found() };
    (entry.value.line, problem)
}

fn map(entry: Option<&Entry>) -> At<&[Entry]> {
    match entry {
        None => Ok(&[]),
        Some(Entry { value: Node { data: Data::Map(entries), .. }, .. }) => Ok(entries),
        Some(Entry { value: Node { data: Data::Null, .. }, .. }) => Ok(&[]),
        Some(entry) => Err(wrong(entry, "a mapping of parameters to values")),
    }
}

/// Text that says something, without the space around it: a block scalar ends with a line break.
fn text(entry: &Entry) -> At<String> {
    match &entry.value.data {
        Data::Text(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(wrong(entry, "text")),
    }
}

fn one_line(entry: &Entry) -> At<String> {
    let text = text(entry)?;
    if text.contains(['\n', '\r']) { Err(wrong(entry, "text on one line")) } else { Ok(text) }
}

fn tool_name(entry: &Entry) -> At<ToolName> {
    ToolName::new(text(entry)?).map_err(|error| (entry.value.line, error.into()))
}

fn severity(entry: &Entry) -> At<Severity> {
    let all = [Severity::P1, Severity::P2, Severity::P3, Severity::P4, Severity::P5];
    let said = text(entry)?;
    all.into_iter().find(|s| s.as_str() == said).ok_or_else(|| wrong(entry, "one of P1, P2, P3, P4, P5"))
}

fn alerts(entry: &Entry) -> At<Vec<String>> {
    let Data::List(items) = &entry.value.data else {
        return Err(wrong(entry, "a list of alert names"));
    };
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let item = Entry { line: item.line, key: entry.key.clone(), value: item.clone() };
        let name = one_line(&item)?;
        if names.contains(&name) {
            return Err((item.line, Problem::AlertTwice(name)));
        }
        names.push(name);
    }
    Ok(names)
}
