//! A program that runs for as long as somebody holds its guard.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cluster::free_port;
use crate::error::{Doing, Error, Result};
use crate::place::{Account, Scratch};
use crate::setup::packages;

/// How long a program may take until it answers, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running program, and the directory that it writes to.
#[derive(Debug)]
pub(super) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Removed behind the program: fields are dropped after [`Drop::drop`] has run.
    _scratch: Scratch,
}

/// A command for one of the packages' programs, as the account that the server runs as.
pub(super) fn command(account: &Account, program: &str) -> Result<Command> {
    let missing = || Error::SetUp(format!("{program} is not installed: cargo run -p pg_test -- setup"));
    packages::daemon(program).map(|program| account.command(program)).ok_or_else(missing)
}

/// Write a file that only the server's account, and root, can read: it may hold passwords.
pub(super) fn write(account: &Account, path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .doing(|| format!("write {}", path.display()))?;
    account.give(path)
}

/// Start a daemon on a free port. Between the look for one and the start somebody else may take it: then on another.
pub(super) fn on_a_free_port(start: impl Fn(u16) -> Result<Daemon>) -> Result<(Daemon, u16)> {
    let attempt = || free_port().and_then(|port| Ok((start(port)?, port)));
    attempt().or_else(|_| attempt()).or_else(|_| attempt())
}

impl Daemon {
    /// Start it with its output in `log`, and wait until it is ready. The scratch directory is its own from now on.
    pub fn start(name: &'static str, mut command: Command, scratch: Scratch, ready: impl Fn() -> bool) -> Result<Self> {
        let log = scratch.path().join(format!("{name}.out"));
        let file = File::create(&log).doing(|| format!("create {}", log.display()))?;
        command.stdin(Stdio::null()).stderr(file.try_clone().doing(|| "share the log".into())?).stdout(file);
        let child = command.spawn().doing(|| format!("start {name}"))?;
        let mut daemon = Self { name, child, log, _scratch: scratch };
        let began = Instant::now();
        while !ready() {
            if let Some(status) = daemon.child.try_wait().doing(|| format!("wait for {name}"))? {
                return Err(daemon.error(&format!("{name} did not start ({status})")));
            }
            if began.elapsed() > START_LIMIT {
                return Err(daemon.error(&format!("{name} is not ready after a minute")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(daemon)
    }

    /// What it printed.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    fn error(&self, what: &str) -> Error {
        Error::Server { what: what.into(), log: end_of(&self.log()) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The end of {}'s log:\n{}", self.name, end_of(&self.log()));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
