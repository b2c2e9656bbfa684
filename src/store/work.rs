//! `incident_work`: what the workers are to do once the transaction that asks for it has committed.

use serde::Deserialize;
use serde_json::Value;

use super::{Result, statement, writing};

/// Why the workers look at an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Triage and route what is not yet, then act or page.
    Treat,
    /// Carry out a step that a person approved.
    ApprovedStep,
}

impl Purpose {
    /// As the table has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Treat => "treat",
            Self::ApprovedStep => "approved_step",
        }
    }
}

/// What a piece of work asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Whatever it is.
    Anything,
    /// No model: an approved step, or an incident that was escalated already.
    NoModel,
}

/// One row, claimed.
#[derive(Debug, Clone, Deserialize)]
pub struct Work {
    /// Its number.
    pub id: i64,
    /// The incident.
    pub incident: String,
    /// Why.
    pub purpose: Purpose,
    /// What it is about beside the incident.
    pub detail: Option<Value>,
    /// How often it was begun without getting any further, this time included.
    pub attempts: i32,
    /// Whether a maintenance window has held it back once already.
    pub was_held: bool,
}

impl Work {
    /// The approval that it is about.
    pub fn approval(&self) -> Option<i64> {
        self.detail.as_ref()?.get("approval_id")?.as_i64()
    }
}

/// Ask the workers to treat an incident after commit: what is not triaged and routed yet, and then what was decided.
pub fn queue_treatment(incident: &str) -> Result<()> {
    statement!("queue_treatment").write(&[incident.into()])?;
    Ok(())
}

/// Claim up to `most` pieces of work that ask for no more than `needs`, oldest first, one an incident.
///
/// The attempt is counted here, before it is made: what ends the process is noticed next time. An incident whose journal
/// has grown since gets three attempts anew.
pub fn claim(most: usize, needs: Needs) -> Result<Vec<Work>> {
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    Ok(statement!("claim_work").tell(&[most.into(), (needs == Needs::Anything).into()])?.unwrap_or_default())
}

/// Put back what a pump that is no more had claimed; how many. Only of what it had in hand does the attempt count; where
/// nobody can say what that was, of everything.
pub fn reclaim(in_hand: Option<&[i64]>) -> Result<usize> {
    statement!("reclaim_work").write(&[in_hand.map(<[i64]>::to_vec).into()])
}

/// It is done.
pub fn finish(id: i64) -> Result<()> {
    statement!("finish_work").write(&[id.into()])?;
    Ok(())
}

/// It failed for now: it is queued again, not before `delay_s` seconds from now.
pub fn retry(id: i64, delay_s: f64, error: &str) -> Result<()> {
    statement!("retry_work").write(&[id.into(), delay_s.into(), error.into()])?;
    Ok(())
}

/// It is held until `until`, seconds since the epoch, and then decided anew.
pub fn hold(id: i64, until_s: f64) -> Result<()> {
    writing(|| statement!("hold_work").write(&[id.into(), until_s.into()]))?;
    Ok(())
}

/// Nobody will try it again.
pub fn give_up(id: i64, error: &str) -> Result<()> {
    statement!("give_up_work").write(&[id.into(), error.into()])?;
    Ok(())
}
