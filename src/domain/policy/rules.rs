//! The rules as data: rows of `router_policy`, and which of them is in force for an incident.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::ranking::Weights;

/// One row of `router_policy`: versioned, never edited in place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Which version it is; a later one replaces an earlier one of the same scope.
    pub version: i64,
    /// The severity that it is for; none means any.
    pub severity: Option<Severity>,
    /// The incident type that it is for; none means any.
    pub incident_type: Option<String>,
    /// The least confidence for acting without a person, 0 to 1.
    pub confidence_threshold: f64,
    /// The most actions in an hour, over all incidents.
    pub max_actions_per_hour: u32,
    /// How often a step may be carried out on the same target in an hour.
    #[serde(default = "max_repeats_per_hour")]
    pub max_repeats_per_hour: u32,
    /// The weight of the builtin embedder's cosine in the ranking.
    pub builtin_weight: f64,
    /// The weight of the pod's.
    pub pod_weight: f64,
}

/// What holds where no row does. The threshold is the one that was tuned in the articles behind this project; the
/// weights were the best of those measured; ten actions an hour, and three times the same, stop a loop that repairs the
/// same thing again and again.
pub const DEFAULT: Policy = Policy {
    version: 0,
    severity: None,
    incident_type: None,
    confidence_threshold: 0.75,
    max_actions_per_hour: 10,
    max_repeats_per_hour: max_repeats_per_hour(),
    builtin_weight: 0.7,
    pod_weight: 0.3,
};

const fn max_repeats_per_hour() -> u32 {
    3
}

impl Default for Policy {
    fn default() -> Self {
        DEFAULT
    }
}

impl Policy {
    /// How it weighs the two cosines of a search.
    pub fn weights(&self) -> Weights {
        Weights { builtin: self.builtin_weight, pod: self.pod_weight }
    }

    fn is_for(&self, severity: Option<Severity>, incident_type: Option<&str>) -> bool {
        (self.severity.is_none() || self.severity == severity)
            && (self.incident_type.is_none() || self.incident_type.as_deref() == incident_type)
    }
}

/// The policy in force: the most specific one (type and severity, then type, then severity, then default), of those
/// the newest.
///
/// `incident_type` must be the type that the retrieved runbook states, never the model's word: a model that could
/// choose its own policy would choose its own threshold. See [`crate::retrieval::Retrieval::lead`].
pub fn select<'a>(policies: &'a [Policy], severity: Option<Severity>, incident_type: Option<&str>) -> &'a Policy {
    let fitting = policies.iter().filter(|policy| policy.is_for(severity, incident_type));
    let best = fitting.max_by(|a, b| {
        let key =
            |p: &Policy| (p.incident_type.is_some(), p.severity.is_some(), p.version, Reverse(p.max_actions_per_hour));
        // Between rows that nothing else tells apart the stricter one wins, so that their order never matters.
        key(a).cmp(&key(b)).then(a.confidence_threshold.total_cmp(&b.confidence_threshold))
    });
    best.unwrap_or(const { &DEFAULT })
}
