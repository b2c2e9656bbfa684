//! What is killed, with the signal that nobody can catch.

use std::fmt;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::error::{Error, Result};

/// A kind of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The pump of the drill's database.
    Pump,
    /// An executor, while it runs something; the pump where none does.
    Executor,
    /// The whole server.
    Postmaster,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pump => "pump",
            Self::Executor => "executor",
            Self::Postmaster => "postmaster",
        })
    }
}

/// How long to look for an executor: each lives for some milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// Kill it; what it was in the end. The server is up again when this returns.
pub fn kill(cluster: &mut Cluster, target: Target) -> Result<Target> {
    let killed = match target {
        Target::Postmaster => {
            // Its children notice by themselves, and as long as one of them is left no new server starts.
            let began = Instant::now();
            while let Err(error) = cluster.restart("KILL") {
                if began.elapsed() > Duration::from_secs(60) {
                    return Err(error);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            return Ok(target);
        }
        Target::Executor => match find(cluster, "pg_oncall executor", PATIENCE)? {
            Some(pid) => {
                // It may have ended by itself just now: then the next kill counts.
                let _ = cluster.signal("KILL", pid);
                target
            }
            None => return kill(cluster, Target::Pump),
        },
        Target::Pump => {
            let pid = find(cluster, "pg_oncall pump", Duration::from_secs(60))?;
            let pid = pid.ok_or_else(|| Error::Stage("there is no pump".to_owned()))?;
            cluster.signal("KILL", pid)?;
            target
        }
    };
    Ok(killed)
}

/// The pid of one of these processes, if there is one before long.
fn find(cluster: &Cluster, kind: &str, patience: Duration) -> Result<Option<u32>> {
    let began = Instant::now();
    loop {
        if let Ok(mut client) = cluster.client() {
            while let Ok(rows) =
                client.query("SELECT pid FROM pg_stat_activity WHERE starts_with(backend_type, $1) LIMIT 1", &[&kind])
            {
                if let Some(row) = rows.first() {
                    return Ok(Some(row.get::<_, i32>(0).unsigned_abs()));
                }
                if began.elapsed() > patience {
                    return Ok(None);
                }
            }
        }
        if began.elapsed() > patience.max(Duration::from_secs(30)) {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
