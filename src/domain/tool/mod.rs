//! A tool: a named SQL template with typed, bounded parameters. Nothing else can be executed.
//!
//! On the way of an alert tools stand at both ends of a step. When a runbook is loaded, [`validate_step`] checks the
//! step against the [`Catalogue`]; when the step runs, [`bind`] puts the values that were chosen into their bounds and
//! [`Tool::render`] writes the SQL. No text from a model comes anywhere near a template: a value is an integer, a
//! listed word, an interval, or a name that is quoted as a name.
//!
//! The one source of the catalogue is the table `oncall.tool`: its rows, as jsonb, deserialise into it.

mod interval;
mod parameter;
mod quote;
mod rights;
mod step;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use interval::{Interval, InvalidInterval};
pub use parameter::{Checked, ParameterType, ValueError};
pub use quote::QuoteError;
pub use rights::missing_right;
pub(crate) use step::check_query;
pub use step::{StepError, StepProblem, bind, validate_step};
pub use template::TemplateError;

use crate::ids::ToolName;
use template::Piece;

/// What a tool is for; it decides the role that runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It changes something: runs as `oncall_executor`.
    Remediation,
    /// It only looks: runs as `oncall_observer`, read-only, with a row cap.
    Diagnostic,
}

/// A row of `oncall.tool`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: ToolName,
    /// What it is for.
    pub kind: Kind,
    /// One sentence: what it does.
    pub summary: String,
    /// One SQL statement with slots for the parameters. The module's source says which SQL may stand in it.
    pub template: String,
    /// Its parameters by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, ParameterType>,
}

