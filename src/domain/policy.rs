//! The router: what may happen without a person, decided by rules and never by a model.
//!
//! [`decide`] is a pure function. It takes the model's reply unchecked, evaluates every condition of the policy in a
//! fixed order, and lets the actions through only if all of them hold. The list of conditions is the explanation that
//! the page, the audit row and `explain_route` show.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::StepId;
use crate::retrieval::Retrieval;
use crate::triage::Triage;

mod approval;
mod conditions;
mod rules;
#[cfg(test)]
mod tests;

pub use approval::{Approval, Approved, ApprovedBy, StepHash, step_hash};
pub use rules::{DEFAULT, Policy, select};

/// Whether the pipeline itself is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    /// It is.
    Closed,
    /// It is not: everything escalates.
    Open,
    /// Nobody can say: the transaction sees the state of its start, and may miss that it was opened since.
    Unknown,
}

/// What may be done without asking (`oncall.autonomy`), the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autonomy {
    /// Nothing: everything escalates.
    Off,
    /// Decisions are made, and what would be done is recorded instead of done.
    DryRun,
    /// What policy lets through is done.
    On,
}

impl Autonomy {
    /// As the setting writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::DryRun => "dry_run",
            Self::On => "on",
        }
    }
}

/// Where an incident goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The approved actions are carried out.
    Autonomous,
    /// A person is paged.
    Escalate,
}

impl Route {
    /// As `incident_audit.routing_decision` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Autonomous => "autonomous",
            Self::Escalate => "escalate",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What the triage came to, unchecked.
    pub triage: &'a Triage,
    /// What was retrieved for this incident: the only steps that exist for it.
    pub retrieval: &'a Retrieval,
    /// The rules in force, see [`select`].
    pub policy: &'a Policy,
    /// The state of the breaker.
    pub breaker: Breaker,
    /// The setting.
    pub autonomy: Autonomy,
    /// How many actions were started in the hour before, over all incidents.
    pub actions_last_hour: u32,
    /// How often each step was carried out in the hour before, on the target where that was most often.
    pub repeats_last_hour: &'a BTreeMap<StepId, u32>,
}

/// One condition of the policy, in the order in which all of them are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The model gave an answer.
    ModelAnswered,
    /// The answer could be read.
    AnswerParsed,
    /// The confidence is a number from 0 to 1.
    ConfidenceIsValid,
    /// It is at least the policy's threshold.
    ConfidenceReachesThreshold,
    /// There is something to do. On its own, since "every action is safe" is also true of no actions.
    HasActions,
    /// Every action is a step of a retrieved runbook.
    ActionsAreKnown,
    /// No action is named twice.
    ActionsAreDistinct,
    /// Every action is a step that needs no person's approval.
    ActionsAreSafe,
    /// The pipeline is healthy.
    BreakerClosed,
    /// Autonomy is not off.
    AutonomyNotOff,
    /// The budget of actions holds out.
    BudgetLeft,
    /// No action was carried out again and again already: what a loop looks like.
    RepeatsLeft,
}

impl Rule {
    /// All of them, in their order.
    pub const ALL: [Self; 12] = [
        Self::ModelAnswered,
        Self::AnswerParsed,
        Self::ConfidenceIsValid,
        Self::ConfidenceReachesThreshold,
        Self::HasActions,
        Self::ActionsAreKnown,
        Self::ActionsAreDistinct,
        Self::ActionsAreSafe,
        Self::BreakerClosed,
        Self::AutonomyNotOff,
        Self::BudgetLeft,
        Self::RepeatsLeft,
    ];

    /// Its name, as `explain_route` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModelAnswered => "model_answered",
            Self::AnswerParsed => "answer_parsed",
            Self::ConfidenceIsValid => "confidence_is_valid",
            Self::ConfidenceReachesThreshold => "confidence_reaches_threshold",
            Self::HasActions => "has_actions",
            Self::ActionsAreKnown => "actions_are_known",
            Self::ActionsAreDistinct => "actions_are_distinct",
            Self::ActionsAreSafe => "actions_are_safe",
            Self::BreakerClosed => "breaker_closed",
            Self::AutonomyNotOff => "autonomy_not_off",
            Self::BudgetLeft => "budget_left",
            Self::RepeatsLeft => "repeats_left",
        }
    }
}

