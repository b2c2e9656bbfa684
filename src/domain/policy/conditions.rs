//! The conditions of the router, one function each, in the order in which they are listed.

use std::collections::BTreeSet;

use crate::retrieval::Retrieval;
use crate::triage::{Failure, Triage};

use super::{Autonomy, Breaker, Case, Condition, Policy, Rule};

/// Every condition, always all of them, always in this order.
pub(super) fn evaluate(case: &Case) -> Vec<Condition> {
    let actions = &case.triage.reply.recommended_actions;
    let confidence = case.triage.reply.confidence;
    vec![
        model_answered(case.triage),
        answer_parsed(case.triage),
        confidence_is_valid(confidence),
        confidence_reaches_threshold(confidence, case.policy),
        has_actions(actions),
        actions_are_known(actions, case.retrieval),
        actions_are_distinct(actions),
        actions_are_safe(actions, case.retrieval),
        breaker_closed(case.breaker),
        autonomy_not_off(case.autonomy),
        budget_left(actions.len(), case.actions_last_hour, case.policy),
        repeats_left(actions, case),
    ]
}

fn condition(name: Rule, pass: bool, value: impl ToString, bound: impl ToString, reason: String) -> Condition {
    Condition { name, value: value.to_string(), bound: bound.to_string(), pass, reason }
}

fn model_answered(triage: &Triage) -> Condition {
    let (pass, reason) = match &triage.failure {
        Some(Failure::NoAnswer { reason }) => {
            (false, format!("The model gave no answer: {reason}. What follows is the builtin model's view."))
        }
        Some(Failure::NoReply { .. }) => (true, "The model answered.".to_owned()),
        None => (true, format!("The model {} answered.", shown(&triage.by))),
    };
    condition(Rule::ModelAnswered, pass, if pass { "answered" } else { "no answer" }, "answered", reason)
}

fn answer_parsed(triage: &Triage) -> Condition {
    let (pass, value, reason) = match &triage.failure {
        Some(Failure::NoAnswer { .. }) => (false, "no answer", "There is no answer of the model to read.".to_owned()),
        Some(Failure::NoReply { reason }) => (
            false,
            "not readable",
            format!("The model's answer cannot be used: {reason}. What follows is the builtin model's view."),
        ),
        None if triage.repaired => (true, "readable", "The model's answer could be read at the second try.".to_owned()),
        None => (true, "readable", "The model's answer could be read.".to_owned()),
    };
    condition(Rule::AnswerParsed, pass, value, "readable", reason)
}

/// NaN lies in no range, so the comparison refuses it too.
fn is_share(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}

fn confidence_is_valid(confidence: f64) -> Condition {
    let pass = is_share(confidence);
    let is = if pass { "is a number" } else { "is not a number" };
    let reason = format!("The confidence {confidence} {is} from 0 to 1.");
    condition(Rule::ConfidenceIsValid, pass, confidence, "0..=1", reason)
}

fn confidence_reaches_threshold(confidence: f64, policy: &Policy) -> Condition {
    let threshold = policy.confidence_threshold;
    let pass = is_share(confidence) && is_share(threshold) && confidence >= threshold;
    let reason = if !is_share(threshold) {
        format!("The policy's threshold {threshold} is not a number from 0 to 1, so nothing reaches it.")
    } else if !is_share(confidence) {
        format!("The confidence {confidence} cannot be compared with the threshold {threshold}.")
    } else if pass {
        format!("The confidence {confidence} reaches the threshold {threshold}.")
    } else {
        format!("The confidence {confidence} is below the threshold {threshold}.")
    };
    condition(Rule::ConfidenceReachesThreshold, pass, confidence, format!(">= {threshold}"), reason)
}

fn has_actions(actions: &[String]) -> Condition {
    let reason = match actions.len() {
        0 => "No action is recommended.".to_owned(),
        1 => "One action is recommended.".to_owned(),
        n => format!("{n} actions are recommended."),
    };
    condition(Rule::HasActions, !actions.is_empty(), actions.len(), ">= 1", reason)
}

/// A condition on every action, given those that fail it. Of no actions nothing is true: [`Rule::HasActions`] refuses
/// them already, and this refuses them once more.
fn of_every(name: Rule, actions: &[String], failing: &[&str], bound: &str, good: &str, bad: &str) -> Condition {
    let pass = !actions.is_empty() && failing.is_empty();
    let value = if actions.is_empty() {
        "no actions".to_owned()
    } else {
        format!("{} of {}", actions.len() - failing.len(), actions.len())
    };
    let reason = if actions.is_empty() {
        "There is no action to check.".to_owned()
    } else if pass {
        good.to_owned()
    } else {
        format!("{bad}: {}.", listed(failing))
    };
    condition(name, pass, value, bound, reason)
}

