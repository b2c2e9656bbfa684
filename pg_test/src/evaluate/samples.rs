//! What the confidence is fitted on: alerts against catalogues of several sizes, with and without their own runbook.

use serde::Serialize;

use super::data::{Alert, Data};
use super::ranking::{Catalogue, Found};

/// The sizes of catalogue, besides the whole: a team's first runbooks, and a shelf of them.
pub const SIZES: [usize; 2] = [8, 64];

/// What an alert is to a catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its runbook is in the catalogue.
    #[default]
    Covered,
    /// Its runbook was taken away; its neighbours, often on the same product, are there.
    Uncovered,
    /// It is about a product that no runbook is about.
    Foreign,
}

/// Which text of the alert was searched for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wording {
    /// The notification, with the alert's name.
    #[default]
    Named,
    /// Summary and description only.
    NoName,
}

impl Wording {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Named, Self::NoName];

    /// The text of `alert` in this wording.
    pub fn of(self, alert: &Alert) -> &str {
        match self {
            Self::Named => &alert.alert_text,
            Self::NoName => &alert.alert_text_noname,
        }
    }
}

/// One search, and whether its first runbook is right.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// The alert's number, over both files.
    pub alert: usize,
    /// How many runbooks the catalogue has.
    pub size: usize,
    /// What the alert is to it.
    pub kind: Kind,
    /// Which text.
    pub wording: Wording,
    /// The score of the first runbook.
    pub score: f64,
    /// Its lead over the second.
    pub margin: f64,
    /// Whether the first runbook is one of the alert's.
    pub right: bool,
}

/// Every sample, in a fixed order.
///
/// A smaller catalogue is a stretch of the file, so that its runbooks are alike as those of one team are: a stretch
/// around the alert's own runbook, or for a foreign alert one that moves through the file.
pub fn samples(data: &Data, catalogue: &Catalogue) -> Vec<Sample> {
    let whole = data.runbooks.len();
    let sizes = SIZES.iter().copied().filter(|size| *size < whole).chain([whole]);
    let all = data.alerts.iter().map(|alert| (alert, true)).chain(data.negatives.iter().map(|alert| (alert, false)));
    let cases: Vec<_> =
        sizes.flat_map(|size| all.clone().enumerate().map(move |(at, case)| (size, at, case))).collect();
    let mut samples = Vec::new();
    for (size, number, (alert, covered)) in cases {
        let own: Vec<usize> =
            (0..whole).filter(|place| alert.gold.iter().any(|id| id == catalogue.id(*place))).collect();
        let start = match own.first() {
            Some(own) => own.saturating_sub(number * 5 % size),
            None => number * 37 % (whole - size + 1),
        };
        let start = start.min(whole - size);
        let stretch = start..start + size;
        for wording in Wording::ALL {
            let mut add = |kind, found: Found| {
                let Some(&(first, score)) = found.runbooks.first() else { return };
                let second = found.runbooks.get(1).map_or(0.0, |(_, score)| *score);
                let right = own.contains(&first);
                samples.push(Sample { alert: number, size, kind, wording, score, margin: score - second, right });
            };
            let text = wording.of(alert);
            if covered {
                add(Kind::Covered, catalogue.search(text, |place| stretch.contains(&place)));
                add(Kind::Uncovered, catalogue.search(text, |place| stretch.contains(&place) && !own.contains(&place)));
            } else {
                add(Kind::Foreign, catalogue.search(text, |place| stretch.contains(&place)));
            }
        }
    }
    samples
}
