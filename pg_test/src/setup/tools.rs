//! cargo-pgrx of exactly the version that the extension is built with.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Server;
use crate::error::{Doing, Error, Result};
use crate::place::{Place, make_dir};
use crate::process::{capture, cargo, on_path, run, step};

/// The cargo subcommand `pgrx` must be the very version of the library; Cargo.lock says which.
pub fn pgrx_version(place: &Place) -> Result<String> {
    let path = place.repo.join("Cargo.lock");
    let lock = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
    version_in(&lock, "pgrx").ok_or_else(|| Error::SetUp("Cargo.lock has no pgrx in it".into()))
}

/// Whether the right cargo-pgrx is there.
pub fn has_cargo_pgrx(place: &Place) -> bool {
    pgrx_version(place).is_ok_and(|wanted| found(place, &wanted).is_some())
}

/// Builds cargo-pgrx into a directory of our own, so that another version of the user's stays as it is.
pub fn install_cargo_pgrx(place: &Place) -> Result<()> {
    let wanted = pgrx_version(place)?;
    if found(place, &wanted).is_some() {
        return Ok(());
    }
    step(&format!("Installing cargo-pgrx {wanted} below target/tools (some minutes, once)"));
    let version = format!("={wanted}");
    let mut install = cargo(place);
    // Unoptimised, it is built in a third of the time, and packages this extension as quickly.
    install.args(["install", "--debug", "--locked", "cargo-pgrx", "--version", &version, "--root"]).arg(place.tools());
    install.env("CARGO_PROFILE_DEV_DEBUG", "0");
    // Cargo would else advise to put the directory onto the path.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::env::split_paths(&path).chain([place.tools().join("bin")]));
    install.env("PATH", path.map_err(|error| Error::SetUp(error.to_string()))?);
    run(&mut install)
}

/// `cargo pgrx`, in the project.
pub fn cargo_pgrx(place: &Place) -> Result<Command> {
    let wanted = pgrx_version(place)?;
    let program = found(place, &wanted).ok_or_else(|| Error::SetUp(format!("cargo-pgrx {wanted} is not installed")))?;
    let like = cargo(place);
    let mut command = Command::new(program);
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(&place.repo).arg("pgrx");
    Ok(command)
}

/// What `cargo pgrx init` would write, without its downloads and without touching `~/.pgrx`.
pub fn write_pgrx_config(place: &Place, server: &Server) -> Result<()> {
    let home = place.pgrx_home();
    let path = home.join("config.toml");
    let config = format!("[configs]\n{} = {:?}\n", server.feature(), server.pg_config);
    if fs::read_to_string(&path).is_ok_and(|old| old == config) {
        return Ok(());
    }
    make_dir(&home)?;
    fs::write(&path, config).doing(|| format!("write {}", path.display()))
}

/// Ours, else the user's, if it is of this version.
fn found(place: &Place, wanted: &str) -> Option<PathBuf> {
    let ours = place.tools().join("bin/cargo-pgrx");
    let candidates = [ours.exists().then_some(ours), on_path("cargo-pgrx").then(|| "cargo-pgrx".into())];
    candidates.into_iter().flatten().find(|program| {
        let version = capture(Command::new(program).args(["pgrx", "--version"]));
        version.is_ok_and(|text| text.split_whitespace().last() == Some(wanted))
    })
}

fn version_in(lock: &str, package: &str) -> Option<String> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = {package:?}"));
    let version = lines.nth(1)?.strip_prefix("version = ")?;
    Some(version.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_of_pgrx_is_not_taken_from_its_sister_crates() {
        let lock = "[[package]]\nname = \"pgrx-macros\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"pgrx\"\nversion = \"0.18.1\"\n";
        assert_eq!(version_in(lock, "pgrx").as_deref(), Some("0.18.1"));
        assert_eq!(version_in(lock, "absent"), None);
    }
}
