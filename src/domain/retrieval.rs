//! What was found for an alert: sections of runbooks, and with them the steps that may be recommended.

use serde::{Deserialize, Serialize};

use crate::ids::{RunbookId, StepId};
use crate::runbook::Step;

/// Which way found a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// The alert's name stands in the runbook's `alerts:` list.
    AlertName,
    /// Its vector lies near the alert's.
    Similarity,
}

/// One section among the top k.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrieved {
    /// The runbook that the section belongs to.
    pub runbook_id: RunbookId,
    /// The runbook's title.
    pub title: String,
    /// The runbook's incident type, as in `ConnectionPoolExhaustion`.
    pub incident_type: Option<String>,
    /// The section's heading.
    pub section: String,
    /// The section's text, markdown.
    pub content: String,
    /// The weighted sum of cosines by which it was ranked, -1..=1.
    pub similarity: f64,
    /// The cosine by the builtin embedder alone, for which the builtin confidence is fitted.
    pub builtin_similarity: f64,
    /// Which way found it.
    pub found_by: FoundBy,
}

/// The answer of a search: the top k sections, best first, and every step of their runbooks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Best first; an exact match of the alert's name comes before any similarity.
    pub sections: Vec<Retrieved>,
    /// Every step of every runbook that has a section above, in the order of the runbooks, then of their sections.
    pub steps: Vec<Step>,
    /// The best builtin similarity of any other runbook than the first one's, among all candidates: the top k may
    /// well be sections of a single runbook.
    pub runner_up: Option<f64>,
}

impl Retrieval {
    /// The step that a model means by `text`, if its runbook was retrieved for this incident.
    ///
    /// This is where a model's text becomes a step: by being found, never by being parsed.
    pub fn step(&self, text: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id.as_str() == text)
    }

    /// The best section, and by how much it leads the best section of any other runbook, by the builtin embedder.
    ///
    /// The score tells whether any runbook covers the alert, the margin whether the first one is right.
    /// Where there is no other runbook the margin is the lead over nothing: the whole score.
    pub fn lead(&self) -> Option<(&Retrieved, f64)> {
        let best = self.sections.first()?;
        Some((best, best.builtin_similarity - self.runner_up.unwrap_or(0.0)))
    }

    /// The runbooks that have a section above, best first, each once.
    pub fn runbooks(&self) -> Vec<RunbookId> {
        let mut runbooks: Vec<RunbookId> = Vec::new();
        for section in &self.sections {
            if !runbooks.contains(&section.runbook_id) {
                runbooks.push(section.runbook_id.clone());
            }
        }
        runbooks
    }

    /// The ids of all steps on offer.
    pub fn step_ids(&self) -> impl Iterator<Item = &StepId> {
        self.steps.iter().map(|step| &step.id)
    }
}
