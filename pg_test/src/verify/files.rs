//! The end-to-end tests, several files at a time: they wait for servers, timers and the minute of pg_cron far more than
//! they compute.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::error::{Doing, Error, Result};
use crate::place::{Place, SCRATCH};
use crate::process::{capture, cargo, run as run_command};
use crate::ready::Ready;
use crate::setup::{PREPARED, Tree};

use super::folder::Folder;

/// Those that take longest, begun first, so that none runs alone at the end: what waits before what computes. `chores`
/// waits for the minute of pg_cron.
const LONGEST: [&str; 12] = [
    "chores",
    "delivery",
    "actions",
    "pool_exhaustion",
    "hostile_model",
    "readme",
    "isolation",
    "doctor",
    "processes",
    "embedding_model",
    "injection",
    "crash",
];

/// How many run at once.
const AT_ONCE: usize = 6;

/// A file of tests, built.
struct TestFile {
    name: String,
    program: PathBuf,
}

/// Builds and runs all of them; an error names those that failed, whose output is shown.
pub fn run(tree: &Tree) -> Result<()> {
    let mut files = build(&tree.place)?;
    files.sort_by_key(|file| LONGEST.iter().position(|name| *name == file.name).unwrap_or(LONGEST.len()));
    let folder = Folder::new(&tree.place)?;
    Ready::keep(tree, folder.path())?;
    let waiting = Mutex::new(files.into_iter());
    let failed: Vec<String> = thread::scope(|scope| {
        let runners: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| run_from(&waiting, tree, &folder))).collect();
        runners.into_iter().map(|runner| runner.join().expect("a runner does not panic")).collect::<Result<Vec<_>>>()
    })?
    .concat();
    if failed.is_empty() { Ok(()) } else { Err(Error::Stage(format!("failed: {}", failed.join(", ")))) }
}

/// Cargo builds them and says where they are. What does not compile is told by the first of the two calls, in the terminal.
fn build(place: &Place) -> Result<Vec<TestFile>> {
    run_command(cargo(place).args(["test", "-p", "pg_test", "--no-run", "--quiet"]))?;
    let told = capture(cargo(place).args(["test", "-p", "pg_test", "--no-run", "--quiet", "--message-format=json"]))?;
    let artifacts = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let tests = artifacts.filter(|artifact| artifact["profile"]["test"] == true);
    let files = tests.filter_map(|artifact| {
        let program = PathBuf::from(artifact["executable"].as_str()?);
        Some(TestFile { name: artifact["target"]["name"].as_str()?.to_owned(), program })
    });
    let files: Vec<TestFile> = files.collect();
    if files.is_empty() { Err(Error::Stage("cargo names no test program".to_owned())) } else { Ok(files) }
}

/// Runs what is waiting until nothing is; the names of those that failed.
fn run_from(waiting: &Mutex<impl Iterator<Item = TestFile>>, tree: &Tree, folder: &Folder) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    loop {
        let next = waiting.lock().expect("nobody panics with it").next();
        let Some(TestFile { name, program }) = next else { return Ok(failed) };
        // By the program and not by the name: the library and the program of pg_test are namesakes.
        let log = program.with_extension("log");
        let log_file = fs::File::create(&log).doing(|| format!("create {}", log.display()))?;
        let mut test = Command::new(&program);
        // Where cargo runs them, and told as cargo would that the build is done.
        test.current_dir(tree.place.repo.join("pg_test")).env(PREPARED, "1").stdin(Stdio::null());
        test.env(SCRATCH, folder.path());
        test.stdout(log_file.try_clone().doing(|| "share the log".into())?).stderr(log_file);
        let began = Instant::now();
        let status = test.status().doing(|| format!("run {}", program.display()))?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        let summary = said.lines().rev().find(|line| line.starts_with("test result")).unwrap_or("no result");
        println!("{name:20} {:>6.1} s  {summary}", began.elapsed().as_secs_f64());
        if !status.success() {
            println!("{said}");
            failed.push(name);
        }
    }
}