/// Why a tool is not sound, or cannot be rendered with these values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The template cannot be taken apart.
    #[error("tool {tool}: the template is refused: {problem}")]
    Template {
        /// The tool.
        tool: ToolName,
        /// Why.
        problem: TemplateError,
    },
    /// A slot for a parameter that the tool does not have.
    #[error("tool {tool}: the template has a slot {{{slot}}}, but there is no such parameter")]
    UnknownSlot {
        /// The tool.
        tool: ToolName,
        /// The slot.
        slot: String,
    },
    /// A parameter that changes nothing.
    #[error("tool {tool}: the template has no slot for parameter {parameter}")]
    UnusedParameter {
        /// The tool.
        tool: ToolName,
        /// The parameter.
        parameter: String,
    },
    /// `{x:literal}` or `{x:name}` for a type that has no such form.
    #[error("tool {tool}: a parameter of type {type_name} cannot stand in the template as {{{slot}:…}}")]
    WrongForm {
        /// The tool.
        tool: ToolName,
        /// The slot.
        slot: String,
        /// The parameter's type.
        type_name: &'static str,
    },
    /// Bounds that admit nothing, or a word that can never be written.
    #[error("tool {tool}: parameter {parameter} admits no value: {problem}")]
    NoValue {
        /// The tool.
        tool: ToolName,
        /// The parameter.
        parameter: String,
        /// Why.
        problem: String,
    },
    /// Two rows with one name.
    #[error("tool {0} stands twice in the catalogue")]
    Twice(ToolName),
    /// No value for a parameter.
    #[error("tool {tool} needs a value for parameter {parameter} ({type_name})")]
    MissingValue {
        /// The tool.
        tool: ToolName,
        /// The parameter.
        parameter: String,
        /// The parameter's type.
        type_name: &'static str,
    },
    /// A value for no parameter.
    #[error("tool {tool} has no parameter {parameter}; it has {}", listed(allowed))]
    UnknownValue {
        /// The tool.
        tool: ToolName,
        /// What was given.
        parameter: String,
        /// What there is.
        allowed: Vec<String>,
    },
    /// A value that its type refuses.
    #[error("tool {tool}: parameter {parameter}: {problem}")]
    Value {
        /// The tool.
        tool: ToolName,
        /// The parameter.
        parameter: String,
        /// Why.
        problem: ValueError,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Tool {
    /// Check that the tool makes sense, whatever values come: template and parameters fit, and each admits a value.
    pub fn check(&self) -> Result<(), ToolError> {
        let pieces = self.pieces()?;
        for piece in &pieces {
            let Piece::Slot { name, form } = piece else {
                continue;
            };
            let slot = || (*name).to_owned();
            let Some(parameter) = self.parameters.get(*name) else {
                return Err(ToolError::UnknownSlot { tool: self.name.clone(), slot: slot() });
            };
            if !parameter.takes(*form) {
                let type_name = parameter.name();
                return Err(ToolError::WrongForm { tool: self.name.clone(), slot: slot(), type_name });
            }
        }
        for (name, parameter) in &self.parameters {
            if !pieces.iter().any(|piece| matches!(piece, Piece::Slot { name: slot, .. } if slot == name)) {
                return Err(ToolError::UnusedParameter { tool: self.name.clone(), parameter: name.clone() });
            }
            let problem = match parameter {
                ParameterType::Integer { min, max } if min > max => {
                    format!("min {min} is above max {max}")
                }
                ParameterType::Interval { min, max } if min > max => {
                    format!("min {min} is above max {max}")
                }
                ParameterType::Enum { values } if values.is_empty() => "no values are listed".to_owned(),
                ParameterType::Enum { values } => match values.iter().find_map(|value| quote::name(value).err()) {
                    Some(error) => error.to_string(),
                    None => continue,
                },
                _ => continue,
            };
            return Err(ToolError::NoValue { tool: self.name.clone(), parameter: name.clone(), problem });
        }
        Ok(())
    }

    /// The SQL with these values, each quoted by its type: one statement, ready to run.
    pub fn render(&self, values: &BTreeMap<String, Value>) -> Result<String, ToolError> {
        if let Some(parameter) = values.keys().find(|name| !self.parameters.contains_key(*name)) {
            let allowed = self.parameters.keys().cloned().collect();
            return Err(ToolError::UnknownValue { tool: self.name.clone(), parameter: parameter.clone(), allowed });
        }
        let mut checked = BTreeMap::new();
        for (name, parameter) in &self.parameters {
            let value = values.get(name).ok_or_else(|| ToolError::MissingValue {
                tool: self.name.clone(),
                parameter: name.clone(),
                type_name: parameter.name(),
            })?;
            let value = parameter.check(value).map_err(|problem| self.refused(name, problem))?;
            checked.insert(name.as_str(), value);
        }
        let mut sql = String::with_capacity(self.template.len() + 64);
        for piece in self.pieces()? {
            match piece {
                Piece::Text(text) => sql.push_str(text),
                Piece::Slot { name, form } => {
                    let unknown = || ToolError::UnknownSlot { tool: self.name.clone(), slot: name.to_owned() };
                    let value = checked.get(name).ok_or_else(unknown)?;
                    sql.push_str(&value.sql(form).map_err(|problem| self.refused(name, problem.into()))?);
                }
            }
        }
        Ok(sql)
    }

    fn pieces(&self) -> Result<Vec<Piece<'_>>, ToolError> {
        template::pieces(&self.template).map_err(|problem| ToolError::Template { tool: self.name.clone(), problem })
    }

    fn refused(&self, parameter: &str, problem: ValueError) -> ToolError {
        ToolError::Value { tool: self.name.clone(), parameter: parameter.to_owned(), problem }
    }
}

/// Every tool there is, each of them sound.
///
/// It deserialises from the jsonb array of the rows of `oncall.tool`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Tool>", into = "Vec<Tool>")]
pub struct Catalogue {
    tools: BTreeMap<ToolName, Tool>,
}

impl Catalogue {
    /// A catalogue of these tools.
    pub fn new(rows: impl IntoIterator<Item = Tool>) -> Result<Self, ToolError> {
        let mut tools = BTreeMap::new();
        for tool in rows {
            tool.check()?;
            if let Some(first) = tools.insert(tool.name.clone(), tool) {
                return Err(ToolError::Twice(first.name));
            }
        }
        Ok(Self { tools })
    }

    /// The tool of this name.
    pub fn get(&self, name: &ToolName) -> Option<&Tool> {
        self.tools.get(name)
    }

    /// All tools, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.tools.values()
    }
}

impl TryFrom<Vec<Tool>> for Catalogue {
    type Error = ToolError;
    fn try_from(rows: Vec<Tool>) -> Result<Self, ToolError> {
        Self::new(rows)
    }
}

impl From<Catalogue> for Vec<Tool> {
    fn from(catalogue: Catalogue) -> Self {
        catalogue.tools.into_values().collect()
    }
}
