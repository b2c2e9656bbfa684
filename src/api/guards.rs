//! The trigger that keeps the audit append-only.

use pgrx::prelude::*;

use crate::error::{OncallError, raise};
use crate::store;

/// Refuse a change of a row, whoever makes it, unless it is the one that the extension's own code makes: it updates
/// `incident_audit` and nothing else. Anything more at that moment is a rule or trigger that rides along.
#[pg_trigger(
    sql = "CREATE FUNCTION oncall_internal.refuse_change() RETURNS trigger LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn refuse_change<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, OncallError> {
    let own = trigger.event().fired_by_update() && trigger.table_name().is_ok_and(|table| table == "incident_audit");
    if own && store::is_writing() {
        return Ok(trigger.new().or_else(|| trigger.old()));
    }
    let table = format!("{}.{}", trigger.table_schema().unwrap_or_default(), trigger.table_name().unwrap_or_default());
    // Raised, not returned: pgrx would make a panic of an `Err` from a trigger, and the SQLSTATE would be lost.
    raise(OncallError::AppendOnly { table })
}
