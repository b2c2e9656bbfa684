//! The questions of the agents that work on an incident after the triage. Each has its own words and sees only what it
//! needs.

use std::collections::BTreeMap;

use super::{BYTES_PER_TOKEN, LEAST_ROOM, NONCE_DIGITS, OverBudget, Prompt, fill, nonce, parts};
use crate::host::Metric;
use crate::incident::Incident;
use crate::redact::redact;
use crate::runbook::{Bounds, Step};

/// A part of a prompt that is cut: its name, the share of what is left that it may take in percent, and how it is worded
/// in so many bytes.
type Part<'a> = (&'static str, usize, &'a dyn Fn(usize) -> String);

impl Prompt {
    /// Which values for what this step leaves open?
    pub(crate) fn remediation(
        incident: &Incident,
        step: &Step,
        open: &BTreeMap<&str, &Bounds>,
        metrics: &[Metric],
        budget: usize,
    ) -> Result<Self, OverBudget> {
        let lines = open.iter().map(|(name, bounds)| {
            let bounds = serde_json::to_string(bounds).unwrap_or_default();
            format!("- {name}: {}", redact(&bounds).as_str())
        });
        let open = lines.collect::<Vec<_>>().join("\n");
        word(
            [include_str!("remediation_system.md"), include_str!("remediation_user.md")],
            &[("open", &open)],
            &[
                ("alert", 40, &|room| parts::alert(&incident.alert, room)),
                ("hypothesis", 30, &|room| hypothesis(incident, room)),
                ("step", 60, &|room| section(incident, step, room)),
                ("metrics", 100, &|room| parts::metrics(metrics, room)),
            ],
            budget,
        )
    }

    /// What should be looked at next? `queries` are those on offer with what they do, `results` what was seen.
    pub(crate) fn diagnostics(
        incident: &Incident,
        queries: &str,
        left: usize,
        results: &str,
        budget: usize,
    ) -> Result<Self, OverBudget> {
        word(
            [include_str!("diagnostics_system.md"), include_str!("diagnostics_user.md")],
            &[("queries", queries), ("left", &left.to_string())],
            &[
                ("alert", 30, &|room| parts::alert(&incident.alert, room)),
                ("hypothesis", 25, &|room| hypothesis(incident, room)),
                ("results", 100, &|room| redact(results).cut(room).as_str().to_owned()),
            ],
            budget,
        )
    }

    /// How is the team told?
    pub(crate) fn notification(incident: &Incident, steps: &str, budget: usize) -> Result<Self, OverBudget> {
        let severity = incident.alert.severity.map_or("unknown", |severity| severity.as_str());
        word(
            [include_str!("notification_system.md"), include_str!("notification_user.md")],
            &[("incident", &incident.id), ("severity", severity), ("steps", steps)],
            &[
                ("alert", 60, &|room| parts::alert(&incident.alert, room)),
                ("hypothesis", 100, &|room| hypothesis(incident, room)),
            ],
            budget,
        )
    }
}

/// Fill the two templates: what is fixed goes in whole, the parts share the rest in their order.
fn word(
    [system, user]: [&str; 2],
    fixed: &[(&str, &str)],
    parts: &[Part<'_>],
    budget: usize,
) -> Result<Prompt, OverBudget> {
    let made = |nonce: &str, texts: &[(&str, &str)]| {
        let values = [&[("nonce", nonce)], texts].concat();
        Prompt::of(fill(system, &[("nonce", nonce)]), fill(user, &values))
    };
    let empty: Vec<(&str, &str)> = fixed.iter().copied().chain(parts.iter().map(|(name, ..)| (*name, ""))).collect();
    let least = made(&"0".repeat(NONCE_DIGITS), &empty).bytes();
    let bytes = budget.saturating_mul(BYTES_PER_TOKEN);
    if bytes < least + LEAST_ROOM {
        return Err(OverBudget { steps: 0, needed: (least + LEAST_ROOM).div_ceil(BYTES_PER_TOKEN), budget });
    }
    let mut room = bytes - least;
    let mut texts: Vec<(&str, String)> = Vec::with_capacity(parts.len());
    for (name, percent, text) in parts {
        let text = text(room / 100 * percent);
        room = room.saturating_sub(text.len());
        texts.push((name, text));
    }
    let texts: Vec<(&str, &str)> =
        fixed.iter().copied().chain(texts.iter().map(|(name, text)| (*name, text.as_str()))).collect();
    let nonce = nonce(&texts.iter().map(|(_, text)| *text).collect::<Vec<_>>());
    Ok(made(&nonce, &texts))
}

fn hypothesis(incident: &Incident, room: usize) -> String {
    let reply = &incident.triage.reply;
    let text = format!("{}, confidence {}: {}", reply.incident_type, reply.confidence, reply.root_cause_hypothesis);
    redact(&text).cut(room).as_str().to_owned()
}

/// What the runbook says of a step, where its section was retrieved.
fn section(incident: &Incident, step: &Step, room: usize) -> String {
    let words = incident.section_of(&step.id).map_or("", |section| section.content.as_str());
    redact(&format!("Step {}, tool {}\n{words}", step.id, step.tool)).cut(room).as_str().to_owned()
}
