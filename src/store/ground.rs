//! What every search stands on, kept in memory for as long as it holds: the policies, what the vectors are, where the
//! sections are few all of their vectors, and the steps of what was found before.
//!
//! A search would spend more on reading it than on searching. Nothing is decided by it: the sections that it finds are read
//! from the table, and so is every policy and every step by which the router decides.

use oncall_domain::flat::{Entry, FlatIndex, Section};
use oncall_domain::ids::RunbookId;
use oncall_domain::policy::Policy;
use oncall_domain::runbook::Step;
use pgrx::pg_sys;
use pgrx::spi::SpiHeapTupleData;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::catalogue::{self, Vectors};
use super::{Result, statement};
use crate::backend::changes;
use crate::error::OncallError;
use crate::settings;

/// What a search stands on beside its query.
#[derive(Debug)]
pub struct Ground {
    /// What the catalogue's vectors are.
    pub vectors: Vectors,
    /// Every policy: the weights of the cosines stand there.
    pub policies: Vec<Policy>,
    /// Every section's vectors; none where there are more of them than `oncall.flat_search_sections`.
    pub flat: Option<FlatIndex>,
    steps: RefCell<BTreeMap<RunbookId, Vec<Step>>>,
}

impl Ground {
    /// Every sound step of `runbooks`, in their order.
    pub fn steps_of(&self, runbooks: &[RunbookId]) -> Result<Vec<Step>> {
        let mut known = self.steps.borrow_mut();
        let unknown: Vec<RunbookId> = runbooks.iter().filter(|id| !known.contains_key(id)).cloned().collect();
        if !unknown.is_empty() {
            let steps = changes::with_latest_snapshot(|| catalogue::steps_of(&unknown))?;
            known.extend(unknown.into_iter().map(|id| (id, Vec::new())));
            for step in steps {
                known.entry(step.id.runbook()).or_default().push(step);
            }
        }
        Ok(runbooks.iter().filter_map(|id| known.get(id)).flatten().cloned().collect())
    }
}

/// How many sections are read at once.
const AT_ONCE: i64 = 256;

struct Kept {
    heard: u64,
    most: i32,
    ground: Rc<Ground>,
}

thread_local! {
    // A backend is one thread: this is what it keeps.
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// The ground as it is now.
pub fn current() -> Result<Rc<Ground>> {
    let most = settings::flat_search_sections();
    let heard = changes::heard();
    let holds = |kept: &&Kept| kept.heard == heard && kept.most == most;
    if let Some(ground) = KEPT.with_borrow(|kept| kept.as_ref().filter(holds).map(|kept| Rc::clone(&kept.ground))) {
        return Ok(ground);
    }
    // Let go of first: two of them would need twice the memory.
    KEPT.set(None);
    let tables: Vec<u32> = statement!("searched_tables").ask(&[])?.unwrap_or_default();
    changes::watch(tables.into_iter().map(pg_sys::Oid::from).collect());
    let heard = changes::heard();
    let ground = Rc::new(changes::with_latest_snapshot(|| read(most))?);
    if changes::is_read_committed() {
        KEPT.set(Some(Kept { heard, most, ground: Rc::clone(&ground) }));
    }
    Ok(ground)
}

fn read(most: i32) -> Result<Ground> {
    #[derive(Default, Deserialize)]
    struct Answers {
        vectors: Option<Vectors>,
        policies: Option<Vec<Policy>>,
        are_few: bool,
    }
    let questions = statement!("vectors", "policies", "are_few");
    let Answers { vectors, policies, are_few } = questions.ask(&[most.into()])?.unwrap_or_default();
    Ok(Ground {
        vectors: vectors.ok_or_else(catalogue::no_vectors)?,
        policies: policies.unwrap_or_default(),
        flat: are_few.then(all_vectors).transpose()?,
        steps: RefCell::default(),
    })
}

/// Every section's vectors, read by parts: in full precision all of them would take eight times as much as is kept.
fn all_vectors() -> Result<FlatIndex> {
    let read = |row: SpiHeapTupleData<'_>| {
        let runbook_id = RunbookId::new(row.get::<String>(1)?.unwrap_or_default());
        let runbook_id = runbook_id.map_err(|error| OncallError::Catalogue { reason: error.to_string() })?;
        let section = row.get::<String>(2)?.unwrap_or_default();
        let vector = |ordinal| row.get::<&[u8]>(ordinal).map(|sent| sent.map(received).unwrap_or_default());
        Ok(Entry::new(Section { runbook_id, section }, &vector(3)?, &vector(4)?))
    };
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let last = entries.last().map(Entry::section);
        let (runbook, section) = last.map_or(("", ""), |last| (last.runbook_id.as_str(), last.section.as_str()));
        let part = statement!("next_vectors").rows(&[runbook.into(), section.into(), AT_ONCE.into()], read)?;
        let is_last = part.len() < AT_ONCE as usize;
        entries.extend(part);
        if is_last {
            return Ok(FlatIndex::new(entries));
        }
    }
}

/// The numbers of a vector as pgvector sends it.
fn received(sent: &[u8]) -> Vec<f32> {
    let (numbers, _) = sent.get(4..).unwrap_or_default().as_chunks();
    numbers.iter().map(|&bytes| f32::from_be_bytes(bytes)).collect()
}
