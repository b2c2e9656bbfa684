//! Load from pgbench, the program that comes with Postgres.

use std::process::Command;

use super::daemon::{self, Daemon};
use super::pgbouncer::{PASSWORD, PgBouncer};
use super::site::{APP, DATABASE};
use crate::cluster::Cluster;
use crate::error::Result;
use crate::place::{Account, Scratch};

/// Clients that repeat a script until this is dropped.
#[derive(Debug)]
pub struct Load {
    daemon: Daemon,
}

impl Load {
    /// Through the pool, as the role `app`, by the simple protocol: transaction pooling knows no other.
    pub fn through(bouncer: &PgBouncer, cluster: &Cluster, clients: u32, script: &str) -> Result<Self> {
        Self::start(cluster, "127.0.0.1", bouncer.port(), clients, script)
    }

    /// Through the pool as well, but these begin a transaction and go to sleep: each holds a server connection, and does
    /// nothing with it.
    pub fn idle_in_transaction(bouncer: &PgBouncer, cluster: &Cluster, clients: u32) -> Result<Self> {
        Self::through(bouncer, cluster, clients, "BEGIN;\nSELECT 1;\n\\sleep 1000 s\nCOMMIT;\n")
    }

    /// Straight to the server.
    pub fn on(cluster: &Cluster, clients: u32, script: &str) -> Result<Self> {
        Self::start(cluster, &cluster.dir().display().to_string(), cluster.port(), clients, script)
    }

    fn start(cluster: &Cluster, host: &str, port: u16, clients: u32, script: &str) -> Result<Self> {
        let account: &Account = &cluster.tree().place.account;
        let scratch = Scratch::new(account)?;
        let path = scratch.path().join("script.sql");
        daemon::write(account, &path, script)?;
        let mut pgbench: Command = account.command(cluster.tree().bindir().join("pgbench"));
        pgbench.env("PGPASSWORD", PASSWORD).args(["--no-vacuum", "--protocol=simple", "--time=3600", "--progress=1"]);
        pgbench.arg(format!("--client={clients}")).arg("-f").arg(&path);
        pgbench.args(["-h", host, "-p", &port.to_string(), "-U", APP, DATABASE]);
        Ok(Self { daemon: Daemon::start("pgbench", pgbench, scratch, || true)? })
    }

    /// Transactions a second in the last second that pgbench has told of.
    pub fn transactions_per_second(&self) -> Option<f64> {
        let log = self.daemon.log();
        let last = log.lines().rev().find(|line| line.starts_with("progress:"))?;
        last.split(", ").find_map(|part| part.strip_suffix(" tps"))?.parse().ok()
    }

    /// Whether its clients are still at work.
    pub fn is_running(&mut self) -> bool {
        self.daemon.is_running()
    }
}
