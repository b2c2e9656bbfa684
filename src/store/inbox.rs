//! `alert_inbox`: alerts that wait for a worker.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use oncall_domain::intake::{Known, MOST_BYTES};
use pgrx::Spi;
use pgrx::datum::DatumWithOid;
use serde::{Deserialize, Serialize};

use super::{Result, jsonb, statement};

/// How often an alert is tried before it is given up.
pub const ATTEMPTS: i32 = 3;

/// The most alerts of a batch.
const BATCH: i32 = 500;

/// The most bytes of the payloads of a batch: what is read of them takes many times as much.
const BATCH_BYTES: i32 = 1024 * 1024;

/// An alert of the inbox that is about to be tried.
#[derive(Debug, Deserialize)]
pub struct Claimed {
    /// Its row.
    pub id: i64,
    /// Where it comes from, in its sender's words.
    pub source: Option<String>,
    /// Who handed it in.
    pub received_by: String,
    /// When.
    pub received_at: Timestamp,
    /// How often it was tried, this time included.
    pub attempts: i32,
    /// Why the last try failed.
    pub error: Option<String>,
    /// The payload, JSON as text; none where it is so large that it must be asked for by itself: [`payload`].
    pub payload: Option<String>,
}

/// What a claim found.
#[derive(Debug, Deserialize)]
pub struct Claim {
    /// The last row that was looked at.
    pub last: i64,
    /// Whether there are any after it.
    pub more: bool,
    /// How many rows were passed over, since another session has locked them: it may hold them for as long as it likes.
    pub passed_over: usize,
    /// The others.
    pub rows: Vec<Claimed>,
}

/// The next alerts after this one, in the order of their ids, and the try counted; none when none is left.
///
/// One that was tried before comes by itself, so that no other is tried along with it.
pub fn claim(after: i64) -> Result<Option<Claim>> {
    statement!("claim_alerts").tell(&[after.into(), BATCH.into(), BATCH_BYTES.into()])
}

/// The payload of a row, however large; its length alone where that is more than is read.
pub fn payload(id: i64) -> Result<std::result::Result<String, usize>> {
    let most = i32::try_from(MOST_BYTES).unwrap_or(i32::MAX);
    let (bytes, text): (usize, Option<String>) =
        statement!("alert_payload").ask(&[id.into(), most.into()])?.unwrap_or_default();
    Ok(text.ok_or(bytes))
}

/// What became of an alert.
#[derive(Debug, Serialize)]
pub struct Finished {
    /// Its row.
    pub id: i64,
    /// `done`, `malformed`, `given_up`.
    pub state: &'static str,
    /// Why it is not done.
    pub error: Option<String>,
    /// The incidents of its alerts.
    pub incident_ids: Vec<String>,
}

/// Mark alerts as done, malformed or given up.
pub fn finish(rows: &[Finished]) -> Result<()> {
    statement!("finish_alerts").write(&[jsonb(&rows)?])?;
    Ok(())
}

/// Leave an alert for later, for something that is not its fault: the try does not count.
pub fn put_back(id: i64) -> Result<()> {
    statement!("put_alert_back").write(&[id.into()])?;
    Ok(())
}

/// Write down why the last try of an alert failed.
pub fn record_failure(id: i64, error: &str) -> Result<()> {
    statement!("record_alert_failure").write(&[id.into(), error.into()])?;
    Ok(())
}

/// What the audit knows of these fingerprints.
pub fn known(fingerprints: BTreeSet<String>) -> Result<BTreeMap<String, Known>> {
    let fingerprints: Vec<String> = fingerprints.into_iter().collect();
    Ok(statement!("known_fingerprints").ask(&[fingerprints.into()])?.unwrap_or_default())
}

/// A row of any table as JSON in text. Planned anew each time: the next one may be of another type.
///
/// The type of a column may have a cast to json, which the server calls: code of whoever made the type. So this is for
/// [`crate::backend::as_role`].
pub fn row_as_json(row: DatumWithOid<'_>) -> Result<Option<String>> {
    Ok(Spi::get_one_with_args(include_str!("sql/row_as_json.sql"), &[row])?)
}
