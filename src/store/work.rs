//! `incident_work`: what the workers are to do once the transaction that asks for it has committed.

use super::{Result, statement};

/// Ask the workers to treat an incident after commit: what is not triaged and routed yet, and then what was decided.
pub fn queue_treatment(incident: &str) -> Result<()> {
    statement!("queue_treatment").write(&[incident.into()])?;
    Ok(())
}
