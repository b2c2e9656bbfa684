//! The triggers that are more than SQL: the audit is append-only, and every session hears of a change in the catalogue.

use pgrx::prelude::*;

use crate::backend::changes;
use crate::error::{OncallError, raise};
use crate::store;

/// Refuse a change of a row, whoever makes it, unless it is the one that the extension's own code makes: it updates
/// `incident_audit`, and in `incident_step` an intent by its outcome; and it removes what the retention no longer keeps.
/// Anything more is a rule or trigger that rides along.
#[pg_trigger(
    sql = "CREATE FUNCTION oncall_internal.refuse_change() RETURNS trigger LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn refuse_change<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, OncallError> {
    let (updated, deleted) = (trigger.event().fired_by_update(), trigger.event().fired_by_delete());
    let own = trigger.table_name().is_ok_and(|table| match table.as_str() {
        "incident_audit" => updated && store::is_writing(),
        "incident_step" if updated => is_intent(trigger) && store::is_writing(),
        "incident_step" => deleted && is_forgotten(trigger, "started_at"),
        "inference_audit_log_default" => deleted && is_forgotten(trigger, "execution_ts"),
        _ => false,
    });
    if own {
        return Ok(trigger.new().or_else(|| trigger.old()));
    }
    let table = format!("{}.{}", trigger.table_schema().unwrap_or_default(), trigger.table_name().unwrap_or_default());
    // Raised, not returned: pgrx would make a panic of an `Err` from a trigger, and the SQLSTATE would be lost.
    raise(OncallError::AppendOnly { table })
}

/// Tell every session, at the commit, that what it keeps of this table in memory no longer holds.
#[pg_trigger(
    sql = "CREATE FUNCTION oncall_internal.tell_sessions() RETURNS trigger LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn tell_sessions<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, OncallError> {
    changes::announce(trigger.relid().unwrap_or(pg_sys::InvalidOid));
    Ok(None::<PgHeapTuple<'a, AllocatedByPostgres>>)
}

/// Whether the row that changes is an intent, which its outcome completes.
fn is_intent(trigger: &PgTrigger<'_>) -> bool {
    let status = trigger.old().and_then(|row| row.get_by_name::<String>("status").ok().flatten());
    status.as_deref() == Some("intent")
}

/// Whether the row, by the time in this column, is one that the retention removes just now.
fn is_forgotten(trigger: &PgTrigger<'_>, column: &str) -> bool {
    let at = trigger.old().and_then(|row| row.get_by_name(column).ok().flatten());
    at.is_some_and(store::is_forgetting)
}
