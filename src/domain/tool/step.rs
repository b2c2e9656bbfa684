//! A step against the catalogue: when its runbook is loaded, and again when it runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Catalogue, Checked, Kind, ParameterType, Tool, ValueError, listed};
use crate::ids::{StepId, ToolName};
use crate::runbook::{Binding, Bounds, Step};

/// Why a step is refused, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step}: {at}: {problem}")]
pub struct StepError {
    /// The step.
    pub step: StepId,
    /// The key, as in `parameters.value` or `rollback.tool`: what a loader finds the line by.
    pub at: String,
    /// What is wrong there.
    pub problem: Box<StepProblem>,
}

/// What is wrong with a part of a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepProblem {
    /// No such tool.
    #[error("there is no tool {tool}; there are {}", listed(known))]
    UnknownTool {
        /// What was named.
        tool: ToolName,
        /// What there is.
        known: Vec<String>,
    },
    /// A diagnostic, which changes nothing.
    #[error("tool {tool} is a diagnostic: a step carries a tool for remediation")]
    NotARemedy {
        /// What was named.
        tool: ToolName,
    },
    /// No such parameter.
    #[error("tool {tool} has no such parameter; it has {}", listed(allowed))]
    UnknownParameter {
        /// The tool.
        tool: ToolName,
        /// What there is.
        allowed: Vec<String>,
    },
    /// A parameter of the tool that the step does not mention.
    #[error("tool {tool} needs this parameter ({type_name}): give a value, or {bounds}")]
    MissingParameter {
        /// The tool.
        tool: ToolName,
        /// Its type.
        type_name: &'static str,
        /// The bounds that would leave it open.
        bounds: &'static str,
    },
    /// Open, but not bounded on every side.
    #[error("an open parameter of type {type_name} needs {bounds}")]
    Unbounded {
        /// Its type.
        type_name: &'static str,
        /// What it needs.
        bounds: &'static str,
    },
    /// A value, a bound, or a member of `one_of`, that the tool refuses.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A bound that means nothing for the type.
    #[error("'{bound}' is no bound for type {type_name}, which has {bounds}")]
    WrongBound {
        /// The key.
        bound: &'static str,
        /// The type.
        type_name: &'static str,
        /// What it has.
        bounds: &'static str,
    },
    /// `min` above `max`.
    #[error("min {min} is above max {max}")]
    EmptyRange {
        /// The least.
        min: String,
        /// The greatest.
        max: String,
    },
    /// A rollback runs without anybody to choose.
    #[error("a rollback has fixed values only")]
    OpenRollback,
    /// A guard, a verify or a measure that is no single query.
    #[error("it must be one query that starts with SELECT or WITH, without ';'")]
    NotAQuery,
    /// A value for a parameter that the step has fixed.
    #[error("the runbook fixes this parameter")]
    Fixed,
    /// No value for a parameter that the step leaves open.
    #[error("the runbook leaves this parameter open, and no value was chosen")]
    NotChosen,
    /// A chosen value outside the step's bounds.
    #[error("{value} is outside the bounds of the step: {bounds}")]
    OutsideStep {
        /// The value.
        value: String,
        /// The bounds.
        bounds: String,
    },
}

/// Check a step against the catalogue, as far as that goes without a database.
///
/// Whether relations exist, and whether guard, verify and measure are SQL that the server accepts, is the store's to check.
pub fn validate_step(step: &Step, catalogue: &Catalogue) -> Result<(), StepError> {
    let refuse = |at: String, problem: StepProblem| StepError { step: step.id.clone(), at, problem: Box::new(problem) };
    let tool = remedy(catalogue, &step.tool).map_err(|problem| refuse("tool".to_owned(), problem))?;
    every_parameter(tool, &step.parameters, "parameters").map_err(|(at, problem)| refuse(at, problem))?;
    for (name, binding) in &step.parameters {
        let parameter = &tool.parameters[name];
        let outcome = match binding {
            Binding::Fixed(value) => parameter.check(value).map(drop).map_err(StepProblem::from),
            Binding::Open(bounds) => narrows(parameter, bounds),
        };
        outcome.map_err(|problem| refuse(format!("parameters.{name}"), problem))?;
    }
    for (key, query) in [("guard", &step.guard), ("verify", &step.verify), ("measure", &step.measure)] {
        query.as_deref().map_or(Ok(()), |query| check_query(step, key, query))?;
    }
    if let Some(rollback) = &step.rollback {
        let tool = remedy(catalogue, &rollback.tool).map_err(|problem| refuse("rollback.tool".to_owned(), problem))?;
        every_parameter(tool, &rollback.parameters, "rollback.parameters")
            .map_err(|(at, problem)| refuse(at, problem))?;
        for (name, value) in &rollback.parameters {
            let at = || format!("rollback.parameters.{name}");
            if value.is_object() {
                return Err(refuse(at(), StepProblem::OpenRollback));
            }
            tool.parameters[name].check(value).map_err(|problem| refuse(at(), problem.into()))?;
        }
    }
    Ok(())
}

