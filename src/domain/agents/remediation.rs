//! The remediation agent: carries out the approved steps, one after the other, and stops where the world is not as the
//! runbook assumes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Limits;
use super::answer::{NoAnswer, ask};
use super::asking::holds;
use super::carry_out::carry_out;
use super::open::{Choice, choice_schema, open_parameters};
use super::work::{End, Work};
use crate::host::{ActingHost, ChatRequest, ToolCall};
use crate::ids::StepId;
use crate::incident::Incident;
use crate::policy::Autonomy;
use crate::prompt::Prompt;
use crate::runbook::Step;

/// What came of the approved steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remediation {
    /// Every approved step, in its order.
    pub work: Vec<Work>,
    /// Why a person has to look, if one has to.
    pub objection: Option<String>,
    /// Steps that nobody recommended, but whose guards hold where that of a recommended one does not: for a person to
    /// approve.
    pub proposals: Vec<StepId>,
}

/// The most guards of other steps that are asked when one says no.
const MOST_GUARDS: usize = 8;

/// Carry out what was approved.
pub async fn remediate(host: &impl ActingHost, incident: &Incident, limits: &Limits) -> Remediation {
    // What is not `on` touches nothing; under `off` nothing is approved in the first place.
    let dry = incident.decision.autonomy != Autonomy::On;
    let mut work: Vec<Work> = Vec::new();
    let mut objection = None;
    for approved in &incident.decision.actions {
        let Some(step) = incident.retrieval.step(approved.step().as_str()) else {
            objection.get_or_insert(format!("Step {} is not there any more.", approved.step()));
            continue;
        };
        if objection.is_some() {
            work.push(Work::ended(step, approved, End::NotReached, "A step before it ended badly."));
            continue;
        }
        let done = match choose(host, incident, step, limits).await {
            Ok(chosen) => carry_out(host, approved, step, &chosen, &incident.catalogue, dry).await,
            Err(reason) => Work::ended(step, approved, End::NotBegun, reason),
        };
        let done = if work.iter().any(|earlier| earlier.end == End::Done) { done.after_another() } else { done };
        if done.end.is_bad() {
            objection = Some(format!("Step {}: {}", done.step, done.reason.as_deref().unwrap_or(done.end.as_str())));
        }
        work.push(done);
    }
    if objection.is_none() && !work.iter().any(|work| matches!(work.end, End::Done | End::Planned)) {
        objection = Some("There was nothing left to do: every recommended step holds already.".to_owned());
    }
    let refused = work.iter().any(|work| work.end == End::Refused);
    let proposals = if refused { propose(host, incident).await } else { Vec::new() };
    Remediation { work, objection, proposals }
}

/// The values for what a step leaves open. Where it leaves nothing open, no model is asked.
async fn choose(
    host: &impl ActingHost,
    incident: &Incident,
    step: &Step,
    limits: &Limits,
) -> Result<BTreeMap<String, Value>, String> {
    let open = open_parameters(step);
    if open.is_empty() {
        return Ok(BTreeMap::new());
    }
    let schema = choice_schema(step, &incident.catalogue).map_err(|error| error.to_string())?;
    let metrics = host.metrics().await;
    let prompt =
        Prompt::remediation(incident, step, &open, &metrics, limits.prompt_budget).map_err(|over| over.to_string())?;
    let request = ChatRequest {
        purpose: "remediation",
        prompt,
        schema_name: "choice",
        schema: schema.into(),
        max_tokens: limits.max_tokens,
    };
    match ask::<Choice>(host, &request).await {
        // In bounds or not: that is checked where the values are bound, for whoever chose them.
        Ok(choice) => Ok(choice.parameters.0),
        Err(NoAnswer::NoPod) => Err(format!("It leaves {} open, and there is no model to choose.", listed(&open))),
        Err(NoAnswer::Failed(reason)) => {
            Err(format!("It leaves {} open, and no value was chosen: {reason}", listed(&open)))
        }
    }
}

fn listed(open: &BTreeMap<&str, &crate::runbook::Bounds>) -> String {
    open.keys().copied().collect::<Vec<_>>().join(", ")
}

/// The other steps on offer that the world is ready for. Only looks; whatever they are, a person decides.
async fn propose(host: &impl ActingHost, incident: &Incident) -> Vec<StepId> {
    let approved: Vec<&StepId> = incident.decision.actions.iter().map(|approved| approved.step()).collect();
    let others = incident.retrieval.steps.iter().filter(|step| !approved.contains(&&step.id) && step.guard.is_some());
    let mut proposals = Vec::new();
    for step in others.take(MOST_GUARDS) {
        if let Some(Ok(())) = holds(host, ToolCall::guard(step)).await {
            proposals.push(step.id.clone());
        }
    }
    proposals
}
