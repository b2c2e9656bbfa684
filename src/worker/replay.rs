//! The journal of an incident as the workers' host answers from it: what was called before is not called again.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::Value;

use crate::store::journal::Written;

/// What the journal says of a call that an agent is about to make.
#[derive(Debug, PartialEq)]
pub enum Recalled {
    /// Nothing: it was never made.
    New,
    /// It was begun, and nobody wrote down what came of it.
    Begun,
    /// It was made, and this came of it.
    Known {
        /// Whether it failed.
        failed: bool,
        /// What came of it.
        outcome: Value,
    },
}

/// An agent asks for something else than the journal holds under the same number: the code, a setting or a runbook has
/// changed since. Who went on would mix two conversations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step} of {agent} was a {then} when the incident was begun and is {now} now")]
pub struct Divergence {
    agent: String,
    step: i32,
    then: String,
    now: String,
}

/// The journal of one incident, read once when its work is claimed.
#[derive(Debug, Default)]
pub struct Replay(RefCell<HashMap<(String, i32), Written>>);

impl Replay {
    /// The journal as it was read.
    pub fn new(steps: Vec<Written>) -> Self {
        Self(RefCell::new(steps.into_iter().map(|step| ((step.agent.clone(), step.step_no), step)).collect()))
    }

    /// What was asked at (agent, step), where the journal knows: for a caller who would have to look up how to ask.
    pub fn asked(&self, agent: &str, step: i32) -> Option<Value> {
        self.0.borrow().get(&(agent.to_owned(), step)).map(|written| written.request.clone())
    }

    /// Whether an action was begun, whatever came of it.
    pub fn has_action(&self) -> bool {
        self.0.borrow().values().any(|written| written.kind == "action")
    }

    /// Whether something was begun that nobody has looked after since.
    pub fn has_intent(&self) -> bool {
        self.0.borrow().values().any(|written| written.outcome.is_none())
    }

    /// What the journal holds under (agent, step), if it is this call. Each entry answers once.
    pub fn recall(&self, agent: &str, step: i32, kind: &str, request: &Value) -> Result<Recalled, Divergence> {
        let Some(written) = self.0.borrow_mut().remove(&(agent.to_owned(), step)) else { return Ok(Recalled::New) };
        if written.kind != kind || written.request != *request {
            let now = if written.kind == kind { "another one".to_owned() } else { format!("a {kind}") };
            return Err(Divergence { agent: agent.to_owned(), step, then: written.kind, now });
        }
        Ok(match written.outcome {
            None => Recalled::Begun,
            Some(outcome) => Recalled::Known { failed: written.status == "failed", outcome },
        })
    }
}
