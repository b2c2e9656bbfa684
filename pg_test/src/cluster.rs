//! A private server in a scratch directory: started for one test, gone with it.
//!
//! It listens on a Unix socket in a directory that only its own account may enter. Never the system's cluster: data
//! directory, socket and port are its own.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use crate::error::{Doing, Error, Result};
use crate::place::Scratch;
use crate::process::{capture, capture_with_input};
use crate::setup::{self, Tree};

mod options;

pub use options::Options;

/// How long a server may take to start; crash recovery on a busy machine is the slowest case.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    scratch: Scratch,
    tree: Tree,
    options: Options,
    port: u16,
    postmaster: Option<Child>,
}

impl Cluster {
    /// Starts one from the prepared tree, which is prepared now if it is not.
    pub fn start(options: &Options) -> Result<Self> {
        Self::start_in(setup::prepared()?, options)
    }

    /// Starts one from this tree.
    pub fn start_in(tree: &Tree, options: &Options) -> Result<Self> {
        Self::start_from(&tree.template()?, tree, options)
    }

    /// Starts one on a copy of these data, which a server of this tree left when it was stopped.
    pub fn start_from(data: &Path, tree: &Tree, options: &Options) -> Result<Self> {
        let account = &tree.place.account;
        // What fsync costs, and what is cut short in it, shows on a disk only.
        let scratch = if options.durable { Scratch::on_disk(account) } else { Scratch::new(account) }?;
        capture(Command::new("cp").arg("-a").arg(data).arg(scratch.path().join("data")))?;
        Self::begin(scratch, tree, options)
    }

    /// Starts a standby that follows this server until it is promoted.
    pub fn standby(&self, options: &Options) -> Result<Self> {
        let scratch = Scratch::new(&self.tree.place.account)?;
        let mut copy = self.tree.place.account.command(self.tree.bindir().join("pg_basebackup"));
        copy.arg("-D").arg(scratch.path().join("data")).arg("-h").arg(self.scratch.path());
        copy.args(["-p", &self.port.to_string(), "-U", "postgres", "--write-recovery-conf", "--checkpoint=fast"]);
        capture(&mut copy)?;
        Self::begin(scratch, &self.tree, options)
    }

    /// Starts the server whose data lie in this directory.
    fn begin(scratch: Scratch, tree: &Tree, options: &Options) -> Result<Self> {
        let port = free_port()?;
        let mut cluster = Self { scratch, tree: tree.clone(), options: options.clone(), port, postmaster: None };
        cluster.configure()?;
        cluster.launch()?;
        if cluster.options.keep {
            cluster.scratch.keep();
        }
        Ok(cluster)
    }

    fn configure(&self) -> Result<()> {
        let conf = self.options.configuration(self.scratch.path(), self.port);
        // Behind what initdb wrote: the last value of a parameter counts.
        let path = self.data().join("postgresql.conf");
        let file = fs::OpenOptions::new().append(true).open(&path);
        file.and_then(|mut file| file.write_all(conf.as_bytes())).doing(|| format!("write {}", path.display()))
    }

    fn launch(&mut self) -> Result<()> {
        let log_path = self.log_path();
        let log = fs::OpenOptions::new().create(true).append(true).open(&log_path);
        let log = log.doing(|| format!("open {}", log_path.display()))?;
        self.tree.place.account.give(&log_path)?;
        let mut postgres = self.tree.place.account.command(self.tree.bindir().join("postgres"));
        postgres.arg("-D").arg(self.data()).stdin(Stdio::null());
        postgres.stdout(log.try_clone().doing(|| "share the log".into())?).stderr(log);
        postgres.envs(self.options.environment.iter().map(|(name, value)| (name, value)));
        if self.options.keep {
            // Out of the terminal's process group: Ctrl-C is for us, not for the demo's server.
            postgres.process_group(0);
        }
        let child = postgres.spawn().doing(|| "start postgres".into())?;
        self.postmaster = Some(child);
        self.wait_until_ready()
    }

    /// The postmaster writes `ready` into the eighth line of its pid file once it accepts connections.
    fn wait_until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            let pid_file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let mut lines = pid_file.lines();
            let pid = lines.next().and_then(|line| line.parse().ok());
            let ours = self.postmaster.as_ref().map(Child::id) == pid;
            if ours && lines.nth(6).is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            let ended = self.postmaster.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.postmaster = None;
                return Err(self.server_error(&format!("The server did not start ({status})")));
            }
            if began.elapsed() > START_LIMIT {
                return Err(self.server_error("The server is not ready after a minute"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server and waits for its end. `signal` is `TERM` (smart), `INT` (fast) or `QUIT` (immediate).
    pub fn stop(&mut self, signal: &str) -> Result<()> {
        let Some(mut child) = self.postmaster.take() else {
            return Ok(());
        };
        self.signal(signal, child.id())?;
        child.wait().doing(|| "wait for the server's end".into())?;
        Ok(())
    }

    /// Stops it by this signal and starts it again: `QUIT` is a crash, `INT` a clean restart.
    pub fn restart(&mut self, signal: &str) -> Result<()> {
        self.stop(signal)?;
        self.launch()
    }

    /// Sends a signal to one of the server's processes, by its id: `KILL` to a worker, say.
    pub fn signal(&self, signal: &str, pid: u32) -> Result<()> {
        let pg_ctl = self.tree.bindir().join("pg_ctl");
        capture(self.tree.place.account.command(pg_ctl).args(["kill", signal, &pid.to_string()])).map(drop)
    }

    /// A session of the superuser `postgres` in the database `postgres`.
    pub fn client(&self) -> Result<Client> {
        self.client_as("postgres", "postgres")
    }

    /// A session of this role in this database.
    pub fn client_as(&self, role: &str, database: &str) -> Result<Client> {
        let mut config = postgres::Config::new();
        config.host_path(self.scratch.path()).port(self.port).user(role).dbname(database);
        Ok(config.connect(NoTls)?)
    }

    /// What psql prints for a script, its commands included; an error in the script is an error here.
    pub fn psql(&self, script: &str) -> Result<String> {
        self.psql_as("postgres", "postgres", script)
    }

    /// The same for this role in this database.
    pub fn psql_as(&self, role: &str, database: &str, script: &str) -> Result<String> {
        let mut psql = self.psql_command(role, database);
        capture_with_input(psql.args(["-v", "ON_ERROR_STOP=1", "-f", "-"]), script)
    }

    /// psql without the user's own start-up file, connected here.
    pub fn psql_command(&self, role: &str, database: &str) -> Command {
        let mut psql = Command::new(self.tree.bindir().join("psql"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            psql.env_remove(name);
        }
        psql.env("PGCLIENTENCODING", "UTF8").args(["-X", "-P", "pager=off"]).arg("-h").arg(self.scratch.path());
        psql.args(["-p", &self.port.to_string(), "-U", role, "-d", database]);
        psql
    }

    /// The scratch directory: sockets, `data`, `log`.
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// The port, which is part of the socket's name, and the TCP port if it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The installation it runs from.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.path().join("log")
    }

    fn server_error(&self, what: &str) -> Error {
        Error::Server { what: what.into(), log: end_of(&self.log()) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The end of the server's log:\n{}", end_of(&self.log()));
        }
        if !self.scratch.is_kept() {
            let _ = self.stop("QUIT");
        }
    }
}

fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok(listener.local_addr()?.port()));
    port.doing(|| "find a free port".into())
}
