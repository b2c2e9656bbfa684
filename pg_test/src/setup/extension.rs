//! The extension itself: built in release, copied into the tree.
//!
//! One build serves all: the tests run what a user installs, and nobody waits for a second profile. `cargo pgrx
//! package` makes the SQL of the functions from the library that it built.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Tree, tools};
use crate::error::{Doing, Error, Result};
use crate::process::{install, step};

/// Builds what changed and installs it.
pub fn build_and_install(tree: &Tree) -> Result<()> {
    let built = tree.place.target.join("packaged").join(tree.server.feature());
    step("Building pg_oncall (release)");
    let mut package = tools::cargo_pgrx(&tree.place)?;
    package.args(["package", "--package", "pg_oncall", "--no-default-features", "--features", &tree.server.feature()]);
    package.arg("--pg-config").arg(&tree.server.pg_config).arg("--out-dir").arg(&built);
    // Scripts of an earlier state would else be installed for ever.
    let _ = fs::remove_dir_all(&built);
    run_without_chatter(&mut package)?;

    let from = |dir: &Path| built.join(dir.strip_prefix("/").unwrap_or(dir));
    let mut installed = 0;
    for dir in [tree.server.sharedir.join("extension"), tree.server.pkglibdir.clone()] {
        for path in files(&from(&dir))? {
            let name = path.file_name().unwrap_or_default();
            installed += 1;
            install(&path, &tree.inside(&dir).join(name))?;
        }
    }
    if installed == 0 {
        return Err(Error::SetUp(format!("cargo pgrx package left nothing in {}", built.display())));
    }
    Ok(())
}

/// Shows what cargo says and, unless it fails, leaves out what cargo-pgrx says, which is in colour even for a pipe.
fn run_without_chatter(command: &mut Command) -> Result<()> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().doing(|| "run cargo pgrx".into())?;
    let mut chatter = String::new();
    for line in
        child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines()).map_while(|line| line.ok())
    {
        if line.starts_with('\x1b') {
            chatter.push_str(&line);
            chatter.push('\n');
        } else {
            eprintln!("{line}");
        }
    }
    let status = child.wait().doing(|| "wait for cargo pgrx".into())?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { command: "cargo pgrx package".into(), status: status.to_string(), output: chatter })
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).doing(|| format!("read {}", dir.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}
