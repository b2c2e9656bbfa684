//! What people decided, written into the audit: who has an incident, who approved a step, who resolved it.
//!
//! The person is the role of the session (`session_user`), by the statements themselves: no caller can name another.

use oncall_domain::policy::{Approval, Policy, select};
use pgrx::datum::TimestampWithTimeZone;
use serde::Deserialize;

use super::{Result, forgetting, incidents, statement, writing};

/// The person of this session has the incident.
pub fn record_acknowledgement(id: &str) -> Result<()> {
    writing(|| statement!("record_acknowledgement").write(&[id.into()]))?;
    Ok(())
}

/// Copy a decision on a step into the audit row of its incident.
pub fn record_decision(approval: i64) -> Result<()> {
    writing(|| statement!("record_decision").write(&[approval.into()]))?;
    Ok(())
}

/// Close an incident by the word of the person of this session. One that was closed already keeps its state and time.
pub fn record_resolution(id: &str, what: &str) -> Result<()> {
    writing(|| statement!("record_resolution").write(&[id.into(), what.into()]))?;
    Ok(())
}

/// The policy in force for an incident.
pub fn policy_in_force(id: &str) -> Result<Policy> {
    let case = incidents::case(id)?;
    let facts = incidents::facts(&case.runbooks, &[])?;
    Ok(select(&facts.policies, case.severity, facts.incident_type.as_deref()).clone())
}

/// An approval as the workers find it when they begin.
#[derive(Debug, Deserialize)]
pub struct Taken {
    /// `used` when it holds, and then [`approval`](Self::approval) is there; else why it does not: `expired`, `rejected`, `withdrawn`.
    pub state: Option<String>,
    /// What was approved, by whom.
    pub approval: Option<Approval>,
}

/// Use an approval up, as its step begins: in the transaction that begins it. Taken again after a crash, it is the same.
pub fn take_approval(approval: i64) -> Result<Taken> {
    Ok(statement!("take_approval").tell(&[approval.into()])?.unwrap_or(Taken { state: None, approval: None }))
}

/// Remove journal entries of incidents that were closed before; how many, `most` at most.
pub fn forget_journal(before: TimestampWithTimeZone, most: i32) -> Result<i64> {
    let gone = forgetting(before, || statement!("forget_journal").write(&[before.into(), most.into()]))?;
    Ok(i64::try_from(gone).unwrap_or(i64::MAX))
}

/// Remove inferences older than that from the default partition of the log; how many, `most` at most.
pub fn forget_inferences(before: TimestampWithTimeZone, most: i32) -> Result<i64> {
    let gone = forgetting(before, || statement!("forget_inferences").write(&[before.into(), most.into()]))?;
    Ok(i64::try_from(gone).unwrap_or(i64::MAX))
}
