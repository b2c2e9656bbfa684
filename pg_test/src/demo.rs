//! `cargo demo`: three incidents happen and are handled, on a server that goes on running for whoever wants to look.
//!
//! It shows what the database says and knows nothing itself: the story is in [`story`], its queries are files beside it.

mod stage;
mod story;

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use crate::cluster::Options;
use crate::error::{Doing, Result};
use crate::lab::{DATABASE, Site};
use crate::place::{Account, Place};
use crate::process::{capture, on_path, step};
use crate::setup::{self, Server, Tree};

use stage::Stage;
use story::Story;

/// Sets up, starts the server over, tells the story, and says how to go on.
pub fn run() -> Result<()> {
    let tree = setup::prepare()?;
    stop_old(&tree)?;
    step("Starting a private server, PgBouncer, postgres_exporter, Prometheus and Alertmanager");
    let site = Site::start_in(&tree, Options::default().durable().keep_running())?;
    let cluster = site.cluster();
    let (record, dir, port) = (record(&tree.place), cluster.dir().to_path_buf(), cluster.port());
    fs::write(&record, dir.as_os_str().as_encoded_bytes()).doing(|| format!("write {}", record.display()))?;

    perform(site, &mut stdout().lock())?;

    let program = if on_path("psql") { PathBuf::from("psql") } else { tree.bindir().join("psql") };
    println!("\nThe server goes on running, on a Unix socket only. Look around:\n");
    println!("    {} -h {} -p {port} -U postgres {DATABASE}", program.display(), dir.display());
    println!("\nStop it and remove its files with:  cargo demo stop");
    Ok(())
}

/// Performs the three cases on this server, and leaves it as its own: everything else that they need is gone afterwards.
pub fn perform(site: Site, out: &mut dyn Write) -> Result<Site> {
    let stage = Stage::set(site)?;
    Story::new(&stage, out)?.tell()?;
    stage.clear()
}

/// Stops the server of the last demo and removes its files.
pub fn stop() -> Result<()> {
    let place = Place::find()?;
    let stopped = match Server::find() {
        Some(server) if record(&place).exists() => stop_old(&Tree::prepare(&place, &server)?)?,
        _ => false,
    };
    println!(
        "{}",
        if stopped { "The demo's server is stopped and its files are gone." } else { "No demo is running." }
    );
    Ok(())
}

/// Where the last demo's scratch directory is written down.
fn record(place: &Place) -> PathBuf {
    place.target.join("demo.dir")
}

fn stop_old(tree: &Tree) -> Result<bool> {
    let record = record(&tree.place);
    let Ok(dir) = fs::read_to_string(&record).map(PathBuf::from) else {
        return Ok(false);
    };
    let data = dir.join("data");
    if is_running(&data) {
        step("Stopping the server of the last demo");
        let mut pg_ctl = Account::owning(&data)?.command(tree.bindir().join("pg_ctl"));
        capture(pg_ctl.arg("stop").args(["-w", "-m", "fast", "-D"]).arg(&data))?;
    }
    // Only what looks like ours is removed, whatever the record says.
    if data.join("PG_VERSION").exists() {
        fs::remove_dir_all(&dir).doing(|| format!("remove {}", dir.display()))?;
    }
    fs::remove_file(&record).doing(|| format!("remove {}", record.display()))?;
    Ok(true)
}

/// Whether the process of the pid file still is this directory's server: after a reboot another may have its number.
fn is_running(data: &Path) -> bool {
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let Some(pid) = pid_file.lines().next() else {
        return false;
    };
    let proc = Path::new("/proc").join(pid.trim());
    !Path::new("/proc/self").exists() || fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == data)
}
