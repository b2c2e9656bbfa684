//! The search among the runbooks: candidates from the indexes, ranked by the domain's rules, then their texts.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use oncall_domain::ids::RunbookId;
use oncall_domain::policy::Policy;
use oncall_domain::ranking::{Candidate, Placed, Ranking, Weights, rank};
use oncall_domain::retrieval::{Retrieval, Retrieved};
use oncall_domain::runbook::Step;
use pgrx::spi::SpiHeapTupleData;
use pgvector::Vector;
use serde::Deserialize;

use super::catalogue::{self, Vectors};
use super::{Result, Statement, reals, statement};
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

/// What a search stands on beside its query.
#[derive(Debug)]
pub struct Ground {
    /// What the catalogue's vectors are.
    pub vectors: Vectors,
    /// Every policy: the weights of the cosines stand there.
    pub policies: Vec<Policy>,
}

/// Both, in one statement.
pub fn ground() -> Result<Ground> {
    #[derive(Deserialize)]
    struct Answers {
        vectors: Option<Vectors>,
        policies: Option<Vec<Policy>>,
    }
    let questions = Statement::together(&[
        ("vectors", include_str!("sql/vectors.sql")),
        ("policies", include_str!("sql/policies.sql")),
    ]);
    let found: Option<Answers> = questions.ask(&[])?;
    let Answers { vectors, policies } = found.unwrap_or(Answers { vectors: None, policies: None });
    Ok(Ground { vectors: vectors.ok_or_else(catalogue::no_vectors)?, policies: policies.unwrap_or_default() })
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
    with_settings(&settings, || {
        let found = candidates_for(vectors, query, candidates)?;
        let Ranking { top, runner_up } = rank(found, weights, query.k as usize, candidates as usize);
        let (mut texts, steps) = texts_of(&top)?;
        let sections = top.into_iter().filter_map(|placed| {
            let Placed { runbook_id, section, similarity, builtin_similarity, found_by } = placed;
            let text = texts.remove(&(runbook_id.clone(), section.clone()))?;
            let Text { title, incident_type, content } = text;
            Some(Retrieved {
                runbook_id,
                title,
                incident_type,
                section,
                content,
                similarity,
                builtin_similarity,
                found_by,
            })
        });
        Ok(Retrieval { sections: sections.collect(), steps, runner_up })
    })
}

fn candidates_for(vectors: &Vectors, query: &Query<'_>, most: i32) -> Result<Vec<Candidate>> {
    let search = Statement::filled(include_str!("sql/candidates.sql"), "@dimension@", &vectors.dimension.to_string());
    let args = &[
        reals(query.builtin),
        query.pod.map(|vector| vector.as_slice().to_vec()).into(),
        query.alert_name.map(str::to_owned).into(),
        most.into(),
    ];
    let columns = |row: SpiHeapTupleData<'_>| {
        let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
        let runbook_id = RunbookId::new(text(1)?);
        Ok(Candidate {
            runbook_id: runbook_id.map_err(|error| OncallError::Catalogue { reason: error.to_string() })?,
            section: text(2)?,
            position: row.get(3)?.unwrap_or_default(),
            named: row.get(4)?.unwrap_or_default(),
            builtin: row.get(5)?.unwrap_or(f64::NAN),
            pod: row.get(6)?,
        })
    };
    search.rows(args, columns)
}

/// What a section says.
#[derive(Debug, Deserialize)]
struct Text {
    title: String,
    incident_type: Option<String>,
    content: String,
}

type Texts = BTreeMap<(RunbookId, String), Text>;

/// What these sections say, and the steps of their runbooks in the order in which those come first.
fn texts_of(top: &[Placed]) -> Result<(Texts, Vec<Step>)> {
    #[derive(Deserialize)]
    struct Keyed {
        runbook_id: RunbookId,
        section: String,
        #[serde(flatten)]
        text: Text,
    }
    #[derive(Default, Deserialize)]
    struct Found {
        sections: Option<Vec<Keyed>>,
        steps: Option<Vec<Step>>,
    }
    let runbooks: Vec<String> = top.iter().map(|placed| placed.runbook_id.as_str().to_owned()).collect();
    let sections: Vec<String> = top.iter().map(|placed| placed.section.clone()).collect();
    let found: Found = statement!("sections").ask(&[runbooks.into(), sections.into()])?.unwrap_or_default();
    let texts = found.sections.unwrap_or_default().into_iter();
    let texts = texts.map(|one| ((one.runbook_id, one.section), one.text)).collect();
    Ok((texts, found.steps.unwrap_or_default()))
}