/// One condition, evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which one.
    pub name: Rule,
    /// What was found.
    pub value: String,
    /// What it must be.
    pub bound: String,
    /// Whether it is.
    pub pass: bool,
    /// The same as a sentence, for the page.
    pub reason: String,
}

/// What the router decided, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Where the incident goes.
    pub route: Route,
    /// Every condition, in the order of [`Rule`].
    pub conditions: Vec<Condition>,
    /// What to carry out, in the model's order; empty unless the route is autonomous.
    pub actions: Vec<Approved>,
    /// The policy that decided.
    pub policy_version: i64,
    /// Whether the actions are carried out or only recorded.
    pub autonomy: Autonomy,
}

impl Decision {
    /// The decision that the router took in another transaction, as the store kept it.
    ///
    /// Only a whole list of conditions that all passed lets the actions through again: a row that was written by hand,
    /// or by a version that knew fewer rules, escalates.
    pub fn recorded(
        route: Route,
        conditions: Vec<Condition>,
        policy_version: i64,
        autonomy: Autonomy,
        triage: &Triage,
        retrieval: &Retrieval,
    ) -> Self {
        let whole = conditions.iter().map(|condition| condition.name).eq(Rule::ALL);
        let passed = whole && conditions.iter().all(|condition| condition.pass) && autonomy != Autonomy::Off;
        let actions =
            if route == Route::Autonomous && passed { named(triage, retrieval, policy_version) } else { None };
        Self::of(conditions, actions, policy_version, autonomy)
    }

    /// The same decision under what holds now, where that is stricter: a switch that was thrown after an incident was
    /// routed, and before it is treated, counts. It is never laxer than it was.
    pub fn under(mut self, autonomy: Autonomy, breaker: Breaker) -> Self {
        let now = [conditions::breaker_closed(breaker), conditions::autonomy_not_off(autonomy)];
        for condition in now.into_iter().filter(|condition| !condition.pass) {
            self.route = Route::Escalate;
            self.actions.clear();
            match self.conditions.iter_mut().find(|known| known.name == condition.name) {
                Some(known) => *known = condition,
                None => self.conditions.push(condition),
            }
        }
        self.autonomy = self.autonomy.min(autonomy);
        self
    }

    fn of(conditions: Vec<Condition>, actions: Option<Vec<Approved>>, policy_version: i64, autonomy: Autonomy) -> Self {
        let route = if actions.is_some() { Route::Autonomous } else { Route::Escalate };
        Self { route, conditions, actions: actions.unwrap_or_default(), policy_version, autonomy }
    }

    /// The sentences that say why the incident escalates; none when it does not.
    pub fn objections(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().filter(|condition| !condition.pass).map(|condition| condition.reason.as_str())
    }
}

/// Decide. The same case gives the same decision and the same reasons, always.
///
/// Every condition is evaluated whatever the others say, so that the page shows all that is wrong at once.
pub fn decide(case: &Case) -> Decision {
    let conditions = conditions::evaluate(case);
    let passed = conditions.iter().all(|condition| condition.pass);
    let actions = if passed { named(case.triage, case.retrieval, case.policy.version) } else { None };
    Decision::of(conditions, actions, case.policy.version, case.autonomy)
}

/// Every action that the model named, as approved by policy; none of them if one is not found or there is none, which
/// cannot be while the conditions are right: if it ever is, a person looks.
fn named(triage: &Triage, retrieval: &Retrieval, version: i64) -> Option<Vec<Approved>> {
    let actions = &triage.reply.recommended_actions;
    let approve = |text: &String| retrieval.step(text).map(|step| Approved::by_policy(&step.id, version));
    actions.iter().map(approve).collect::<Option<Vec<_>>>().filter(|approved| !approved.is_empty())
}
