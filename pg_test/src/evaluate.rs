//! How good the builtin model is, measured on labelled alerts: `pg_test evaluate FOLDER [--json FILE]`.
//!
//! The folder holds `runbooks.jsonl`, `alerts_dev.jsonl` and `negatives_dev.jsonl`. Out come the quality of retrieval,
//! the fit of the confidence (its constants stand in `src/domain/builtin/confidence.rs`), and how far both can be
//! relied upon. The same data give the same figures, save the time.

use std::path::Path;
use std::time::Instant;

use oncall_domain::builtin;
use serde::Serialize;

mod data;
mod fit;
mod print;
mod ranking;
mod samples;

pub use data::Error;
use data::{Alert, Data};
use fit::{Bin, Logistic, wilson_lower};
use ranking::{Catalogue, Quality};
use samples::{Kind, Sample, Wording};

/// The confidence from which policy lets an incident be handled without a person, unless the policy says otherwise.
const THRESHOLD: f64 = 0.75;

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    runbooks: usize,
    chunks: usize,
    alerts: usize,
    foreign_alerts: usize,
    named: Quality,
    no_name: Quality,
    by_name: Proportion,
    /// The fit on all samples.
    fit: Logistic,
    /// The greatest difference between the fit and [`builtin::confidence`] on any sample.
    source_differs_by: f64,
    /// By fits that have not seen the alert.
    reliability: Vec<Bin>,
    /// By fits that have not seen the alert.
    at_threshold: Vec<AtThreshold>,
    /// Mean time of embedding one alert, in microseconds.
    embed_us: f64,
}

/// How often something held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Proportion {
    hits: usize,
    of: usize,
    wilson_lower: f64,
}

/// What the threshold lets pass, for one size of catalogue and one wording.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct AtThreshold {
    runbooks: usize,
    wording: Wording,
    /// Alerts that have a runbook, and pass.
    covered: Proportion,
    /// Those of them whose first runbook is right.
    right: Proportion,
    /// Alerts whose runbook was taken away, and pass all the same.
    uncovered: Proportion,
    /// Alerts of foreign products that pass.
    foreign: Proportion,
}

/// Measure the builtin model on the data in `folder`.
pub fn evaluate(folder: &Path) -> Result<Report, Error> {
    let data = Data::read(folder)?;
    let catalogue = Catalogue::new(&data.runbooks);
    let samples = samples::samples(&data, &catalogue);
    let fit = Logistic::fit(&samples.iter().collect::<Vec<_>>());
    let differences = samples.iter().map(|sample| {
        let source = builtin::confidence(sample.score, sample.margin);
        (source - fit.probability(sample.score, sample.margin)).abs()
    });
    let judged = fit::out_of_fold(&samples);
    let outcomes: Vec<(f64, bool)> = judged.iter().zip(&samples).map(|(p, sample)| (*p, sample.right)).collect();
    Ok(Report {
        runbooks: data.runbooks.len(),
        chunks: catalogue.chunks(),
        alerts: data.alerts.len(),
        foreign_alerts: data.negatives.len(),
        named: quality(&data, &catalogue, Wording::Named),
        no_name: quality(&data, &catalogue, Wording::NoName),
        by_name: by_name(&data),
        fit,
        source_differs_by: differences.fold(0.0, f64::max),
        reliability: fit::reliability(&outcomes),
        at_threshold: at_threshold(&samples, &judged),
        embed_us: embed_us(&data.alerts),
    })
}

fn quality(data: &Data, catalogue: &Catalogue, wording: Wording) -> Quality {
    let place = |alert: &Alert| {
        let found = catalogue.search(wording.of(alert), |_| true);
        let first = found.runbooks.iter().position(|(place, _)| alert.gold.iter().any(|id| id == catalogue.id(*place)));
        first.expect("reading checks that each alert has a runbook") + 1
    };
    Quality::of(&data.alerts.iter().map(place).collect::<Vec<_>>())
}

/// How often a runbook that is for the alert by name is right for it. Foreign alerts count as well.
fn by_name(data: &Data) -> Proportion {
    let all = data.alerts.iter().chain(&data.negatives);
    let matches = all.filter_map(|alert| {
        let name = alert.alertname.as_ref()?;
        let runbook = data.runbooks.iter().find(|runbook| runbook.alertname.as_ref() == Some(name))?;
        Some(alert.gold.contains(&runbook.runbook_id))
    });
    proportion(matches)
}

fn at_threshold(samples: &[Sample], judged: &[f64]) -> Vec<AtThreshold> {
    let mut sizes: Vec<usize> = samples.iter().map(|sample| sample.size).collect();
    sizes.dedup();
    let rows = sizes.into_iter().flat_map(|size| Wording::ALL.map(|wording| (size, wording)));
    let row = |(runbooks, wording)| {
        let of = |kind| {
            let alike = move |s: &Sample| s.size == runbooks && s.wording == wording && s.kind == kind;
            samples.iter().zip(judged).filter(move |(sample, _)| alike(sample))
        };
        let passing = |kind| proportion(of(kind).map(|(_, p)| *p >= THRESHOLD));
        AtThreshold {
            runbooks,
            wording,
            covered: passing(Kind::Covered),
            right: proportion(of(Kind::Covered).filter(|(_, p)| **p >= THRESHOLD).map(|(sample, _)| sample.right)),
            uncovered: passing(Kind::Uncovered),
            foreign: passing(Kind::Foreign),
        }
    };
    rows.map(row).collect()
}

fn proportion(outcomes: impl Iterator<Item = bool>) -> Proportion {
    let (mut hits, mut of) = (0, 0);
    for outcome in outcomes {
        of += 1;
        hits += usize::from(outcome);
    }
    Proportion { hits, of, wilson_lower: wilson_lower(hits, of) }
}

fn embed_us(alerts: &[Alert]) -> f64 {
    const ROUNDS: usize = 10;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for alert in alerts {
            std::hint::black_box(builtin::embed(std::hint::black_box(&alert.alert_text)));
        }
    }
    start.elapsed().as_secs_f64() * 1e6 / (ROUNDS * alerts.len()) as f64
}

/// The command: evaluate `folder`, print the report, and with `--json FILE` write it too.
pub fn run(folder: &str, options: &[&str]) -> crate::Result<()> {
    let json = match options {
        [] => None,
        ["--json", file] => Some(file),
        _ => return Err(crate::Error::Stage("usage: pg_test evaluate FOLDER [--json FILE]".to_owned())),
    };
    let report = evaluate(Path::new(folder)).map_err(|error| crate::Error::Stage(error.to_string()))?;
    println!("{report}");
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
        std::fs::write(file, text + "\n")
            .map_err(|source| crate::Error::Io { doing: format!("write {file}"), source })?;
    }
    Ok(())
}
