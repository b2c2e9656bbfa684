//! Builds pages: everything that an engineer needs, out of whatever there is.
//!
//! Nothing here can fail or wait. A page for an incident of which nothing but the alert is known is short, and goes out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::diagnostics::Found;
use super::work::Work;
use crate::host::Metric;
use crate::ids::StepId;
use crate::incident::Incident;
use crate::page::{Evidence, Page, PageKind, PagedAlert, PagedReason, PagedSection, PagedWork, RecommendedAction};
use crate::policy::Rule;
use crate::runbook::{Binding, Step};
use crate::triage::Failure;

/// A page with what is known of an incident from before its treatment.
pub(super) fn page(incident: &Incident, kind: PageKind, now: Timestamp) -> Page {
    let alert = &incident.alert;
    let reply = &incident.triage.reply;
    let reason = |c: &crate::policy::Condition| PagedReason {
        condition: c.name.as_str().to_owned(),
        pass: c.pass,
        reason: c.reason.clone(),
    };
    Page {
        incident_id: incident.id.clone(),
        kind,
        severity: alert.severity,
        fingerprint: alert.fingerprint.clone(),
        title: title(incident),
        alert: PagedAlert {
            text: alert.text.clone(),
            source: alert.source.clone(),
            name: alert.name.clone(),
            labels: alert.labels.clone(),
            started_at: alert.starts_at,
        },
        classification: Some(reply.incident_type.clone()),
        confidence: Some(reply.confidence),
        hypothesis: Some(reply.root_cause_hypothesis.clone()),
        recommended: Vec::new(),
        runbook: section(incident),
        evidence: trouble(incident),
        reasons: incident.decision.conditions.iter().map(reason).collect(),
        done: Vec::new(),
        created_at: now,
    }
}

/// What it is, in one line. A classification that policy would not act on is a guess, and whoever is woken should read the
/// alert before it.
fn title(incident: &Incident) -> String {
    let (headline, kind) = (incident.alert.headline(), &incident.triage.reply.incident_type);
    let unsure = |c: &crate::policy::Condition| c.name == Rule::ConfidenceReachesThreshold && !c.pass;
    if incident.decision.conditions.iter().any(unsure) {
        format!("{headline} (perhaps {kind})")
    } else {
        format!("{kind}: {headline}")
    }
}

/// The steps that the triage recommends, as far as there are such steps. What else it named stands in the reasons.
pub(super) fn named(incident: &Incident) -> Vec<&Step> {
    let named = incident.triage.reply.recommended_actions.iter().filter_map(|text| incident.retrieval.step(text));
    let mut steps: Vec<&Step> = Vec::new();
    for step in named {
        if !steps.iter().any(|known| known.id == step.id) {
            steps.push(step);
        }
    }
    steps
}

/// A step that a person may approve, with the SQL to type.
pub(super) fn recommended(incident: &Incident, step: &Step, why: Option<&str>) -> RecommendedAction {
    let tool = incident.catalogue.get(&step.tool).map_or("", |tool| tool.summary.as_str());
    let parameters: Vec<String> =
        step.parameters.iter().map(|(name, binding)| format!("{name}={}", said(binding))).collect();
    let why = why.map(|why| format!(" {why}")).unwrap_or_default();
    RecommendedAction {
        step_id: step.id.to_string(),
        summary: format!("{} ({}). {tool}{why}", step.tool, parameters.join(", ")),
        destructive: step.destructive,
        approve: Some(approval(&incident.id, step)),
    }
}

fn said(binding: &Binding) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match binding {
        Binding::Fixed(value) => text(value),
        Binding::Open(bounds) => match (&bounds.min, &bounds.max) {
            (Some(min), Some(max)) => format!("{}..{}", text(min), text(max)),
            _ => bounds.one_of.iter().map(text).collect::<Vec<_>>().join("|"),
        },
    }
}

/// The SQL that approves a step. For what it leaves open it proposes the least, for the person to change.
fn approval(incident_id: &str, step: &Step) -> String {
    let least = |binding: &Binding| match binding {
        Binding::Open(bounds) => bounds.min.clone().or_else(|| bounds.one_of.first().cloned()),
        Binding::Fixed(_) => None,
    };
    let open: BTreeMap<&String, Value> =
        step.parameters.iter().filter_map(|(name, binding)| Some((name, least(binding)?))).collect();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let parameters = if open.is_empty() { String::new() } else { format!(", {}", quoted(&json!(open).to_string())) };
    format!("SELECT * FROM oncall.approve_step({}, {}{parameters});", quoted(incident_id), quoted(step.id.as_str()))
}

