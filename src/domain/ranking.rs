//! Which of the sections near an alert come first: the rules by which a search ranks what the indexes give it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::ids::RunbookId;
use crate::retrieval::{FoundBy, Retrieved};

/// How the two cosines are weighed against each other.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Weights {
    /// Of the builtin embedder.
    pub builtin: f64,
    /// Of the pod's.
    pub pod: f64,
}

/// A section that an index holds to be near, or whose runbook names the alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its runbook.
    pub runbook_id: RunbookId,
    /// Its heading.
    pub section: String,
    /// Its place within the runbook.
    pub position: i32,
    /// The runbook's title.
    pub title: String,
    /// The runbook's classification.
    pub incident_type: Option<String>,
    /// Its text.
    pub content: String,
    /// Whether the runbook's `alerts:` list has the alert's name.
    pub named: bool,
    /// The cosine of the builtin vectors; no number where one of them is of a text without words.
    pub builtin: f64,
    /// The cosine of the pod's vectors; none where no pod was asked.
    pub pod: Option<f64>,
}

/// The first k, and what came behind them.
#[derive(Debug, Default)]
pub struct Ranking {
    /// Best first.
    pub top: Vec<Retrieved>,
    /// The best builtin cosine of any other runbook than the first one's, among all candidates.
    pub runner_up: Option<f64>,
}

/// Rank `candidates`, in which a section may stand more than once, and keep the first `k`.
///
/// `most` is how many an index gives at most: where that many are all of one runbook, no other runbook is nearer than the
/// farthest of them, and that is the runner-up.
pub fn rank(candidates: Vec<Candidate>, weights: Weights, k: usize, most: usize) -> Ranking {
    let mut scored: Vec<Scored> = distinct(candidates).into_iter().map(|c| Scored::of(c, weights)).collect();
    // An alert's name may stand in several runbooks, since one symptom has several causes. The best section of each comes
    // first: else the sections of one would fill the places, and the steps of the others would not be on offer.
    scored.sort_by(Scored::within_runbook);
    let mut led = BTreeSet::new();
    for one in &mut scored {
        one.leads = one.candidate.named && led.insert(one.candidate.runbook_id.clone());
    }
    scored.sort_by(Scored::overall);

    let Some(first) = scored.first().map(|one| &one.candidate.runbook_id) else { return Ranking::default() };
    let others = scored.iter().filter(|one| one.candidate.runbook_id != *first).map(|one| one.builtin);
    let farthest = || scored.iter().map(|one| one.builtin).reduce(f64::min).filter(|_| scored.len() >= most);
    let runner_up = others.reduce(f64::max).or_else(farthest);
    Ranking { top: scored.into_iter().take(k).map(Scored::retrieved).collect(), runner_up }
}

fn distinct(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let by_key = candidates.into_iter().map(|c| ((c.runbook_id.clone(), c.section.clone()), c));
    by_key.collect::<BTreeMap<_, _>>().into_values().collect()
}

struct Scored {
    candidate: Candidate,
    builtin: f64,
    similarity: f64,
    leads: bool,
}

impl Scored {
    fn of(candidate: Candidate, weights: Weights) -> Self {
        // A text without words has the zero vector, and the cosine to it is no number: it is near nothing.
        let number = |cosine: f64| if cosine.is_nan() { 0.0 } else { cosine };
        let builtin = number(candidate.builtin);
        let similarity = candidate.pod.map_or(builtin, |pod| {
            (weights.builtin * builtin + weights.pod * number(pod)) / (weights.builtin + weights.pod)
        });
        Self { candidate, builtin, similarity, leads: false }
    }

    fn retrieved(self) -> Retrieved {
        Retrieved {
            found_by: if self.candidate.named { FoundBy::AlertName } else { FoundBy::Similarity },
            runbook_id: self.candidate.runbook_id,
            title: self.candidate.title,
            incident_type: self.candidate.incident_type,
            section: self.candidate.section,
            content: self.candidate.content,
            similarity: self.similarity,
            builtin_similarity: self.builtin,
        }
    }

