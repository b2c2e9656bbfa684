//! Postgres' own regression driver: `pg_test/regress/sql` against `pg_test/regress/expected`.

use std::fs;
use std::process::Command;

use crate::cluster::{Cluster, Options};
use crate::error::{Doing, Error, Result};
use crate::place::make_dir;
use crate::process::run as run_command;
use crate::setup::Tree;

/// Runs every file in `sql`, in the order of their names, each in the same database; shows the differences.
pub fn run(tree: &Tree) -> Result<()> {
    let input = tree.place.repo.join("pg_test/regress");
    let tests = tests(&input.join("sql"))?;
    if tests.is_empty() {
        return Err(Error::Stage(format!("{} has no tests", input.display())));
    }
    let output = tree.place.target.join("regress");
    make_dir(&output)?;
    let cluster = Cluster::start_in(tree, &Options::default())?;
    let mut driver = Command::new(tree.server.test_drivers.join("regress/pg_regress"));
    driver.arg(format!("--bindir={}", tree.bindir().display()));
    driver.arg(format!("--inputdir={}", input.display()));
    driver.arg(format!("--outputdir={}", output.display()));
    driver.arg(format!("--host={}", cluster.dir().display())).arg(format!("--port={}", cluster.port()));
    driver.args(["--user=postgres", "--dbname=oncall_regression", "--load-extension=vector"]);
    driver.args(["--load-extension=pg_oncall"]).args(&tests);
    // A test reads it with \getenv: the server loads the runbooks from there.
    driver.env("ONCALL_RUNBOOKS", tree.runbooks()?).current_dir(&output);
    run_command(&mut driver).inspect_err(|_| {
        let differences = fs::read_to_string(output.join("regression.diffs")).unwrap_or_default();
        println!("{differences}");
    })
}

fn tests(dir: &std::path::Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).doing(|| format!("read {}", dir.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut tests: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".sql")?.to_owned())).collect();
    tests.sort();
    Ok(tests)
}
