//! `cargo verify`: every check and test, in order, with a table of what took how long.

mod features;
mod files;
mod folder;
mod regress;

use std::time::Instant;

use crate::error::{Error, Result};
use crate::place::Place;
use crate::process::{cargo, run as run_command, step, succeeds};
use crate::setup::{self, Server};

/// Runs the stages until one fails.
pub fn run() -> Result<()> {
    let mut stages = Stages::default();
    let outcome = all(&mut stages);
    stages.print();
    outcome?;
    println!("\nAll stages passed.");
    Ok(())
}

/// Runs the SQL regression tests only, on what is built now.
pub fn sql() -> Result<()> {
    regress::run(&setup::prepare()?)
}

fn all(stages: &mut Stages) -> Result<()> {
    let place = Place::find()?;
    stages.run("formatting", || formatting(&place))?;
    let server = stages.run("packages and tools", || setup::prepare_tools(&place))?;
    stages.run("clippy, warnings denied", || clippy(&place, &server))?;
    stages.run("domain and model tests", || {
        run_command(cargo(&place).args(["test", "--quiet", "-p", "oncall_domain", "-p", "oncall_model"]))
    })?;
    let tree = stages.run("build and install", setup::prepare)?;
    stages.run("SQL regression tests", || regress::run(&tree))?;
    stages.run("end-to-end tests", || files::run(&tree))?;
    stages.run("features pg15 to pg18", || features::check(&place, &server))
}

fn formatting(place: &Place) -> Result<()> {
    for component in ["fmt", "clippy"] {
        if !succeeds(cargo(place).args([component, "--version"])) {
            let hint = format!("cargo {component} is missing: rustup component add rustfmt clippy");
            return Err(Error::SetUp(hint));
        }
    }
    run_command(cargo(place).args(["fmt", "--all", "--check"]))
}

fn clippy(place: &Place, server: &Server) -> Result<()> {
    let features = format!("pg_oncall/{}", server.feature());
    let mut clippy = cargo(place);
    clippy.args(["clippy", "--workspace", "--all-targets", "--no-default-features", "--features", &features]);
    run_command(clippy.args(["--", "-D", "warnings"]))
}

/// What ran so far, and how long it took.
#[derive(Default)]
struct Stages {
    done: Vec<(&'static str, f64, bool)>,
}

impl Stages {
    fn run<T>(&mut self, name: &'static str, stage: impl FnOnce() -> Result<T>) -> Result<T> {
        step(&format!("Stage {}: {name}", self.done.len() + 1));
        let began = Instant::now();
        let outcome = stage();
        self.done.push((name, began.elapsed().as_secs_f64(), outcome.is_ok()));
        outcome.map_err(|error| Error::Stage(format!("the stage \"{name}\" failed: {error}")))
    }

    fn print(&self) {
        println!("\n{:28} {:>8}  result", "stage", "seconds");
        for (name, seconds, passed) in &self.done {
            println!("{name:28} {seconds:>8.1}  {}", if *passed { "passed" } else { "FAILED" });
        }
        println!("{:28} {:>8.1}", "total", self.done.iter().map(|(_, seconds, _)| seconds).sum::<f64>());
    }
}
