//! Short transactions of a background worker, none of which can kill it.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};

use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, PgTryBuilder};

use super::process;
use super::shared::{self, Farewell};

/// An error that a statement raised, as a value: the transaction is rolled back, the process goes on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// Its SQLSTATE, by the server's name for it.
    pub code: PgSqlErrorCode,
    /// What was wrong.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl SqlError {
    /// The SQLSTATE as its five characters.
    pub fn sqlstate(&self) -> String {
        // The server packs six bits a character, the first one lowest.
        let code = self.code as i32;
        (0..5).map(|place| char::from(((code >> (6 * place)) & 0x3f) as u8 + b'0')).collect()
    }
}

/// The server's code of five characters; an internal error for what is none.
pub fn code(sqlstate: &str) -> PgSqlErrorCode {
    let packed =
        sqlstate.bytes().enumerate().map(|(place, byte)| i32::from(byte.wrapping_sub(b'0') & 0x3f) << (6 * place));
    PgSqlErrorCode::from(if sqlstate.len() == 5 { packed.sum() } else { 0 })
}

impl From<&CaughtError> for SqlError {
    fn from(caught: &CaughtError) -> Self {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = caught;
        Self {
            code: report.sql_error_code(),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
            hint: report.hint().map(str::to_owned),
        }
    }
}

/// The OID of the extension without which this process has nothing to do; 0 while it is bound to none.
static EXTENSION: AtomicU32 = AtomicU32::new(0);

/// From now on no transaction of this process sees the extension half dropped: each holds a lock that DROP EXTENSION
/// waits for, and where the extension is gone, or is another one, the process ends at once and without a word.
pub fn bind_to_extension(oid: u32) {
    EXTENSION.store(oid, Ordering::Relaxed);
}

/// Whether the extension of this process is still there, held until the transaction ends.
fn hold_extension() {
    let bound = EXTENSION.load(Ordering::Relaxed);
    if bound == 0 {
        return;
    }
    // SAFETY: inside of a transaction, whose end releases the lock.
    unsafe {
        let share = pg_sys::AccessShareLock as i32;
        pg_sys::LockDatabaseObject(pg_sys::ExtensionRelationId, pg_sys::Oid::from(bound), 0, share);
    }
    let found = process::extension_in_transaction();
    if found == bound {
        return;
    }
    shared::bid(if found == 0 { Farewell::NoExtension } else { Farewell::Restart });
    // SAFETY: ends the process as the server's own workers end theirs; its callbacks roll the transaction back.
    unsafe { pg_sys::proc_exit(0) };
}

/// One transaction around `body`: committed on `Ok`, rolled back on `Err`, on a panic and on an error of Postgres, which
/// comes back as an `Err` too.
///
/// For background workers only, which have no transaction of a client around them. `body` is no future, so that no
/// transaction can be open while somebody waits.
pub fn transaction<T, E: From<SqlError>>(body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    assert!(!is_open(), "a transaction was begun within another one");
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: on the main thread of a background worker, outside of a transaction, as just asserted: the order of
        // calls is that of the server's own workers.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            hold_extension();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let value = body()?;
        // SAFETY: the snapshot is the one pushed above; an error from here on is caught below like any other.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
        Ok(value)
    }))
    .catch_others(|caught| Err(E::from(SqlError::from(&caught))))
    .execute();
    if outcome.is_err() {
        abandon_transaction();
    }
    // SAFETY: outside of a transaction, where the server's workers report their table statistics too.
    unsafe { pg_sys::pgstat_report_stat(false) };
    outcome
}

/// Roll back whatever transaction is open; whether there was one.
pub fn abandon_transaction() -> bool {
    let open = is_open();
    // SAFETY: on the main thread, at the top of the stack: no frame below relies on the transaction. The server's own
    // workers clean up after an error in the same way.
    unsafe { pg_sys::AbortOutOfAnyTransaction() };
    open
}

fn is_open() -> bool {
    // SAFETY: reads the state of this process' transaction.
    unsafe { pg_sys::IsTransactionOrTransactionBlock() }
}
