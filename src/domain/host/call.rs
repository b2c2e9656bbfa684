//! A tool call: what an acting host is asked to run, and what came of it.
//!
//! SQL gets into a [`ToolCall`] by two ways only: [`crate::tool::Tool::render`] writes it from a template and values
//! within bounds, or it is the guard, the verify or the measure of a step, written by the runbook's author. The fields
//! are private and there is no other constructor, so nothing that a model said can be run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{StepId, ToolName};
use crate::policy::{Approved, StepHash};
use crate::runbook::Step;
use crate::tool::{Catalogue, Checked, Kind, StepError, Tool, ToolError, bind, check_query, validate_step};

/// What a call is for; it decides the role that runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Looks around, for the engineer.
    Diagnostic,
    /// Looks whether a step may run.
    Guard,
    /// Takes a step's figures, before and after.
    Measure,
    /// Carries a step out.
    Action,
    /// Looks whether a step did what it should.
    Verify,
    /// Undoes a step.
    Rollback,
}

impl Purpose {
    /// Whether it changes something: runs as `oncall_executor` at top level, where everything else runs as
    /// `oncall_observer`, read-only.
    pub fn writes(self) -> bool {
        matches!(self, Self::Action | Self::Rollback)
    }

    /// As the journal writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Diagnostic => "diagnostic",
            Self::Guard => "guard",
            Self::Measure => "measure",
            Self::Action => "action",
            Self::Verify => "verify",
            Self::Rollback => "rollback",
        }
    }
}

/// Why a call cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The step, or a value chosen for it, does not fit the catalogue as it is now.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The tool cannot be rendered with these values.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Another step was approved than the one to be carried out.
    #[error("step {approved} was approved, and not {step}")]
    NotApproved {
        /// The one that was.
        approved: StepId,
        /// The one that was not.
        step: StepId,
    },
    /// A person approved something else than what the step would do now.
    #[error("step {step} is not what was approved: the runbook, the tool or the parameters have changed since")]
    Changed {
        /// The step.
        step: StepId,
    },
    /// No such tool.
    #[error("there is no tool {0}")]
    UnknownTool(ToolName),
    /// A tool that changes something where only looking is allowed.
    #[error("tool {0} is no diagnostic")]
    NotADiagnostic(ToolName),
}

/// One thing to run.
///
/// Equal agents make equal calls: the journal compares them as JSON when an incident is replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    purpose: Purpose,
    step: Option<StepId>,
    tool: Option<ToolName>,
    parameters: BTreeMap<String, Value>,
    sql: String,
    target: Option<String>,
}

impl ToolCall {
    /// Carry out a step that was approved, with these values for what it leaves open.
    pub fn action(
        approved: &Approved,
        step: &Step,
        chosen: &BTreeMap<String, Value>,
        catalogue: &Catalogue,
    ) -> Result<Self, CallError> {
        if *approved.step() != step.id {
            return Err(CallError::NotApproved { approved: approved.step().clone(), step: step.id.clone() });
        }
        let call = Self::planned(step, chosen, catalogue)?;
        if approved.hash().is_some_and(|hash| *hash != call.hash_of(step)) {
            return Err(CallError::Changed { step: step.id.clone() });
        }
        Ok(call)
    }

    /// What carrying out the step would be. Nobody but this module can run it: it is what an approval is bound to.
    pub(crate) fn planned(
        step: &Step,
        chosen: &BTreeMap<String, Value>,
        catalogue: &Catalogue,
    ) -> Result<Self, CallError> {
        validate_step(step, catalogue)?;
        let tool = catalogue.get(&step.tool).ok_or_else(|| CallError::UnknownTool(step.tool.clone()))?;
        let parameters = bind(step, tool, chosen)?;
        let sql = tool.render(&parameters)?;
        let target = Some(target(tool, &parameters));
        let step = Some(step.id.clone());
        Ok(Self { purpose: Purpose::Action, step, tool: Some(tool.name.clone()), parameters, sql, target })
    }

    /// Undo a step; none where the runbook knows no way back. It works on what the step worked on.
    pub fn rollback(step: &Step, action: &ToolCall, catalogue: &Catalogue) -> Result<Option<Self>, CallError> {
        let Some(rollback) = &step.rollback else { return Ok(None) };
        validate_step(step, catalogue)?;
        let tool = catalogue.get(&rollback.tool).ok_or_else(|| CallError::UnknownTool(rollback.tool.clone()))?;
        Ok(Some(Self {
            purpose: Purpose::Rollback,
            step: Some(step.id.clone()),
            tool: Some(tool.name.clone()),
            parameters: rollback.parameters.clone(),
            sql: tool.render(&rollback.parameters)?,
            target: action.target.clone(),
        }))
    }

