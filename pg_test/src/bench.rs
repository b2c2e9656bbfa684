//! The benchmarks: what an alert costs, how well and how fast the catalogue is searched, how soon a wait ends.
//!
//! Figures of one run on one machine, printed as a table and written as JSON. Ratios between them mean something;
//! the figures themselves are the machine's.

mod alerts;
mod cancel;
mod corpus;
mod embedder;
mod inbox;
mod pump;
mod search;

pub(crate) use corpus::Dice;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Doing, Error, Result};
use crate::process::step;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Sections of runbooks for the alerts.
    pub sections: usize,
    /// Sections for the search.
    pub many_sections: usize,
    /// How long each number of sessions is measured.
    pub seconds: u64,
}

impl Size {
    /// What the README's figures were measured with.
    pub const FULL: Self = Self { sections: 2_000, many_sections: 50_000, seconds: 10 };
    /// A look in passing.
    pub const QUICK: Self = Self { sections: 500, many_sections: 2_000, seconds: 2 };
}

/// One row of the table.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// Its value.
    pub value: f64,
    /// In what.
    pub unit: &'static str,
    /// What it should be, where something was promised.
    pub goal: Option<String>,
    /// Whether it is.
    pub met: Option<bool>,
}

impl Figure {
    fn plain(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, goal: None, met: None }
    }

    fn at_most(self, bound: f64) -> Self {
        Self { goal: Some(format!("at most {bound}")), met: Some(self.value <= bound), ..self }
    }

    fn at_least(self, bound: f64) -> Self {
        Self { goal: Some(format!("at least {bound}")), met: Some(self.value >= bound), ..self }
    }
}

/// What `pg_test bench` is asked for: `[quick] [embedder|alerts|cancel|inbox|storm|pump|search] [--json FILE]`.
pub fn command(words: &[&str]) -> Result<()> {
    let (size, words) = match words {
        ["quick", rest @ ..] => (Size::QUICK, rest),
        all => (Size::FULL, all),
    };
    let (only, words) = match words {
        [name, rest @ ..] if *name != "--json" => (Some(*name), rest),
        all => (None, all),
    };
    let json = match words {
        [] => None,
        ["--json", file] => Some(Path::new(*file)),
        other => return Err(Error::SetUp(format!("bench does not know {:?}", other.join(" ")))),
    };
    run(size, only, json)
}

/// Run them, print the table, and write it to `json`, if named.
fn run(size: Size, only: Option<&str>, json: Option<&Path>) -> Result<()> {
    type Measure = fn(Size) -> Result<Vec<Figure>>;
    let all: [(&str, &str, Measure); 7] = [
        ("embedder", "the builtin embedder", |_| Ok(embedder::measure())),
        ("alerts", "handle_alert against a stub pod with no delay", alerts::measure),
        ("cancel", "cancel during a model call", |_| cancel::measure()),
        ("inbox", "handing an alert in", inbox::measure_inbox),
        ("storm", "a storm of alerts", inbox::measure_storm),
        ("pump", "many conversations at once", pump::measure),
        ("search", "search among many sections", search::measure),
    ];
    let mut figures = Vec::new();
    for (name, about, measure) in all {
        if only.is_none_or(|only| only == name) {
            step(about);
            figures.extend(measure(size)?);
        }
    }
    println!("\n{:<64} {:>10} {:<10} {:<16} met", "figure", "value", "unit", "goal");
    for f in &figures {
        let met = f.met.map_or("", |met| if met { "yes" } else { "NO" });
        println!("{:<64} {:>10.3} {:<10} {:<16} {met}", f.what, f.value, f.unit, f.goal.as_deref().unwrap_or(""));
    }
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&figures).expect("figures are plain data");
        fs::write(file, text).doing(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// The value below which `share` of the times lie, in milliseconds. Sorts them.
fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
