//! What keeps house: announcements, held work, approvals that ran out, snapshots, retention. The rules stand in
//! `sql/chores.sql`, where pg_cron can call them too.

use serde::Deserialize;

use super::{Result, statement};

/// Tell the oldest changes on the channel `oncall_incident`, `most` at most; how many.
pub fn tell_announcements(most: i32) -> Result<i32> {
    Ok(statement!("tell_announcements").tell(&[most.into()])?.unwrap_or(0))
}

/// Give back to the workers what no maintenance window holds any more; seconds until the next one ends.
pub fn release_held() -> Result<Option<f64>> {
    statement!("release_held").tell(&[])
}

/// Approvals that ran out say so.
pub fn expire_approvals() -> Result<()> {
    statement!("expire_approvals").tell::<i64>(&[])?;
    Ok(())
}

/// What is due, and not done by pg_cron.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct Due {
    /// A snapshot of the pipeline's health.
    pub snapshot: bool,
    /// The retention.
    pub retention: bool,
}

/// What is due now.
pub fn due() -> Result<Due> {
    Ok(statement!("chores_due").ask(&[])?.unwrap_or_default())
}

/// Take a snapshot of the pipeline's health and keep it.
pub fn keep_snapshot() -> Result<()> {
    statement!("keep_health_snapshot").tell::<i64>(&[])?;
    Ok(())
}

/// Remove what is no longer to be kept, so many rows of a kind at most; whether there is more.
pub fn apply_retention(most: i32) -> Result<bool> {
    Ok(statement!("apply_retention").tell(&[most.into()])?.unwrap_or(false))
}

/// Make the partitions of the log for this month and the next ones.
pub fn make_months() -> Result<()> {
    statement!("ensure_log_partitions").tell::<i64>(&[])?;
    Ok(())
}
