//! Exact search over a catalogue, and how good its order is.

use oncall_domain::builtin::{chunk_text, embed, split_section};
use serde::Serialize;

use super::data::Runbook;

/// Every chunk of a catalogue with its vector.
#[derive(Debug)]
pub struct Catalogue {
    ids: Vec<String>,
    /// The runbook's place in `ids`, and the vector.
    chunks: Vec<(usize, Vec<f32>)>,
}

/// What was found for one alert.
#[derive(Debug, Clone)]
pub struct Found {
    /// Place of the runbook and its score, the maximum over its chunks, best first.
    pub runbooks: Vec<(usize, f64)>,
}

impl Catalogue {
    /// Embed all chunks of `runbooks`.
    pub fn new(runbooks: &[Runbook]) -> Self {
        let mut chunks = Vec::new();
        for (place, runbook) in runbooks.iter().enumerate() {
            for section in &runbook.sections {
                for part in split_section(&section.content) {
                    chunks.push((place, embed(&chunk_text(&runbook.title, &section.section, part)).to_vec()));
                }
            }
        }
        Self { ids: runbooks.iter().map(|runbook| runbook.runbook_id.clone()).collect(), chunks }
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The id of the runbook at `place`.
    pub fn id(&self, place: usize) -> &str {
        &self.ids[place]
    }

    /// Search for `text` among the runbooks that `include` lets in.
    pub fn search(&self, text: &str, include: impl Fn(usize) -> bool) -> Found {
        let query = embed(text);
        let query: Vec<(usize, f32)> =
            query.as_slice().iter().copied().enumerate().filter(|(_, x)| *x != 0.0).collect();
        let mut best = vec![f64::NEG_INFINITY; self.ids.len()];
        for (place, vector) in self.chunks.iter().filter(|(place, _)| include(*place)) {
            let score = f64::from(query.iter().map(|(at, x)| x * vector[*at]).sum::<f32>());
            best[*place] = best[*place].max(score);
        }
        let mut runbooks: Vec<(usize, f64)> =
            best.into_iter().enumerate().filter(|(_, score)| score.is_finite()).collect();
        runbooks.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Found { runbooks }
    }
}

/// How good an order is, over many alerts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quality {
    /// How often the first runbook is right.
    pub recall_at_1: f64,
    /// How often one of the first five is.
    pub recall_at_5: f64,
    /// The mean of 1 / place of the first right one.
    pub mean_reciprocal_rank: f64,
}

impl Quality {
    /// From the places, from 1, of the first right runbook of each alert.
    pub fn of(places: &[usize]) -> Self {
        let mean =
            |value: &dyn Fn(usize) -> f64| places.iter().map(|place| value(*place)).sum::<f64>() / places.len() as f64;
        Self {
            recall_at_1: mean(&|place| f64::from(place == 1)),
            recall_at_5: mean(&|place| f64::from(place <= 5)),
            mean_reciprocal_rank: mean(&|place| 1.0 / place as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::Section;
    use super::*;

    fn runbook(id: &str, title: &str, contents: &[&str]) -> Runbook {
        let section = |content: &&str| Section { section: "Meaning".to_owned(), content: (*content).to_owned() };
        Runbook {
            runbook_id: id.to_owned(),
            title: title.to_owned(),
            alertname: None,
            sections: contents.iter().map(section).collect(),
        }
    }

    #[test]
    fn a_runbook_scores_as_its_best_chunk_does_and_only_those_let_in_are_found() {
        let catalogue = Catalogue::new(&[
            runbook("pool", "Connection pool exhausted", &["All connections are busy.", "Unrelated words here."]),
            runbook("disk", "Disk full", &["No space is left on the volume."]),
        ]);
        assert_eq!(catalogue.chunks(), 3);
        let found = catalogue.search("the connection pool is exhausted", |_| true);
        assert_eq!(catalogue.id(found.runbooks[0].0), "pool");
        assert!(found.runbooks[0].1 > found.runbooks[1].1 + 0.2);
        let others = catalogue.search("the connection pool is exhausted", |place| place == 1);
        assert_eq!(others.runbooks.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn quality_counts_the_place_of_the_first_right_runbook() {
        let quality = Quality::of(&[1, 2, 5, 10]);
        assert_eq!((quality.recall_at_1, quality.recall_at_5), (0.25, 0.75));
        assert!((quality.mean_reciprocal_rank - (1.0 + 0.5 + 0.2 + 0.1) / 4.0).abs() < 1e-12);
    }
}
