//! The token without which nothing is carried out, and what a person's approval is bound to.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::host::{CallError, ToolCall};
use crate::ids::StepId;
use crate::runbook::Step;
use crate::tool::Catalogue;

/// A step that may be carried out: policy let it through, or a person did.
///
/// Only this module makes one, so that whatever carries out actions cannot be handed one that nobody approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approved {
    step: StepId,
    by: ApprovedBy,
}

/// Who let a step through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovedBy {
    /// The router, by the policy of this version.
    Policy(i64),
    /// A person, by name, and exactly what they saw.
    Person {
        /// The role that they were logged in as.
        name: String,
        /// What the step would have done when they looked.
        hash: StepHash,
    },
}

/// A row of `approval`, as the store read it: an operator's word on one step, in time and not used up. That it is all
/// of this is for the store to check; that the step still is the same is checked when it is carried out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Approval {
    /// The step.
    pub step: StepId,
    /// The values chosen for what the step leaves open.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    /// The hash of what was shown to the person.
    pub hash: StepHash,
    /// The role that approved it.
    pub approved_by: String,
}

impl Approved {
    pub(super) fn by_policy(step: &StepId, version: i64) -> Self {
        Self { step: step.clone(), by: ApprovedBy::Policy(version) }
    }

    /// What a person approved.
    pub fn by_person(approval: &Approval) -> Self {
        let (name, hash) = (approval.approved_by.clone(), approval.hash.clone());
        Self { step: approval.step.clone(), by: ApprovedBy::Person { name, hash } }
    }

    /// The step.
    pub fn step(&self) -> &StepId {
        &self.step
    }

    /// Who let it through.
    pub fn by(&self) -> &ApprovedBy {
        &self.by
    }

    /// What exactly was approved; a policy approves the step as the runbook has it.
    pub(crate) fn hash(&self) -> Option<&StepHash> {
        match &self.by {
            ApprovedBy::Policy(_) => None,
            ApprovedBy::Person { hash, .. } => Some(hash),
        }
    }
}

/// What a step does, as 64 hexadecimal digits: its definition (guard, verify and rollback too), the values of all
/// parameters, and the SQL, so that a changed tool is noticed as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepHash(String);

impl StepHash {
    pub(crate) fn of(step: &Step, parameters: &BTreeMap<String, Value>, sql: &str) -> Self {
        // As JSON, in which no two different triples look alike: field after field, keys in order.
        let text = serde_json::to_string(&(step, parameters, sql)).expect("text keys, and numbers that came from JSON");
        let digest = Sha256::digest(text.as_bytes());
        Self(digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash of what a step does with these values for what it leaves open: what an approval is bound to.
pub fn step_hash(step: &Step, chosen: &BTreeMap<String, Value>, catalogue: &Catalogue) -> Result<StepHash, CallError> {
    ToolCall::planned(step, chosen, catalogue).map(|call| call.hash_of(step))
}
