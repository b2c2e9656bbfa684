//! A server as its owner would set it up for pg_oncall, beside the application that it serves.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use serde_json::Value;

use super::pgbouncer::{ADMIN, PASSWORD, PgBouncer, STATS};
use crate::cluster::{Cluster, Options};
use crate::error::{Error, Result};
use crate::ready::load_runbooks;
use crate::setup::{self, Tree};
use crate::stub_sink::StubSink;

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
        Self::start_in(setup::prepared()?, options)
    }

    /// The same from this tree.
    pub fn start_in(tree: &Tree, options: Options) -> Result<Self> {
        let options = options.set("max_connections", "250").set("oncall.autonomy", "on").workers();
        let site = Self { cluster: Cluster::start_in(tree, &options)? };
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
        load_runbooks(self.cluster.tree(), &mut self.client()?)
    }

    /// Page to this sink, in the generic format.
    pub fn page_to(&self, sink: &StubSink) -> Result<()> {
        let sql = "INSERT INTO oncall.sink (name, format, url) VALUES ('ops', 'generic', $1)";
        self.client()?.execute(sql, &[&format!("{}/pages", sink.url())])?;
        Ok(())
    }

    /// The audit row of the first incident of an alert of this name; `null` where there is none.
    pub fn audit(&self, alert_name: &str) -> Result<Value> {
        audit(&mut self.client()?, alert_name)
    }

    /// The same once the workers have done their part; an error that shows the row when they have not by then.
    pub fn treated(&self, alert_name: &str, at_most: Duration) -> Result<Value> {
        let (began, mut client) = (Instant::now(), self.client()?);
        loop {
            let audit = audit(&mut client, alert_name)?;
            if !audit["handled_at"].is_null() {
                return Ok(audit);
            }
            if began.elapsed() > at_most {
                return Err(Error::Stage(format!("the workers have not treated {alert_name}: {audit:#}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Put a PgBouncer in front of the database, and let the tools and the monitoring reach its console as
    /// `sql/tools.sql` says: actions as its administrator, everybody else as one who looks.
    pub fn pool(&self, size: u32) -> Result<PgBouncer> {
        let bouncer = PgBouncer::start(&self.cluster, DATABASE, size)?;
        let mut sql = format!(
            "CREATE EXTENSION dblink SCHEMA public;
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

fn audit(client: &mut Client, alert_name: &str) -> Result<Value> {
    let sql = "SELECT to_jsonb(a) FROM oncall.incident_audit AS a
               WHERE a.alert ->> 'name' = $1 ORDER BY a.incident_id LIMIT 1";
    Ok(client.query_opt(sql, &[&alert_name])?.map_or(Value::Null, |row| row.get(0)))
}
