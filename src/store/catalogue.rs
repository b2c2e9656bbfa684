//! `ops_runbooks` and `tool`: what was written down for nights like this one.

use std::collections::BTreeMap;

use oncall_domain::host::ModelError;
use oncall_domain::ids::RunbookId;
use oncall_domain::runbook::Step;
use oncall_domain::tool::{Catalogue, Tool, validate_step};
use pgrx::datum::DatumWithOid;
use serde::{Deserialize, Serialize};

use super::{Result, jsonb, statement};
use crate::error::OncallError;

/// What the catalogue's vectors are.
#[derive(Debug, Deserialize)]
pub struct Vectors {
    /// How many sections there are, by the last ANALYZE; negative before the first.
    pub sections: f64,
    /// The length of the vectors in the column `embedding`.
    pub dimension: usize,
    first_model: Option<String>,
    last_model: Option<String>,
}

impl Vectors {
    /// The length that a query's vector by `model` must have, if it can be compared with these at all.
    pub fn comparable_with(&self, model: &str) -> std::result::Result<usize, ModelError> {
        let Some(found) = self.foreign_to(model) else { return Ok(self.dimension) };
        let reason = format!(
            "the runbooks are embedded by {found}, the queries by {model}: run SELECT * FROM oncall.reembed_runbooks()"
        );
        Err(ModelError::Unusable { reason })
    }

    /// Another model than `model` by which some row was embedded, if there is any.
    pub fn foreign_to(&self, model: &str) -> Option<&str> {
        [&self.first_model, &self.last_model].into_iter().flatten().map(String::as_str).find(|found| *found != model)
    }
}

/// What the catalogue's vectors are just now.
pub fn vectors() -> Result<Vectors> {
    statement!("vectors").ask(&[])?.ok_or_else(no_vectors)
}

pub(super) fn no_vectors() -> OncallError {
    OncallError::Catalogue { reason: "ops_runbooks has no column embedding".into() }
}

/// Runbooks as an argument.
pub fn ids<'a>(runbooks: &[RunbookId]) -> DatumWithOid<'a> {
    runbooks.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>().into()
}

/// A step and the tools that it names, as they lie there.
#[derive(Debug, Deserialize)]
pub struct StepRow {
    step: serde_json::Map<String, serde_json::Value>,
    id: String,
    destructive: bool,
    tools: Vec<serde_json::Value>,
}

impl StepRow {
    /// The step, where its tools are there and still let it.
    fn sound(self) -> Result<Option<Step>> {
        let mut whole = self.step;
        whole.insert("id".to_owned(), self.id.into());
        whole.insert("destructive".to_owned(), self.destructive.into());
        let step: Step = serde_json::from_value(whole.into())
            .map_err(|error| OncallError::Catalogue { reason: error.to_string() })?;
        let tools = sound(self.tools)?;
        Ok(validate_step(&step, &tools).is_ok().then_some(step))
    }
}

/// Those of the steps whose tools are there and still let them.
pub fn sound_steps(rows: Vec<StepRow>) -> Result<Vec<Step>> {
    rows.into_iter().filter_map(|row| row.sound().transpose()).collect()
}

/// The steps of `runbooks` as they stand now: those whose tools are there and still let them.
pub fn steps_of(runbooks: &[RunbookId]) -> Result<Vec<Step>> {
    let rows = statement!("steps_of").ask(&[ids(runbooks), None::<Vec<String>>.into()])?;
    sound_steps(rows.unwrap_or_default())
}

/// Every sound tool. One that is not (a trigger refuses it, so somebody took that away) is none, and the rest still work.
pub fn tools() -> Result<Catalogue> {
    sound(statement!("tools").ask(&[])?.unwrap_or_default())
}

fn sound(rows: Vec<serde_json::Value>) -> Result<Catalogue> {
    let tools = rows.into_iter().filter_map(|row| serde_json::from_value::<Tool>(row).ok());
    Ok(Catalogue::new(tools.filter(|tool| tool.check().is_ok()))?)
}

/// One row to be: the trigger adds the vectors.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    /// The runbook's id.
    pub runbook_id: &'a str,
    /// The section's name, numbered when a long section is split.
    pub section: String,
    /// Its text.
    pub content: String,
    /// The runbook's title.
    pub title: &'a str,
    /// The runbook's classification.
    pub incident_type: &'a str,
    /// `P1` to `P5`.
    pub severity: Option<&'static str>,
    /// Alert names that map to the runbook.
    pub alerts: &'a [String],
    /// The place within the runbook.
    pub position: usize,
    /// The step's id, when the section carries one.
    pub step_id: Option<&'a str>,
    /// The step without its id and flag, which have columns.
    pub step: Option<BTreeMap<String, serde_json::Value>>,
    /// Whether a person must approve the step.
    pub destructive: bool,
}

/// Replace the rows of a runbook; how many it has now.
pub fn replace_runbook(id: &RunbookId, rows: &[Row<'_>]) -> Result<usize> {
    statement!("delete_runbook").write(&[id.as_str().into()])?;
    statement!("insert_sections").write(&[jsonb(&rows)?])
}
