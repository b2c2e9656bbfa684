//! The catalogue's side: load a runbook, search, embed, and the checks that the catalogue's trigger makes.

use std::collections::BTreeMap;

use oncall_domain::alert::Severity;
use oncall_domain::builtin;
use oncall_domain::host::ModelError;
use oncall_domain::ids::{RunbookId, StepId};
use oncall_domain::policy;
use oncall_domain::redact::redact;
use oncall_domain::runbook::{self, Runbook, Section, Step};
use oncall_domain::tool::{Tool, validate_step};
use oncall_model::Kind;
use pgrx::JsonB;
use pgrx::prelude::*;
use pgvector::Vector;
use serde_json::{Value, json};

use crate::error::{Answer, OncallError};
use crate::pod;
use crate::store::catalogue::{self, Row, Vectors};
use crate::store::{self, ground, search};

/// The most bytes of a runbook; one that is longer is none.
const MOST_BYTES: usize = 1024 * 1024;

/// Parse a runbook, check it against the tools and replace its rows; how many sections and steps it has now.
#[pg_extern(schema = "oncall_internal", strict)]
fn store_runbook(markdown: &str, file: &str) -> Answer<JsonB> {
    if markdown.len() > MOST_BYTES {
        return Err(OncallError::TooLarge { what: "the runbook", bytes: markdown.len(), most: MOST_BYTES }.into());
    }
    let parsed = runbook::parse_checked(markdown, file, &catalogue::tools()?).map_err(OncallError::from)?;
    refuse_mixed_models(&catalogue::vectors()?)?;
    let rows = rows(&parsed)?;
    catalogue::replace_runbook(&parsed.id, &rows)?;
    let steps = rows.iter().filter(|row| row.step.is_some()).count();
    Ok(JsonB(json!({ "runbook_id": parsed.id, "sections": rows.len(), "steps": steps })))
}

/// The rows of a runbook: its sections, long ones split at paragraph ends; the first part keeps the step.
fn rows(runbook: &Runbook) -> store::Result<Vec<Row<'_>>> {
    let mut rows = Vec::new();
    for section in &runbook.sections {
        let parts = builtin::split_section(&section.content);
        for (part, content) in parts.into_iter().enumerate() {
            let step = section.step.as_ref().filter(|_| part == 0);
            rows.push(Row {
                runbook_id: runbook.id.as_str(),
                section: part_name(section, part),
                content: content.to_owned(),
                title: &runbook.title,
                incident_type: &runbook.incident_type,
                severity: runbook.severity.map(Severity::as_str),
                alerts: &runbook.alerts,
                position: rows.len(),
                step_id: step.map(|step| step.id.as_str()),
                step: step.map(step_column).transpose()?,
                destructive: step.is_some_and(|step| step.destructive),
            });
        }
    }
    Ok(rows)
}

fn part_name(section: &Section, part: usize) -> String {
    if part == 0 { section.name.clone() } else { format!("{} ({})", section.name, part + 1) }
}

/// The step without its id and flag: these have columns of their own, and one place each.
fn step_column(step: &Step) -> store::Result<BTreeMap<String, Value>> {
    let whole: BTreeMap<String, Value> = serde_json::to_value(step)
        .and_then(serde_json::from_value)
        .map_err(|error| OncallError::StepShape { reason: error.to_string() })?;
    Ok(whole.into_iter().filter(|(key, _)| key != "id" && key != "destructive").collect())
}

/// Rows of two models cannot be compared: say so while somebody is there to hear it.
fn refuse_mixed_models(vectors: &Vectors) -> store::Result<()> {
    let model = pod::embedding_model();
    match vectors.foreign_to(&model) {
        Some(found) => Err(OncallError::MixedModels { found: found.to_owned(), expected: model }),
        None => Ok(()),
    }
}

/// A vector of another length than the column's cannot be compared with what is in it.
fn refuse_wrong_dimension(expected: usize, got: usize) -> store::Result<()> {
    if expected == got { Ok(()) } else { Err(OncallError::WrongDimension { expected, got }) }
}

/// Check the step of a row and name it: the id that follows from its place.
#[pg_extern(schema = "oncall_internal", strict)]
fn check_step(runbook_id: &str, section: &str, step: JsonB, destructive: bool) -> Answer<String> {
    let shape = |reason: String| OncallError::StepShape { reason };
    let runbook = RunbookId::new(runbook_id).map_err(|error| shape(error.to_string()))?;
    let id = StepId::of(&runbook, section).map_err(|error| shape(error.to_string()))?;
    let mut whole = step.0;
    let Some(fields) = whole.as_object_mut() else {
        return Err(shape("the column step holds no JSON object".to_owned()).into());
    };
    fields.insert("id".to_owned(), json!(id));
    fields.insert("destructive".to_owned(), json!(destructive));
    let step: Step = serde_json::from_value(whole).map_err(|error| shape(error.to_string()))?;
    validate_step(&step, &catalogue::tools()?).map_err(OncallError::from)?;
    Ok(id.into())
}

