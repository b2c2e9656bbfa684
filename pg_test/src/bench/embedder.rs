//! (c) The builtin embedder alone, in this process.

use std::hint::black_box;
use std::time::Instant;

use oncall_domain::builtin;

use super::Figure;
use super::corpus::{Dice, alert_text};

/// An alert of the usual length, and how many microseconds it takes.
pub fn measure() -> Vec<Figure> {
    let mut dice = Dice::new(3);
    let alerts: Vec<String> = (0..200)
        .map(|n| {
            format!(
                "[FIRING:1] Alert{n} (critical)\nSummary: {}\nDescription: {}",
                alert_text(&mut dice),
                alert_text(&mut dice)
            )
        })
        .collect();
    let rounds = 20;
    let started = Instant::now();
    for _ in 0..rounds {
        for alert in &alerts {
            black_box(builtin::embed(black_box(alert)));
        }
    }
    let each = started.elapsed().as_secs_f64() * 1e6 / (rounds * alerts.len()) as f64;
    vec![Figure::plain("builtin embedder, one alert", each, "us").at_most(100.0)]
}
