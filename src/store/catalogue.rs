//! `ops_runbooks` and `tool`: what was written down for nights like this one.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use oncall_domain::host::ModelError;
use oncall_domain::ids::RunbookId;
use oncall_domain::retrieval::Retrieval;
use oncall_domain::runbook::Step;
use oncall_domain::tool::{Catalogue, Tool, validate_step};
use pgrx::datum::DatumWithOid;
use pgvector::Vector;
use serde::{Deserialize, Serialize};

use super::{Result, Statement, jsonb, reals, statement};
use crate::backend::with_settings;
use crate::error::OncallError;

/// The most sections of one search: all of an HNSW index's answer is held in memory, and `hnsw.ef_search` ends at 1,000.
pub const MOST_SECTIONS: i32 = 100;

/// How many candidates each index gives beyond k, so that the runner-up is among them.
const MORE_CANDIDATES: i32 = 10;

/// What `hnsw.ef_search` is for a catalogue of unknown size.
const USUAL_EF_SEARCH: i32 = 40;

/// How many elements of an index a search keeps in view (`hnsw.ef_search`): its cost and its recall.
///
/// It must exceed the candidates. Beyond that it grows with the root of the catalogue: what keeps recall@5 at 0.98 among
/// 50,000 sections costs three times as much as 2,000 sections need (measured by the benchmark).
fn ef_search(sections: f64, candidates: i32) -> i32 {
    let wanted = if sections < 0.0 { USUAL_EF_SEARCH } else { (sections.sqrt() / 3.5) as i32 };
    wanted.clamp(candidates + 5, 1000)
}

/// What the search runs under. The planner does not count what a comparison of two vectors costs, so in a small
/// catalogue it would read all rows, by a scan or by another index, and sort. What is "off" costs ten thousand million
/// where it cannot be avoided, and that must not wake the JIT.
/// With its limits unknown the plan is the same, and planning anew for each alert would cost a millisecond.
const SEARCH_SETTINGS: &[(&CStr, &CStr)] = &[
    (c"enable_seqscan", c"off"),
    (c"enable_sort", c"off"),
    (c"jit", c"off"),
    (c"plan_cache_mode", c"force_generic_plan"),
];

/// What the catalogue's vectors are.
#[derive(Debug, Deserialize)]
pub struct Vectors {
    /// How many sections there are, by the last ANALYZE; negative before the first.
    sections: f64,
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
    let found = statement!("vectors").ask(&[])?;
    found.ok_or_else(|| OncallError::Catalogue { reason: "ops_runbooks has no column embedding".into() })
}

/// How the two cosines are weighed against each other.
#[derive(Debug, Clone, Copy)]
pub struct Weights {
    /// Of the builtin embedder.
    pub builtin: f64,
    /// Of the pod's.
    pub pod: f64,
}

/// What a search goes by.
#[derive(Debug)]
pub struct Query<'a> {
    /// The builtin vector of the text.
    pub builtin: &'a Vector,
    /// The pod's vector of the text, when there is a pod.
    pub pod: Option<&'a Vector>,
    /// The alert's name, for an exact match.
    pub alert_name: Option<&'a str>,
    /// How many sections are wanted, from 1 to [`MOST_SECTIONS`].
    pub k: i32,
}

/// The top k sections among `vectors`, and every step of their runbooks.
pub fn retrieve(vectors: &Vectors, query: &Query<'_>, weights: Weights) -> Result<Retrieval> {
    let candidates = query.k + MORE_CANDIDATES;
    let ef_search = CString::new(ef_search(vectors.sections, candidates).to_string()).expect("digits hold no NUL");
    let settings = [SEARCH_SETTINGS, &[(c"hnsw.ef_search", ef_search.as_c_str())]].concat();
    let search = Statement::filled(include_str!("sql/retrieve.sql"), "@dimension@", &vectors.dimension.to_string());
    let found = with_settings(&settings, || {
        search.ask(&[
            reals(query.builtin),
            query.pod.map(|vector| vector.as_slice().to_vec()).into(),
            weights.builtin.into(),
            weights.pod.into(),
            query.alert_name.map(str::to_owned).into(),
            query.k.into(),
            candidates.into(),
        ])
    })?;
    Ok(found.unwrap_or_default())
}

/// Runbooks as an argument.
pub fn ids<'a>(runbooks: &[RunbookId]) -> DatumWithOid<'a> {
    runbooks.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>().into()
}

/// The steps of some runbooks, and the tools that they name, as they lie there.
#[derive(Debug, Default, Deserialize)]
pub struct StepsOf {
    steps: Vec<Step>,
    tools: Vec<serde_json::Value>,
}

impl StepsOf {
    /// Those whose tool is there and still lets them.
    pub fn sound(mut self) -> Result<Vec<Step>> {
        let tools = sound(self.tools)?;
        self.steps.retain(|step| validate_step(step, &tools).is_ok());
        Ok(self.steps)
    }
}

/// The steps of `runbooks` as they stand now: those whose tool is there and still lets them.
pub fn steps_of(runbooks: &[RunbookId]) -> Result<Vec<Step>> {
    statement!("steps_of").ask::<StepsOf>(&[ids(runbooks)])?.unwrap_or_default().sound()
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
