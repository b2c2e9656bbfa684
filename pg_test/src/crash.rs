//! The crash drill: incidents with actions under load, while the pump, executors and the whole server are killed at
//! random. Afterwards nothing may be lost, done twice or stuck.
//!
//! The tool of the drill counts its runs, the pod and the sink are doubles; everything else is the product.

mod kills;
mod scene;
mod verdict;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use verdict::Verdict;

use crate::bench::Dice;
use crate::error::{Error, Result};
use crate::process::step;
use kills::Target;
use scene::Scene;

/// How large a drill is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Incidents, one alert each.
    pub incidents: usize,
    /// How often something is killed.
    pub kills: usize,
}

impl Size {
    /// What the README's figures come from.
    pub const FULL: Self = Self { incidents: 300, kills: 30 };
    /// What every run of the tests does.
    pub const SHORT: Self = Self { incidents: 45, kills: 5 };
}

/// How long everything may take to settle after the last kill: a guard against hanging, not a measure.
const SETTLE: Duration = Duration::from_secs(240);

/// `pg_test crash [short] [--seed N]`.
pub fn command(words: &[&str]) -> Result<()> {
    let (size, words) = match words {
        ["short", rest @ ..] => (Size::SHORT, rest),
        rest => (Size::FULL, rest),
    };
    let seed = match words {
        [] => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs()),
        ["--seed", seed] => seed.parse().map_err(|_| Error::SetUp(format!("{seed} is no seed: give a number")))?,
        _ => return Err(Error::SetUp("usage: crash [short] [--seed N]".to_owned())),
    };
    let verdict = drill(size, seed)?;
    println!("{verdict}");
    if verdict.holds() { Ok(()) } else { Err(Error::Stage("an invariant does not hold".to_owned())) }
}

/// One drill. The seed decides what is killed and when; how far the server is by then is the machine's.
pub fn drill(size: Size, seed: u64) -> Result<Verdict> {
    step(&format!("Crash drill: {} incidents, {} kills, seed {seed}", size.incidents, size.kills));
    let mut scene = Scene::set(size.incidents)?;
    let mut dice = Dice::new(seed);
    let mut killed = Vec::new();
    let mut sent = 0;
    for round in 0..size.kills {
        // The load goes on between the kills; its last part comes after the last but one.
        let until = size.incidents * (round + 1) / size.kills;
        while sent < until {
            scene.send(sent, &mut dice);
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(50 + dice.below(400) as u64));
        let target = match dice.below(10) {
            0..=3 => Target::Pump,
            4..=7 => Target::Executor,
            _ => Target::Postmaster,
        };
        killed.push(scene.kill(target)?);
    }
    let began = Instant::now();
    while !scene.is_settled() && began.elapsed() < SETTLE {
        std::thread::sleep(Duration::from_millis(100));
    }
    scene.judge(seed, killed, began.elapsed())
}
