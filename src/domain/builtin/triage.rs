//! The triage that reads the retrieved runbook, and claims no more than that it resembles the alert.

use crate::alert::Alert;
use crate::retrieval::{FoundBy, Retrieval, Retrieved};
use crate::triage::TriageReply;

use super::confidence::{BY_NAME, confidence};

/// What the incident type is called where no runbook gives one.
const UNKNOWN: &str = "Unknown";

/// The most characters of the runbook in a hypothesis: what a person reads at a glance.
const LONGEST_HYPOTHESIS: usize = 600;

/// Words in the headings of sections that say what an alert means or where it comes from, most telling first.
const TELL_THE_CAUSE: [&str; 5] = ["meaning", "cause", "summary", "overview", "symptom"];

/// The best runbook's incident type, all of its steps in their order, and its own words on the cause.
///
/// Where nothing was retrieved, the confidence is 0 and there are no actions. Guards decide later which steps fit.
pub fn triage(alert: &Alert, retrieval: &Retrieval) -> TriageReply {
    let Some((best, margin)) = retrieval.lead() else {
        return TriageReply {
            incident_type: UNKNOWN.to_owned(),
            runbook_id: None,
            confidence: 0.0,
            recommended_actions: Vec::new(),
            root_cause_hypothesis: "No runbook was found for this alert.".to_owned(),
        };
    };
    let steps = retrieval.steps.iter().filter(|step| step.id.runbook() == best.runbook_id);
    TriageReply {
        incident_type: best.incident_type.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
        runbook_id: Some(best.runbook_id.to_string()),
        confidence: match best.found_by {
            FoundBy::AlertName => BY_NAME,
            // Three digits, as the audit has it, and downwards: what the row shows is what is held against a threshold.
            FoundBy::Similarity => (confidence(best.builtin_similarity, margin) * 1000.0).floor() / 1000.0,
        },
        recommended_actions: steps.map(|step| step.id.to_string()).collect(),
        root_cause_hypothesis: hypothesis(alert, retrieval, best),
    }
}

/// How the runbook was found, then the first paragraphs of what it says of the cause, as many as fit.
fn hypothesis(alert: &Alert, retrieval: &Retrieval, best: &Retrieved) -> String {
    let (id, title) = (&best.runbook_id, &best.title);
    let found = match (best.found_by, &alert.name) {
        (FoundBy::AlertName, Some(name)) => format!("{id} ({title}) is for alerts named {name}."),
        (FoundBy::AlertName, None) => format!("{id} ({title}) is for alerts of this name."),
        (FoundBy::Similarity, _) => format!("The alert resembles {id} ({title})."),
    };
    let of_best = || retrieval.sections.iter().filter(|section| section.runbook_id == best.runbook_id);
    let told = TELL_THE_CAUSE.iter().find_map(|word| of_best().find(|s| s.section.to_ascii_lowercase().contains(word)));
    let told = told.unwrap_or(best);
    let mut said = String::new();
    for paragraph in told.content.split("\n\n") {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        let longer = [&[said.as_str()][..], &words].concat().join(" ");
        if !said.is_empty() && longer.chars().count() > LONGEST_HYPOTHESIS {
            break;
        }
        said = longer.trim_start().to_owned();
    }
    format!("{found} {}", cut(&said, LONGEST_HYPOTHESIS)).trim_end().to_owned()
}

/// At most `length` characters of `text`, up to the end of a word, with `…` where something was left out.
fn cut(text: &str, length: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(length) else { return text.to_owned() };
    let kept = &text[..end];
    let kept = kept.rfind(' ').map_or("", |space| &kept[..space]);
    format!("{kept} …")
}

#[cfg(test)]
#[path = "triage_tests.rs"]
mod tests;
