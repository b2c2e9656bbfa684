//! How SQL wakes the pump, and sees what the processes do.

use pgrx::prelude::*;

use crate::backend;
use crate::backend::{board, process};
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

/// What each process of this database does, and the launcher.
#[pg_extern(schema = "oncall_internal")]
#[allow(clippy::type_complexity, reason = "the columns of the answer")]
fn processes() -> TableIterator<
    'static,
    (
        name!(pid, i32),
        name!(in_a_database, bool),
        name!(kind, &'static str),
        name!(doing, Option<String>),
        name!(waiting_for, Option<String>),
        name!(since, Option<TimestampWithTimeZone>),
    ),
> {
    let rows = board::read(process::my_database()).into_iter().map(|notice| {
        let since = TimestampWithTimeZone::try_from(notice.since).ok();
        (notice.pid, notice.database.is_some(), notice.kind.as_str(), notice.doing, notice.waiting_for, since)
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}