/// The section to read: that of the first step that is recommended, else the one that fits best.
fn section(incident: &Incident) -> Option<PagedSection> {
    let of_step = named(incident).first().and_then(|step| incident.section_of(&step.id));
    let section = of_step.or(incident.retrieval.sections.first())?;
    Some(PagedSection {
        runbook_id: section.runbook_id.to_string(),
        title: section.title.clone(),
        section: section.section.clone(),
        content: section.content.clone(),
    })
}

/// What did not work on the way to the decision.
fn trouble(incident: &Incident) -> Vec<Evidence> {
    let model = incident.triage.failure.as_ref().map(|failure| match failure {
        Failure::NoAnswer { reason } => ("The model", format!("No answer: {reason}")),
        Failure::NoReply { reason } => ("The model", format!("No answer that can be read: {reason}")),
    });
    let embedding = incident.triage.embedding_failure.as_ref();
    let embedding = embedding.map(|reason| ("The embedding model", format!("Failed: {reason}")));
    let nothing = incident.retrieval.sections.is_empty();
    let nothing = nothing.then(|| ("The runbooks", "None was found for this alert.".to_owned()));
    let all = [model, embedding, nothing].into_iter().flatten();
    all.map(|(what, finding)| Evidence { what: what.to_owned(), finding }).collect()
}

/// Figures as evidence.
pub(super) fn measured(metrics: &[Metric]) -> Vec<Evidence> {
    const MOST: usize = 8;
    let one = |metric: &Metric| {
        let at = metric.at.map(|at| format!(" at {at}")).unwrap_or_default();
        let about: String = metric.about.split_whitespace().collect::<Vec<_>>().join(" ");
        Evidence { what: metric.name.clone(), finding: format!("{}{at} {about}", metric.value).trim().to_owned() }
    };
    metrics.iter().take(MOST).map(one).collect()
}

/// What the diagnostics saw, as evidence.
pub(super) fn seen(found: &Found) -> Vec<Evidence> {
    let finding = found.finding.iter().map(|finding| Evidence { what: "Finding".to_owned(), finding: finding.clone() });
    let looks = found.looks.iter().map(|look| Evidence {
        what: look.query.clone(),
        finding: look.error.clone().unwrap_or_else(|| rows(&look.rows)),
    });
    finding.chain(looks).collect()
}

/// The first rows, one a line, without the keys' noise.
fn rows(rows: &[Value]) -> String {
    if rows.is_empty() {
        return "no rows".to_owned();
    }
    let line = |row: &Value| match row.as_object() {
        None => row.to_string(),
        Some(row) => {
            let filled = row.iter().filter(|(_, value)| !value.is_null());
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            filled.map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(" ")
        }
    };
    rows.iter().take(5).map(line).collect::<Vec<_>>().join("\n")
}

/// What was done, or would have been.
pub(super) fn done(work: &[Work]) -> Vec<PagedWork> {
    let one = |work: &Work| {
        let target = work.target.as_deref().map(|target| format!(" on {target}")).unwrap_or_default();
        let parameters =
            if work.parameters.is_empty() { String::new() } else { format!(" {}", json!(work.parameters)) };
        let figures =
            |name: &str, value: &Option<Value>| value.as_ref().map(|v| format!(" {name} {v}")).unwrap_or_default();
        let before_and_after = figures("Before:", &work.before) + &figures("After:", &work.after);
        let rollback = work.rollback.as_ref().map(|how| format!(" Way back: {how}.")).unwrap_or_default();
        let reason = work.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        PagedWork {
            step_id: Some(work.step.to_string()),
            summary: format!("{}{target}{parameters}.{before_and_after}", work.tool),
            outcome: format!("{}{reason}{rollback}", work.end.as_str().replace('_', " ")),
        }
    };
    work.iter().map(one).collect()
}

/// What is left for the morning, as steps of which none waits for a word.
pub(super) fn follow_ups(work: &[Work]) -> Vec<RecommendedAction> {
    let one = |work: &Work| {
        let summary = format!("Follow-up: {}", work.follow_up.as_deref()?);
        Some(RecommendedAction { step_id: work.step.to_string(), summary, destructive: false, approve: None })
    };
    work.iter().filter_map(one).collect()
}

/// The steps of these ids, in their order.
pub(super) fn steps<'i>(incident: &'i Incident, ids: &[StepId]) -> Vec<&'i Step> {
    ids.iter().filter_map(|id| incident.retrieval.step(id.as_str())).collect()
}
