//! Many alerts at once: what they do to the incidents, in as few operations as the order allows.
//!
//! Repeats of one alert join one incident, however many there are, so they are counted first and written once. A
//! resolution between two of them ends the incident that the first belongs to, so it parts them: what comes before it
//! is one round, it is the next, what follows it the one after. Alerts of different fingerprints have nothing to do
//! with each other; a round has one act of each fingerprint at most, and all of a round may happen at once.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::alert::{Alert, Severity, Status};

/// An alert, and when it came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// When it was handed in, which may be long before somebody looks.
    pub at: Timestamp,
}

/// Repeats of one alert with no resolution between them: together they join the open incident or open one.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeats<'a> {
    /// The first of them: what an incident is opened with.
    pub alert: &'a Alert,
    /// How many they are.
    pub count: u32,
    /// The worst severity of them all.
    pub severity: Option<Severity>,
    /// When the first came in.
    pub since: Timestamp,
    /// Their places among the arrivals.
    places: Vec<usize>,
}

/// What may happen at once, by fingerprint: in their order, so that two writers wait for each other at most.
#[derive(Debug, Default, PartialEq)]
pub struct Round<'a> {
    /// What joins or opens an incident.
    pub firing: BTreeMap<&'a str, Repeats<'a>>,
    /// What closes one, and the place of the first arrival that does.
    pub over: BTreeMap<&'a str, usize>,
}

/// Incidents by fingerprint.
pub type Ids = BTreeMap<String, String>;

enum Act<'a> {
    Firing(Repeats<'a>),
    Over(usize),
}

/// The rounds of some arrivals, in the order in which they came.
pub fn plan<'a>(arrivals: &[Arrival<'a>]) -> Vec<Round<'a>> {
    let mut acts: BTreeMap<&'a str, Vec<Act<'a>>> = BTreeMap::new();
    for (place, arrival) in arrivals.iter().enumerate() {
        let acts = acts.entry(&arrival.alert.fingerprint).or_default();
        match (acts.last_mut(), arrival.alert.status) {
            // What is closed already is not closed again.
            (Some(Act::Over(_)), Status::Resolved) => {}
            (_, Status::Resolved) => acts.push(Act::Over(place)),
            (Some(Act::Firing(repeats)), _) => repeats.add(arrival, place),
            (_, _) => acts.push(Act::Firing(Repeats::first(arrival, place))),
        }
    }
    let mut rounds: Vec<Round<'a>> = Vec::new();
    for (fingerprint, acts) in acts {
        for (number, act) in acts.into_iter().enumerate() {
            if rounds.len() <= number {
                rounds.push(Round::default());
            }
            match act {
                Act::Firing(repeats) => drop(rounds[number].firing.insert(fingerprint, repeats)),
                Act::Over(place) => drop(rounds[number].over.insert(fingerprint, place)),
            }
        }
    }
    rounds
}

impl<'a> Repeats<'a> {
    fn first(arrival: &Arrival<'a>, place: usize) -> Self {
        Self {
            alert: arrival.alert,
            count: 1,
            severity: arrival.alert.severity,
            since: arrival.at,
            places: vec![place],
        }
    }

    fn add(&mut self, arrival: &Arrival<'a>, place: usize) {
        self.count += 1;
        // P1 sorts before P5, and no severity is none to compare with.
        self.severity = [self.severity, arrival.alert.severity].into_iter().flatten().min();
        self.places.push(place);
    }
}

/// Carry out the rounds of `count` arrivals, in order; the incident of each arrival.
///
/// `fire` joins or opens, and says which incident each fingerprint belongs to now. `close` says which incidents it
/// closed: a fingerprint of which none was open is not among them, and a resolution with nothing to close has no incident.
pub fn carry_out<'a, E>(
    rounds: &[Round<'a>],
    count: usize,
    mut fire: impl FnMut(&BTreeMap<&'a str, Repeats<'a>>) -> Result<Ids, E>,
    mut close: impl FnMut(&BTreeMap<&'a str, usize>) -> Result<Ids, E>,
) -> Result<Vec<Option<String>>, E> {
    let mut incidents = vec![None; count];
    for round in rounds {
        if !round.firing.is_empty() {
            let ids = fire(&round.firing)?;
            for (fingerprint, repeats) in &round.firing {
                for &place in &repeats.places {
                    incidents[place] = ids.get(*fingerprint).cloned();
                }
            }
        }
        if !round.over.is_empty() {
            let ids = close(&round.over)?;
            for (fingerprint, &place) in &round.over {
                incidents[place] = ids.get(*fingerprint).cloned();
            }
        }
    }
    Ok(incidents)
}
