//! A real PgBouncer in front of a private server.

use std::net::TcpStream;

use postgres::{NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::daemon::{self, Daemon};
use crate::cluster::Cluster;
use crate::error::Result;
use crate::place::Scratch;

/// The password of every user here. It is asked for, because `dblink` refuses a role that is no superuser a server that
/// asks for none; it protects nothing on a loopback port of a test.
pub(super) const PASSWORD: &str = "not-a-secret";

/// PgBouncer's user that may SET.
pub(super) const ADMIN: &str = "pgbouncer_admin";

/// PgBouncer's user that may only SHOW.
pub(super) const STATS: &str = "pgbouncer_stats";

/// A running PgBouncer.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    _daemon: Daemon,
}

/// One line of SHOW POOLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Clients that wait for one.
    pub clients_waiting: u32,
    /// Server connections in use.
    pub servers_active: u32,
}

impl PgBouncer {
    /// Pool this database of the cluster for the role `app`: transaction pooling, this many server connections.
    pub fn start(cluster: &Cluster, database: &str, pool_size: u32) -> Result<Self> {
        let (daemon, port) = daemon::on_a_free_port(|port| launch(cluster, database, pool_size, port))?;
        Ok(Self { port, _daemon: daemon })
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SHOW POOLS, without PgBouncer's own.
    pub fn pools(&self) -> Result<Vec<Pool>> {
        // Read by name: versions differ in what stands where.
        let number = |row: &SimpleQueryRow, name| row.get(name).and_then(|n| n.parse().ok()).unwrap_or(0);
        let rows = self.ask("SHOW POOLS")?.into_iter().filter(|row| row.get("database") != Some("pgbouncer"));
        let pool =
            |row| Pool { clients_waiting: number(&row, "cl_waiting"), servers_active: number(&row, "sv_active") };
        Ok(rows.map(pool).collect())
    }

    /// How many clients wait for a server connection.
    pub fn waiting(&self) -> Result<u32> {
        Ok(self.pools()?.iter().map(|pool| pool.clients_waiting).sum())
    }

    /// A setting as it is now.
    pub fn setting(&self, name: &str) -> Result<Option<String>> {
        let rows = self.ask("SHOW CONFIG")?;
        let row = rows.iter().find(|row| row.get("key") == Some(name));
        Ok(row.and_then(|row| row.get("value")).map(str::to_owned))
    }

    /// Read the settings' file again, as an administrator might.
    pub fn reload(&self) -> Result<()> {
        self.ask("RELOAD").map(drop)
    }

    /// A command of the console, which speaks the simple protocol only.
    fn ask(&self, command: &str) -> Result<Vec<SimpleQueryRow>> {
        let mut config = postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(ADMIN).password(PASSWORD).dbname("pgbouncer");
        let messages = config.connect(NoTls)?.simple_query(command)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.collect())
    }
}

fn launch(cluster: &Cluster, database: &str, pool_size: u32, port: u16) -> Result<Daemon> {
    let account = &cluster.tree().place.account;
    let scratch = Scratch::new(account)?;
    let (users, ini) = (scratch.path().join("users"), scratch.path().join("pgbouncer.ini"));
    let names = [ADMIN, STATS, super::site::APP];
    daemon::write(account, &users, &names.map(|user| format!("\"{user}\" \"{PASSWORD}\"\n")).concat())?;
    let settings = format!(
        "[databases]
{database} = host={socket} port={server_port} dbname={database}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
admin_users = {ADMIN}
stats_users = {STATS}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
",
        socket = cluster.dir().display(),
        server_port = cluster.port(),
        users = users.display(),
    );
    daemon::write(account, &ini, &settings)?;
    let mut command = daemon::command(account, "pgbouncer")?;
    command.arg(&ini);
    Daemon::start("pgbouncer", command, scratch, || TcpStream::connect(("127.0.0.1", port)).is_ok())
}
