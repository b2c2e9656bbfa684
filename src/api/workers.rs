//! How SQL wakes the pump.

use pgrx::prelude::*;

use crate::backend;
use crate::error::OncallError;

/// Wake the pump of this database when the statement's transaction commits.
#[pg_trigger(
    sql = "CREATE FUNCTION oncall_internal.wake_pump() RETURNS trigger LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn wake_pump<'a>(_: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, OncallError> {
    backend::wake_pump_at_commit();
    Ok(None::<PgHeapTuple<'a, AllocatedByPostgres>>)
}

/// The same as a plain function, for functions that queue work.
#[pg_extern(schema = "oncall_internal")]
fn wake() {
    backend::wake_pump_at_commit();
}