/// The values that a step runs with: those that it fixes, and those that were chosen for what it leaves open.
///
/// This is where a chosen value meets the step's bounds; [`Tool::render`] then checks all of them against the tool's.
pub fn bind(step: &Step, tool: &Tool, chosen: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, StepError> {
    let refuse = |name: &str, problem: StepProblem| StepError {
        step: step.id.clone(),
        at: format!("parameters.{name}"),
        problem: Box::new(problem),
    };
    let mut values = BTreeMap::new();
    for (name, binding) in &step.parameters {
        let value = match (binding, chosen.get(name)) {
            (Binding::Fixed(value), None) => value,
            (Binding::Fixed(_), Some(_)) => return Err(refuse(name, StepProblem::Fixed)),
            (Binding::Open(_), None) => return Err(refuse(name, StepProblem::NotChosen)),
            (Binding::Open(bounds), Some(value)) => {
                let parameter = tool.parameters.get(name).ok_or_else(|| refuse(name, unknown_parameter(tool)))?;
                admits(parameter, bounds, value).map_err(|problem| refuse(name, problem))?;
                value
            }
        };
        values.insert(name.clone(), value.clone());
    }
    match chosen.keys().find(|name| !step.parameters.contains_key(*name)) {
        Some(name) => Err(refuse(name, unknown_parameter(tool))),
        None => Ok(values),
    }
}

fn find<'c>(catalogue: &'c Catalogue, name: &ToolName) -> Result<&'c Tool, StepProblem> {
    catalogue.get(name).ok_or_else(|| StepProblem::UnknownTool {
        tool: name.clone(),
        known: catalogue.iter().map(|tool| tool.name.to_string()).collect(),
    })
}

/// A tool that may carry out a step: a diagnostic would run as the wrong role.
fn remedy<'c>(catalogue: &'c Catalogue, name: &ToolName) -> Result<&'c Tool, StepProblem> {
    let tool = find(catalogue, name)?;
    if tool.kind == Kind::Remediation { Ok(tool) } else { Err(StepProblem::NotARemedy { tool: tool.name.clone() }) }
}

fn unknown_parameter(tool: &Tool) -> StepProblem {
    StepProblem::UnknownParameter { tool: tool.name.clone(), allowed: tool.parameters.keys().cloned().collect() }
}

/// Every parameter of the tool is given, and no other.
fn every_parameter<T>(tool: &Tool, given: &BTreeMap<String, T>, under: &str) -> Result<(), (String, StepProblem)> {
    if let Some(name) = given.keys().find(|name| !tool.parameters.contains_key(*name)) {
        return Err((format!("{under}.{name}"), unknown_parameter(tool)));
    }
    match tool.parameters.iter().find(|(name, _)| !given.contains_key(*name)) {
        None => Ok(()),
        Some((name, parameter)) => Err((
            format!("{under}.{name}"),
            StepProblem::MissingParameter {
                tool: tool.name.clone(),
                type_name: parameter.name(),
                bounds: bounds_of(parameter),
            },
        )),
    }
}

/// The bounds that leave a parameter of this type open.
fn bounds_of(parameter: &ParameterType) -> &'static str {
    match parameter {
        ParameterType::Integer { .. } | ParameterType::Interval { .. } => "min and max",
        _ => "one_of",
    }
}

/// The bounds are complete, of the parameter's type, and within the tool's own.
fn narrows(parameter: &ParameterType, bounds: &Bounds) -> Result<(), StepProblem> {
    let type_name = parameter.name();
    let wrong = |bound| StepProblem::WrongBound { bound, type_name, bounds: bounds_of(parameter) };
    let unbounded = || StepProblem::Unbounded { type_name, bounds: bounds_of(parameter) };
    match parameter {
        ParameterType::Integer { .. } | ParameterType::Interval { .. } => {
            if !bounds.one_of.is_empty() {
                return Err(wrong("one_of"));
            }
            let (Some(min), Some(max)) = (&bounds.min, &bounds.max) else {
                return Err(unbounded());
            };
            if parameter.check(min)? > parameter.check(max)? {
                return Err(StepProblem::EmptyRange { min: min.to_string(), max: max.to_string() });
            }
        }
        _ => {
            if bounds.min.is_some() {
                return Err(wrong("min"));
            }
            if bounds.max.is_some() {
                return Err(wrong("max"));
            }
            if bounds.one_of.is_empty() {
                return Err(unbounded());
            }
            for value in &bounds.one_of {
                parameter.check(value)?;
            }
        }
    }
    Ok(())
}

/// The value is of the type, and within these bounds. Bounds that were never validated admit nothing.
fn admits(parameter: &ParameterType, bounds: &Bounds, value: &Value) -> Result<(), StepProblem> {
    narrows(parameter, bounds)?;
    let checked = parameter.check(value)?;
    let at_least = |bound: &Value| parameter.check(bound).is_ok_and(|bound| checked >= bound);
    let at_most = |bound: &Value| parameter.check(bound).is_ok_and(|bound| checked <= bound);
    let is = |bound: &Value| parameter.check(bound).as_ref() == Ok::<&Checked, &ValueError>(&checked);
    let inside = bounds.min.as_ref().is_none_or(at_least)
        && bounds.max.as_ref().is_none_or(at_most)
        && (bounds.one_of.is_empty() || bounds.one_of.iter().any(is));
    if inside {
        return Ok(());
    }
    let bounds = match (&bounds.min, &bounds.max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        _ => bounds.one_of.iter().map(Value::to_string).collect::<Vec<_>>().join(", "),
    };
    Err(StepProblem::OutsideStep { value: value.to_string(), bounds })
}

/// Check the query that stands under `key` of a step.
pub(crate) fn check_query(step: &Step, key: &str, query: &str) -> Result<(), StepError> {
    if is_query(query) {
        return Ok(());
    }
    Err(StepError { step: step.id.clone(), at: key.to_owned(), problem: Box::new(StepProblem::NotAQuery) })
}

/// A first look at a query of a step. The wall is the read-only role that runs it, not this.
fn is_query(text: &str) -> bool {
    let word: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    let mut quote = None;
    let several = text.chars().any(|c| {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        c == ';' && quote.is_none()
    });
    (word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("with")) && !several && !text.contains('\0')
}
