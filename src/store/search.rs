//! The search among the runbooks: candidates, from memory or from the indexes, ranked by the domain's rules.

use std::ffi::{CStr, CString};

use oncall_domain::flat::FlatIndex;
use oncall_domain::ids::RunbookId;
use oncall_domain::ranking::{Candidate, Ranking, Weights, rank};
use oncall_domain::retrieval::Retrieval;
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;
use pgvector::Vector;

use super::catalogue::Vectors;
use super::ground::Ground;
use super::{Args, Result, Statement, statement};
use crate::backend::{reals, with_settings};
use crate::error::OncallError;
use crate::settings;

/// The most sections of one search: all of an HNSW index's answer is held in memory, and `hnsw.ef_search` ends at 1,000.
pub const MOST_SECTIONS: i32 = 100;

/// How many candidates each index gives beyond k, so that the runner-up is among them.
const MORE_CANDIDATES: i32 = 10;

/// How many sections beyond k are read where all are compared in memory: what rounding may have put into the wrong order.
const SPARE_SECTIONS: i32 = 5;

/// The least `hnsw.ef_search`: with 20, one in twenty of the five nearest was missing among 5,000 sections of real runbooks.
const LEAST_EF_SEARCH: i32 = 40;

/// How many elements of an index a search keeps in view (`hnsw.ef_search`): its cost and its recall.
///
/// It must exceed the candidates. Beyond that it grows with the root of the catalogue: what keeps recall@5 at 0.98 among
/// 50,000 sections is 63 (measured by the benchmark). An unknown size, before the first ANALYZE, is negative.
fn ef_search(sections: f64, candidates: i32) -> i32 {
    let by_size = (sections.max(0.0).sqrt() / 3.5) as i32;
    by_size.max(LEAST_EF_SEARCH).clamp(candidates + 5, 1000)
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

/// What a search goes by.
#[derive(Debug, Clone, Copy)]
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

/// The top k sections, and every sound step of their runbooks.
///
/// A pod's vector counts where it can be compared. It could when the pod was asked; somebody may have embedded the runbooks
/// by another model since.
pub fn retrieve(ground: &Ground, query: &Query<'_>, weights: Weights) -> Result<Retrieval> {
    let model = settings::embedding_pod().map(|(_, model)| model).unwrap_or_default();
    let fits = |vector: &&Vector| ground.vectors.comparable_with(&model) == Ok(vector.as_slice().len());
    let query = &Query { pod: query.pod.filter(fits), ..*query };
    let Ranking { top, runner_up } = match &ground.flat {
        Some(flat) => rank_of_all(flat, query, weights)?,
        None => rank_of_candidates(&ground.vectors, query, weights)?,
    };
    let mut retrieval = Retrieval { sections: top, steps: Vec::new(), runner_up };
    retrieval.steps = ground.steps_of(&retrieval.runbooks())?;
    Ok(retrieval)
}

/// By the vectors in memory: they know which sections are near, and the table what these say.
fn rank_of_all(flat: &FlatIndex, query: &Query<'_>, weights: Weights) -> Result<Ranking> {
    let compared = flat.compare(query.builtin.as_slice(), query.pod.map(Vector::as_slice), weights);
    let most = (query.k + SPARE_SECTIONS) as usize;
    let near = compared.nearest(most);
    let runbooks: Vec<String> = near.iter().map(|section| section.runbook_id.as_str().to_owned()).collect();
    let sections: Vec<String> = near.iter().map(|section| section.section.clone()).collect();
    let [builtin, pod, name] = query.args();
    let args = &[builtin, pod, name, runbooks.into(), sections.into()];
    let found = with_settings(SEARCH_SETTINGS, || read(statement!("candidates_among"), args))?;
    let mut ranking = rank(found, weights, query.k as usize, most);
    ranking.runner_up = ranking.top.first().and_then(|first| compared.best_of_others(&first.runbook_id));
    Ok(ranking)
}

/// By both indexes.
fn rank_of_candidates(vectors: &Vectors, query: &Query<'_>, weights: Weights) -> Result<Ranking> {
    let most = query.k + MORE_CANDIDATES;
    let search = Statement::filled(include_str!("sql/candidates.sql"), "@dimension@", &vectors.dimension.to_string());
    let ef_search = CString::new(ef_search(vectors.sections, most).to_string()).expect("digits hold no NUL");
    let settings = [SEARCH_SETTINGS, &[(c"hnsw.ef_search", ef_search.as_c_str())]].concat();
    let [builtin, pod, name] = query.args();
    let found = with_settings(&settings, || read(search, &[builtin, pod, name, most.into()]))?;
    Ok(rank(found, weights, query.k as usize, most as usize))
}

impl Query<'_> {
    fn args<'a>(&self) -> [DatumWithOid<'a>; 3] {
        let pod = self.pod.map_or_else(DatumWithOid::null::<Vec<f32>>, |vector| reals(vector.as_slice()));
        [reals(self.builtin.as_slice()), pod, self.alert_name.map(str::to_owned).into()]
    }
}

fn read(search: Statement, args: &Args<'_>) -> Result<Vec<Candidate>> {
    search.rows(args, |row: SpiHeapTupleData<'_>| {
        let text = |ordinal| row.get::<String>(ordinal).map(Option::unwrap_or_default);
        let runbook_id = RunbookId::new(text(1)?);
        Ok(Candidate {
            runbook_id: runbook_id.map_err(|error| OncallError::Catalogue { reason: error.to_string() })?,
            section: text(2)?,
            position: row.get(3)?.unwrap_or_default(),
            named: row.get(4)?.unwrap_or_default(),
            builtin: row.get(5)?.unwrap_or(f64::NAN),
            pod: row.get(6)?,
            title: text(7)?,
            incident_type: row.get(8)?,
            content: text(9)?,
        })
    })
}