    /// What its name or similarity says; then its place, so that the order is always the same.
    fn within_runbook(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.candidate, &other.candidate);
        let by_worth = b.named.cmp(&a.named).then(other.similarity.total_cmp(&self.similarity));
        by_worth.then_with(|| (a.position, &a.section).cmp(&(b.position, &b.section)))
    }

    fn overall(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.candidate, &other.candidate);
        let by_worth = other.leads.cmp(&self.leads).then(b.named.cmp(&a.named));
        let by_worth = by_worth.then(other.similarity.total_cmp(&self.similarity));
        by_worth.then_with(|| a.runbook_id.cmp(&b.runbook_id)).then_with(|| self.within_runbook(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVEN: Weights = Weights { builtin: 0.5, pod: 0.5 };

    fn candidate(runbook: &str, section: &str, builtin: f64) -> Candidate {
        let runbook_id = RunbookId::new(runbook).unwrap();
        Candidate {
            runbook_id,
            section: section.to_owned(),
            position: 0,
            title: String::new(),
            incident_type: None,
            content: format!("what {section} says"),
            named: false,
            builtin,
            pod: None,
        }
    }

    fn named(candidate: Candidate) -> Candidate {
        Candidate { named: true, ..candidate }
    }

    fn order(candidates: &[Candidate], k: usize) -> Vec<String> {
        let ranking = rank(candidates.to_vec(), EVEN, k, 15);
        ranking.top.iter().map(|found| format!("{}/{}", found.runbook_id, found.section)).collect()
    }

    #[test]
    fn the_nearest_come_first_and_a_section_that_two_indexes_gave_stands_once() {
        let found =
            [candidate("A", "x", 0.2), candidate("B", "y", 0.9), candidate("A", "x", 0.2), candidate("C", "z", 0.5)];
        assert_eq!(order(&found, 5), ["B/y", "C/z", "A/x"]);
        assert_eq!(order(&found, 2), ["B/y", "C/z"]);
    }

    #[test]
    fn both_cosines_count_by_their_weights() {
        let far_and_near = Candidate { pod: Some(0.9), ..candidate("A", "x", 0.1) };
        let middling = Candidate { pod: Some(0.4), ..candidate("B", "y", 0.4) };
        let found = vec![far_and_near, middling];
        let first = |weights| rank(found.clone(), weights, 1, 15).top.remove(0);
        let even = first(EVEN);
        assert_eq!((even.runbook_id.as_str(), even.similarity, even.builtin_similarity), ("A", 0.5, 0.1));
        assert_eq!(first(Weights { builtin: 0.9, pod: 0.1 }).runbook_id.as_str(), "B");
    }

    #[test]
    fn a_name_comes_before_any_similarity_and_the_best_section_of_each_named_runbook_before_the_rest() {
        let found = [
            candidate("NEAR", "x", 0.99),
            named(candidate("A", "first", 0.3)),
            named(candidate("A", "second", 0.2)),
            named(candidate("B", "only", 0.1)),
        ];
        assert_eq!(order(&found, 5), ["A/first", "B/only", "A/second", "NEAR/x"]);
        assert_eq!(rank(found.to_vec(), EVEN, 1, 15).top[0].found_by, FoundBy::AlertName);
    }

    #[test]
    fn a_text_without_words_is_near_nothing_and_hides_nothing() {
        let nothing = Candidate { pod: Some(f64::NAN), ..candidate("A", "x", f64::NAN) };
        let something = Candidate { pod: Some(0.2), ..candidate("B", "y", 0.2) };
        let ranking = rank(vec![nothing, something], EVEN, 5, 15);
        assert_eq!(ranking.top[0].runbook_id.as_str(), "B");
        assert_eq!(ranking.top[1].similarity, 0.0);
    }

    #[test]
    fn equals_stand_in_the_order_of_their_runbooks_and_places() {
        let last = Candidate { position: 1, ..candidate("A", "a", 0.5) };
        let found = [candidate("B", "x", 0.5), last, candidate("A", "z", 0.5)];
        assert_eq!(order(&found, 5), ["A/z", "A/a", "B/x"]);
    }

    #[test]
    fn the_runner_up_is_of_another_runbook_wherever_it_stands() {
        let mut found = vec![candidate("A", "1", 0.9), candidate("A", "2", 0.8), candidate("A", "3", 0.7)];
        assert_eq!(rank(found.clone(), EVEN, 2, 15).runner_up, None, "there is no other runbook");
        assert_eq!(rank(found.clone(), EVEN, 2, 3).runner_up, Some(0.7), "another one is no nearer than that");
        found.push(candidate("B", "1", 0.1));
        assert_eq!(rank(found, EVEN, 2, 3).runner_up, Some(0.1));
        assert!(rank(Vec::new(), EVEN, 2, 3).top.is_empty());
    }
}