    /// Whether a step may run now; none where the runbook asks for nothing.
    pub fn guard(step: &Step) -> Result<Option<Self>, CallError> {
        Self::query(Purpose::Guard, step, "guard", step.guard.as_deref())
    }

    /// Whether a step did what it should; none where the runbook does not say how to tell.
    pub fn verify(step: &Step) -> Result<Option<Self>, CallError> {
        Self::query(Purpose::Verify, step, "verify", step.verify.as_deref())
    }

    /// The figures that a step is judged by, to be taken before and after; none where the runbook asks for none.
    pub fn measure(step: &Step) -> Result<Option<Self>, CallError> {
        Self::query(Purpose::Measure, step, "measure", step.measure.as_deref())
    }

    fn query(purpose: Purpose, step: &Step, key: &str, sql: Option<&str>) -> Result<Option<Self>, CallError> {
        let Some(sql) = sql else { return Ok(None) };
        check_query(step, key, sql)?;
        let (step, sql) = (Some(step.id.clone()), sql.to_owned());
        Ok(Some(Self { purpose, step, tool: None, parameters: BTreeMap::new(), sql, target: None }))
    }

    /// Look around with a diagnostic tool.
    pub fn diagnostic(
        tool: &ToolName,
        parameters: &BTreeMap<String, Value>,
        catalogue: &Catalogue,
    ) -> Result<Self, CallError> {
        let tool = catalogue.get(tool).ok_or_else(|| CallError::UnknownTool(tool.clone()))?;
        if tool.kind != Kind::Diagnostic {
            return Err(CallError::NotADiagnostic(tool.name.clone()));
        }
        Ok(Self {
            purpose: Purpose::Diagnostic,
            step: None,
            tool: Some(tool.name.clone()),
            parameters: parameters.clone(),
            sql: tool.render(parameters)?,
            target: None,
        })
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The step that it belongs to; none for a diagnostic.
    pub fn step(&self) -> Option<&StepId> {
        self.step.as_ref()
    }

    /// The tool; none for a guard, a verify or a measure, which are queries of the runbook.
    pub fn tool(&self) -> Option<&ToolName> {
        self.tool.as_ref()
    }

    /// The values that stand in its SQL.
    pub fn parameters(&self) -> &BTreeMap<String, Value> {
        &self.parameters
    }

    /// One statement.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// What must not be worked on twice at once, such as `table public.orders`; none for what only looks.
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    pub(crate) fn hash_of(&self, step: &Step) -> StepHash {
        StepHash::of(step, &self.parameters, &self.sql)
    }
}

/// What a tool with these values works on: the table, else another relation, else the first thing that is named
/// (`server pgbouncer`, `role app`), else the database as a whole.
fn target(tool: &Tool, parameters: &BTreeMap<String, Value>) -> String {
    let named = |name: &String| {
        let value = tool.parameters.get(name)?.check(parameters.get(name)?).ok()?;
        match value {
            Checked::Relation(Some(schema), relation) => Some((0, format!("{schema}.{relation}"))),
            Checked::Relation(None, relation) => Some((0, relation)),
            Checked::Identifier(identifier) => Some((1, identifier)),
            _ => None,
        }
        .map(|(rank, value)| (rank, name != "table", format!("{name} {value}")))
    };
    tool.parameters.keys().filter_map(named).min().map_or_else(|| "database".to_owned(), |(_, _, target)| target)
}

/// What came of a call. Nothing is raised: an agent decides what a failure means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ToolOutcome {
    /// It ran.
    Done {
        /// Its rows, each a JSON object, capped.
        rows: Vec<Value>,
        /// Whether there were more.
        truncated: bool,
        /// How many rows it changed or returned, by the server's word.
        affected: u64,
        /// What the server warned of on the way.
        warnings: Vec<String>,
    },
    /// The server refused it, or it failed: nothing of it stands.
    Failed {
        /// The error's SQLSTATE.
        sqlstate: String,
        /// Its message.
        message: String,
        /// Its detail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// Its hint, such as the GRANT that is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Nobody knows whether it ran: a crash between intent and outcome.
    Unknown {
        /// What is known.
        reason: String,
    },
}

impl ToolOutcome {
    /// Whether a guard or a verify says yes: exactly one row of one column, and in it `true`. NULL is no yes, and
    /// neither is a row that another way of writing the query would have made two.
    pub fn is_true(&self) -> bool {
        let Self::Done { rows, truncated: false, .. } = self else { return false };
        let [Value::Object(row)] = rows.as_slice() else { return false };
        row.len() == 1 && row.values().all(|value| *value == Value::Bool(true))
    }
}

#[cfg(test)]
mod tests;
