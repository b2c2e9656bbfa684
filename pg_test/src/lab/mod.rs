//! The surroundings of a production database, from Debian's packages: a real pool, real load, real monitoring.
//!
//! Load (pgbench) goes through PgBouncer; postgres_exporter measures, Prometheus notices, Alertmanager sends its webhook
//! to [`Gateway`], which puts it into the inbox. All of it listens on the loopback, on free ports, as the account that
//! the server runs as, with its files in a scratch directory. Each guard ends its own process by its id when dropped.
//!
//! The names are those of the shipped runbooks: database `production`, foreign server `pgbouncer`, role `app`.

mod daemon;
mod gateway;
mod http;
mod load;
mod monitoring;
mod pgbouncer;
mod site;

pub use gateway::Gateway;
pub use load::Load;
pub use monitoring::Monitoring;
pub use pgbouncer::{PgBouncer, Pool};
pub use site::{DATABASE, Site};