/// Check a row of `oncall.tool`: its parameters have known types, its template is one statement with their slots.
#[pg_extern(schema = "oncall_internal", strict)]
fn check_tool(tool: JsonB) -> Answer<()> {
    let shape = |error: serde_json::Error| OncallError::ToolShape { reason: error.to_string() };
    let tool: Tool = serde_json::from_value(tool.0).map_err(shape)?;
    tool.check().map_err(OncallError::from)?;
    Ok(())
}

/// The vector of a text by the builtin embedder, 1024 numbers.
#[pg_extern(schema = "oncall_internal", strict, immutable, parallel_safe)]
fn embed_builtin(text: &str) -> Vec<f32> {
    builtin::embed(text).to_vec()
}

/// The builtin vector of a section.
#[pg_extern(schema = "oncall_internal", strict, immutable, parallel_safe)]
fn embed_passage_builtin(title: &str, section: &str, content: &str) -> Vec<f32> {
    builtin::embed(&builtin::chunk_text(title, section, content)).to_vec()
}

/// The name of the embedding model in use.
#[pg_extern(schema = "oncall_internal", strict, stable)]
fn embedding_model() -> String {
    pod::embedding_model()
}

/// The vector of a section by the embedding model in use, which must be of length `dimension`.
#[pg_extern(schema = "oncall_internal", strict)]
fn embed_passage(title: &str, section: &str, content: &str, dimension: i32) -> Answer<Vec<f32>> {
    // A pod is outside, and a runbook may quote a connection string. Redacted first: taken apart, a key is none.
    let text = builtin::pod_passage_text(redact(title).as_str(), redact(section).as_str(), redact(content).as_str());
    let vector = match pod::embed(vec![text], Kind::Passage, None) {
        Err(ModelError::NoPod) => embed_passage_builtin(title, section, content),
        Err(error) => return Err(OncallError::Embedding(error).into()),
        Ok(mut vectors) => vectors.pop().unwrap_or_default(),
    };
    refuse_wrong_dimension(usize::try_from(dimension).unwrap_or_default(), vector.len())?;
    Ok(vector)
}

/// The length of the vectors in `ops_runbooks.embedding`.
#[pg_extern(schema = "oncall_internal", strict, stable)]
fn embedding_dimension() -> Answer<i32> {
    Ok(catalogue::vectors()?.dimension as i32)
}

/// The length of the vectors of the embedding model in use, by asking it.
#[pg_extern(schema = "oncall_internal", strict)]
fn probe_dimension() -> Answer<i32> {
    match pod::embed(vec!["connection pool exhausted".to_owned()], Kind::Passage, None) {
        Err(ModelError::NoPod) => Ok(builtin::DIMENSIONS as i32),
        Err(error) => Err(OncallError::Embedding(error).into()),
        Ok(vectors) => Ok(vectors.first().map_or(0, Vec::len) as i32),
    }
}

/// The top k sections for words, as an array.
#[pg_extern(schema = "oncall_internal", strict)]
fn search(query: &str, k: i32) -> Answer<JsonB> {
    if !(1..=search::MOST_SECTIONS).contains(&k) {
        return Err(OncallError::Argument { argument: "k", rule: "from 1 to 100", value: k.to_string() }.into());
    }
    if query.trim().is_empty() {
        return Err(OncallError::Argument { argument: "query", rule: "some words", value: "empty".into() }.into());
    }
    let builtin_vector = builtin::embed(query);
    let asked = builtin::pod_query_text(redact(query).as_str());
    let pod_vector = match pod::embed(vec![asked], Kind::Query, None) {
        Err(ModelError::NoPod) => None,
        Err(error) => return Err(OncallError::Embedding(error).into()),
        Ok(mut vectors) => Some(Vector::from(vectors.pop().unwrap_or_default())),
    };
    let ground = ground::current()?;
    if let Some(vector) = &pod_vector {
        refuse_mixed_models(&ground.vectors)?;
        refuse_wrong_dimension(ground.vectors.dimension, vector.as_slice().len())?;
    }
    let found = search::retrieve(
        &ground,
        &search::Query { builtin: &builtin_vector, pod: pod_vector.as_ref(), alert_name: Some(query.trim()), k },
        policy::select(&ground.policies, None, None).weights(),
    )?;
    Ok(JsonB(json!(found.sections)))
}
