//! One command at the top level of a session, as a client would send it: so that CREATE INDEX CONCURRENTLY and VACUUM,
//! which commit on their own and refuse to run inside of anything, work.
//!
//! For executors only: processes that have logged in as the role which the command is to run as.

use std::ffi::{CStr, CString, c_int};
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::time::Duration;

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};
use serde_json::Value;

use super::command::{self, Access, Command};
use super::receiver::Receiver;
use super::transaction::{SqlError, abandon_transaction};

/// What bounds a command.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it may take in all.
    pub statement_timeout: Duration,
    /// How many rows of its answer are kept.
    pub max_rows: usize,
    /// How many bytes of its answer are kept, as JSON.
    pub max_bytes: usize,
}

/// What a command gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Its rows, each a JSON object.
    pub rows: Vec<Value>,
    /// Whether there were more, or longer ones.
    pub truncated: bool,
    /// How many rows it changed or returned.
    pub affected: u64,
}

mod timeout {
    // SAFETY: both are the server's (utils/timeout.h), which pgrx does not bind; they are called under a guard.
    unsafe extern "C-unwind" {
        pub fn enable_timeout_after(id: i32, delay_ms: i32);
        pub fn disable_timeout(id: i32, keep_indicator: bool);
    }
    /// `STATEMENT_TIMEOUT` of the server's enum, the same from 15 to 18.
    pub const STATEMENT: i32 = 3;
}

/// Run a command that [`command::read`] let pass.
///
/// A command that reads does so in a read-only transaction whose snapshot is taken before anything of it runs, so that
/// nothing can make it writable again; and it is rolled back, so that nothing which a read-only transaction still
/// allows, such as NOTIFY, leaves it.
pub fn execute(command: &Command, limits: &Limits) -> Result<Given, SqlError> {
    let mut receiver = Receiver::new(limits.max_rows, limits.max_bytes, command.access() == Access::Read);
    // SAFETY: on the main thread, outside of a transaction. The text lives until the end of this function, where the
    // server forgets it; the context is a child of the one that is never deleted, and is deleted below.
    let trees = unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::debug_query_string = command.sql().as_ptr();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, command.sql().as_ptr());
        // Trees and plans must outlive the transactions that the command itself commits.
        pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"oncall command".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        )
    };
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: as above. The order of the calls is that of the server's own loop.
        unsafe {
            pg_sys::StartTransactionCommand();
            arm(limits.statement_timeout);
            if command.access() == Access::Read {
                pg_sys::XactReadOnly = true;
            }
            let affected = run(command, trees, &mut receiver);
            disarm();
            match command.access() {
                Access::Read => pg_sys::AbortCurrentTransaction(),
                Access::Write => pg_sys::CommitTransactionCommand(),
            }
            Ok(affected)
        }
    }))
    .catch_others(|caught| Err(SqlError::from(&caught)))
    .execute();
    disarm();
    if outcome.is_err() {
        abandon_transaction();
    }
    // SAFETY: as above; nothing points into the context any more.
    unsafe {
        pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        pg_sys::MemoryContextDelete(trees);
        pg_sys::debug_query_string = ptr::null();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, ptr::null());
        pg_sys::pgstat_report_stat(true);
    }
    let (rows, truncated) = receiver.into_rows();
    outcome.map(|affected| Given { rows, truncated, affected })
}

fn arm(after: Duration) {
    let delay = c_int::try_from(after.as_millis()).unwrap_or(c_int::MAX).max(1);
    // SAFETY: the timeout is one of those that every process with a database registers at its login.
    unsafe { pg_guard_ffi_boundary(|| timeout::enable_timeout_after(timeout::STATEMENT, delay)) };
}

fn disarm() {
    // SAFETY: to disable what is not enabled does nothing.
    unsafe { pg_guard_ffi_boundary(|| timeout::disable_timeout(timeout::STATEMENT, false)) };
}

// SAFETY: inside of a transaction that was begun for the command, with a context that outlives it.
unsafe fn run(command: &Command, trees: pg_sys::MemoryContext, receiver: &mut Receiver) -> u64 {
    let sql: &CStr = command.sql();
    // SAFETY: the calls of the server's own loop (exec_simple_query), in its order. The trees live in a context that
    // outlives the portal, and the receiver outlives it too.
    unsafe {
        let caller = pg_sys::MemoryContextSwitchTo(trees);
        let raw = command::one_statement(sql);
        // A reader's transaction has its snapshot before anything else, and so cannot be made writable any more.
        let snapshot = command.access() == Access::Read || pg_sys::analyze_requires_snapshot(raw);
        if snapshot {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let queries = pg_sys::pg_analyze_and_rewrite_fixedparams(raw, sql.as_ptr(), ptr::null(), 0, ptr::null_mut());
        command::check_rewritten(queries, command);
        let plans = pg_sys::pg_plan_queries(queries, sql.as_ptr(), 0, ptr::null_mut());
        if snapshot {
            pg_sys::PopActiveSnapshot();
        }
        let portal = pg_sys::CreatePortal(c"".as_ptr(), true, true);
        (*portal).visible = false;
        pg_sys::PortalDefineQuery(
            portal,
            ptr::null(),
            sql.as_ptr(),
            pg_sys::CreateCommandTag((*raw).stmt),
            plans,
            ptr::null_mut(),
        );
        pg_sys::PortalStart(portal, ptr::null_mut(), 0, ptr::null_mut());
        pg_sys::MemoryContextSwitchTo(caller);
        let mut done: pg_sys::QueryCompletion = std::mem::zeroed();
        let (all, to) = (std::ffi::c_long::MAX, receiver.as_destination());
        #[cfg(not(feature = "pg18"))]
        pg_sys::PortalRun(portal, all, true, true, to, to, &raw mut done);
        #[cfg(feature = "pg18")]
        pg_sys::PortalRun(portal, all, true, to, to, &raw mut done);
        pg_sys::PortalDrop(portal, false);
        pg_sys::CommandCounterIncrement();
        done.nprocessed
    }
}

/// A text without NUL, for the server.
pub fn c_text(text: &str) -> Result<CString, SqlError> {
    CString::new(text).map_err(|_| SqlError {
        code: PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
        message: "the command holds a NUL character".to_owned(),
        detail: None,
        hint: None,
    })
}