fn actions_are_known(actions: &[String], retrieval: &Retrieval) -> Condition {
    let unknown: Vec<&str> = actions.iter().map(String::as_str).filter(|text| retrieval.step(text).is_none()).collect();
    of_every(
        Rule::ActionsAreKnown,
        actions,
        &unknown,
        "all among the retrieved steps",
        "Every action is a step of a runbook that was retrieved for this incident.",
        "Not among the steps of the retrieved runbooks",
    )
}

fn actions_are_distinct(actions: &[String]) -> Condition {
    let mut seen = BTreeSet::new();
    let twice: Vec<&str> = actions.iter().map(String::as_str).filter(|text| !seen.insert(*text)).collect();
    of_every(
        Rule::ActionsAreDistinct,
        actions,
        &twice,
        "all named once",
        "No action is named twice.",
        "Named more than once, which leaves their order unclear",
    )
}

/// An unknown action is not known to be safe. Should a catalogue ever hold one id twice, both rows must be safe.
fn actions_are_safe(actions: &[String], retrieval: &Retrieval) -> Condition {
    let safe = |text: &str| {
        let mut rows = retrieval.steps.iter().filter(|step| step.id.as_str() == text).peekable();
        rows.peek().is_some() && rows.all(|step| !step.destructive)
    };
    let unsafe_: Vec<&str> = actions.iter().map(String::as_str).filter(|text| !safe(text)).collect();
    of_every(
        Rule::ActionsAreSafe,
        actions,
        &unsafe_,
        "all destructive = false",
        "Every action is marked destructive = false in its runbook.",
        "Not marked destructive = false, so a person must approve",
    )
}

pub(super) fn breaker_closed(breaker: Breaker) -> Condition {
    let (value, reason) = match breaker {
        Breaker::Closed => ("closed", "The circuit breaker is closed: the pipeline is healthy."),
        Breaker::Open => {
            ("open", "The circuit breaker is open: the pipeline itself is in doubt, so nothing is done unasked.")
        }
        Breaker::Unknown => (
            "unknown",
            "This transaction, not READ COMMITTED, sees the circuit breaker and the budget as they were at its start.",
        ),
    };
    condition(Rule::BreakerClosed, breaker == Breaker::Closed, value, "closed", reason.to_owned())
}

pub(super) fn autonomy_not_off(autonomy: Autonomy) -> Condition {
    let reason = match autonomy {
        Autonomy::Off => "oncall.autonomy is off: nothing is done unasked.",
        Autonomy::DryRun => "oncall.autonomy is dry_run: what would be done is recorded and not done.",
        Autonomy::On => "oncall.autonomy is on.",
    };
    condition(Rule::AutonomyNotOff, autonomy != Autonomy::Off, autonomy.as_str(), "dry_run or on", reason.to_owned())
}

fn budget_left(wanted: usize, used: u32, policy: &Policy) -> Condition {
    let budget = u64::from(policy.max_actions_per_hour);
    let total = u64::from(used).saturating_add(wanted as u64);
    let pass = total <= budget;
    let reason = format!(
        "{used} actions were started in the last hour and {wanted} are recommended; the budget is {budget} an hour{}.",
        if pass { "" } else { ", so they would exceed it" }
    );
    condition(Rule::BudgetLeft, pass, total, format!("<= {budget}"), reason)
}

/// A step that helps for ten minutes and is carried out again, and again, hides what is really wrong.
fn repeats_left(actions: &[String], case: &Case) -> Condition {
    let most = case.policy.max_repeats_per_hour;
    let count = |text: &str| case.retrieval.step(text).and_then(|step| case.repeats_last_hour.get(&step.id)).copied();
    let counts: Vec<(&str, u32)> = actions.iter().map(|text| (text.as_str(), count(text).unwrap_or(0))).collect();
    let worn: Vec<&str> = counts.iter().filter(|(_, times)| *times >= most).map(|(text, _)| *text).collect();
    let highest = counts.iter().map(|(_, times)| *times).max().unwrap_or(0);
    let reason = if worn.is_empty() {
        format!("No action was carried out {most} times on the same target in the last hour.")
    } else {
        format!("Carried out {most} times or more on the same target in the last hour: {}.", listed(&worn))
    };
    condition(Rule::RepeatsLeft, worn.is_empty(), highest, format!("< {most}"), reason)
}

/// Some of them, cut to what a page can bear.
fn listed(texts: &[&str]) -> String {
    const MOST: usize = 5;
    let mut list: Vec<String> = texts.iter().take(MOST).map(|text| shown(text)).collect();
    if texts.len() > MOST {
        list.push(format!("and {} more", texts.len() - MOST));
    }
    list.join(", ")
}

/// A model's word, as a page may show it: cut, and with everything but plain ASCII escaped, so that a look-alike of a
/// real step's id cannot pass for it.
fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut plain: String = text.chars().take(MOST).flat_map(char::escape_default).collect();
    if text.chars().nth(MOST).is_some() {
        plain.push_str("...");
    }
    plain
}
