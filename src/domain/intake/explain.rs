//! Why an alert joins an incident, opens one or closes one: the same rules as [`super::plan`] and the one index of the
//! audit go by, said in words.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::alert::{Alert, Basis, Status};
use crate::redact::{redact, redact_json};

/// What the audit knows of a fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Known {
    /// The incident that is open.
    pub open: Option<Open>,
    /// The last one that was closed.
    pub closed: Option<Closed>,
}

/// An open incident.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Open {
    /// Its id.
    pub incident_id: String,
    /// When it was last heard of.
    pub last_seen: Timestamp,
}

/// A closed incident.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Closed {
    /// Its id.
    pub incident_id: String,
    /// `resolved` or `expired`.
    pub state: String,
    /// When.
    pub closed_at: Timestamp,
}

/// What an alert would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Join an open incident.
    Join,
    /// Open a new one.
    Open,
    /// Close the open one.
    Close,
    /// Nothing: it says that something is over which is not known to have begun.
    Nothing,
}

/// By which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// An incident of its fingerprint is open and was heard of within the window.
    OpenIncident,
    /// An alert before it in the same payload opens the incident.
    SamePayload,
    /// One is open, and was not heard of for longer than the window.
    WindowPassed,
    /// The last one is closed.
    Resolved,
    /// There never was one.
    NoneBefore,
    /// One is open, and the alert says that it is over.
    SenderResolves,
    /// None is open, and the alert says that it is over.
    NoneOpen,
}

/// The answer for one alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Its headline, secrets redacted.
    pub alert: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// What the fingerprint is made from, secrets redacted.
    pub made_from: Value,
    /// What it would do.
    pub outcome: Outcome,
    /// To which incident; none where that is not open yet.
    pub incident_id: Option<String>,
    /// By which rule.
    pub rule: Rule,
    /// In words.
    pub reason: String,
}

/// Where a fingerprint stands while the alerts of a payload are gone through.
enum Standing {
    Audit(Known),
    OpenedHere(usize),
    ClosedHere(usize),
}

/// What each alert of a payload would do, if it came in `now`.
pub fn explain(
    alerts: &[(Alert, Basis)],
    known: BTreeMap<String, Known>,
    window: SignedDuration,
    now: Timestamp,
) -> Vec<Explanation> {
    let mut standing: BTreeMap<String, Standing> =
        known.into_iter().map(|(fingerprint, known)| (fingerprint, Standing::Audit(known))).collect();
    let mut explanations = Vec::with_capacity(alerts.len());
    for (place, (alert, basis)) in alerts.iter().enumerate() {
        let standing = standing.entry(alert.fingerprint.clone()).or_insert_with(|| Standing::Audit(Known::default()));
        let (outcome, incident_id, rule, reason) = match alert.status {
            Status::Resolved => over(standing, place + 1),
            Status::Firing | Status::Acknowledged => firing(standing, place + 1, window, now),
        };
        explanations.push(Explanation {
            alert: redact(&alert.headline()).as_str().to_owned(),
            fingerprint: alert.fingerprint.clone(),
            made_from: redact_json(&json!(basis)),
            outcome,
            incident_id,
            rule,
            reason,
        });
    }
    explanations
}

type Answer = (Outcome, Option<String>, Rule, String);

fn firing(standing: &mut Standing, number: usize, window: SignedDuration, now: Timestamp) -> Answer {
    let answer = match standing {
        Standing::OpenedHere(by) => {
            let reason = format!("Number {by} of this payload opens the incident.");
            return (Outcome::Join, None, Rule::SamePayload, reason);
        }
        Standing::ClosedHere(by) => {
            (Outcome::Open, None, Rule::Resolved, format!("Number {by} of this payload closes the incident before it."))
        }
        Standing::Audit(Known { open: Some(open), .. }) => {
            let silent = now.duration_since(open.last_seen);
            let heard = format!("{} is open and was last heard of {} s ago", open.incident_id, silent.as_secs());
            let window_s = window.as_secs();
            if silent <= window {
                let id = open.incident_id.clone();
                // The repeat is heard of now.
                open.last_seen = now;
                let reason = format!("{heard}; a repeat joins within {window_s} s (oncall.dedup_window).");
                return (Outcome::Join, Some(id), Rule::OpenIncident, reason);
            }
            let reason = format!("{heard}, longer than {window_s} s (oncall.dedup_window): it expires.");
            (Outcome::Open, None, Rule::WindowPassed, reason)
        }
        Standing::Audit(Known { closed: Some(closed), .. }) => {
            let Closed { incident_id, state, closed_at } = closed;
            let reason = format!("The last incident of this fingerprint, {incident_id}, is {state} since {closed_at}.");
            (Outcome::Open, None, Rule::Resolved, reason)
        }
        Standing::Audit(Known { open: None, closed: None }) => {
            (Outcome::Open, None, Rule::NoneBefore, "No incident had this fingerprint.".to_owned())
        }
    };
    *standing = Standing::OpenedHere(number);
    answer
}

fn over(standing: &mut Standing, number: usize) -> Answer {
    let (id, reason) = match standing {
        Standing::OpenedHere(by) => (None, format!("It closes what number {by} of this payload opens.")),
        Standing::Audit(Known { open: Some(open), .. }) => (
            Some(open.incident_id.clone()),
            format!("{} is open, and its sender says that it is over.", open.incident_id),
        ),
        Standing::ClosedHere(by) => {
            let reason = format!("Number {by} of this payload closed it already.");
            return (Outcome::Nothing, None, Rule::NoneOpen, reason);
        }
        Standing::Audit(_) => {
            let reason = "No incident of this fingerprint is open: there is nothing to close.".to_owned();
            return (Outcome::Nothing, None, Rule::NoneOpen, reason);
        }
    };
    *standing = Standing::ClosedHere(number);
    (Outcome::Close, id, Rule::SenderResolves, reason)
}
