//! A server as its owner would set it up for pg_oncall, beside the application that it serves.

use std::fmt::Write as _;

use postgres::Client;

use super::pgbouncer::{ADMIN, PASSWORD, PgBouncer, STATS};
use crate::cluster::{Cluster, Options};
use crate::error::Result;

/// The application's database, where the extension lives too.
pub const DATABASE: &str = "production";

/// The application's role.
pub(super) const APP: &str = "app";

/// The role of the webhook gateway.
pub(super) const GATEWAY: &str = "alert_gateway";

/// The role of the monitoring system.
pub(super) const MONITOR: &str = "postgres_exporter";

/// A server with database `production`, the extension, its runbooks, and the roles of those who use it.
#[derive(Debug)]
pub struct Site {
    cluster: Cluster,
}

impl Site {
    /// Start one whose autonomy is `on`: pg_oncall acts.
    pub fn start(options: Options) -> Result<Self> {
        let options = options.set("max_connections", "250").set("oncall.autonomy", "on").workers();
        let site = Self { cluster: Cluster::start(&options)? };
        site.cluster.psql(&format!("CREATE DATABASE {DATABASE}"))?;
        let mut client = site.client()?;
        client.batch_execute(&format!(
            "CREATE EXTENSION pg_oncall CASCADE;
             CREATE ROLE {APP} LOGIN;
             CREATE ROLE {GATEWAY} LOGIN IN ROLE oncall_ingest;
             GRANT CREATE ON SCHEMA public TO {APP}"
        ))?;
        Ok(site)
    }

    /// The server.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A superuser's session in `production`.
    pub fn client(&self) -> Result<Client> {
        self.cluster.client_as("postgres", DATABASE)
    }

    /// Load the shipped runbooks.
    pub fn load_runbooks(&self) -> Result<()> {
        let directory = self.cluster.tree().runbooks()?.display().to_string();
        self.client()?.query("SELECT * FROM oncall.load_runbooks($1)", &[&directory])?;
        Ok(())
    }

    /// Put a PgBouncer in front of the database, and let the tools and the monitoring reach its console as
    /// `sql/tools.sql` says: actions as its administrator, everybody else as one who looks.
    pub fn pool(&self, size: u32) -> Result<PgBouncer> {
        let bouncer = PgBouncer::start(&self.cluster, DATABASE, size)?;
        let mut sql = format!(
            "CREATE EXTENSION dblink;
             CREATE SERVER pgbouncer FOREIGN DATA WRAPPER dblink_fdw
                 OPTIONS (host '127.0.0.1', port '{}', dbname 'pgbouncer');
             CREATE ROLE {MONITOR} LOGIN IN ROLE pg_monitor, oncall_observer;",
            bouncer.port()
        );
        for (role, user) in [("oncall_executor", ADMIN), ("oncall_observer", STATS), (MONITOR, STATS)] {
            let _ = write!(
                sql,
                "GRANT USAGE ON FOREIGN SERVER pgbouncer TO {role};
                 CREATE USER MAPPING FOR {role} SERVER pgbouncer OPTIONS (user '{user}', password '{PASSWORD}');"
            );
        }
        self.client()?.batch_execute(&sql)?;
        Ok(bouncer)
    }
}
