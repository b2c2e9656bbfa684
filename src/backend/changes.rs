//! Whether tables have changed since somebody looked: what a backend may keep in memory of them, and for how long.
//!
//! The server's own caches are kept right by invalidation messages: sent to every session when a transaction commits,
//! heard at once by the session that made the change, and again by it if the change is rolled back. A trigger sends one
//! for the table that was written to, so that what is kept of its rows goes the same way as what the server keeps of it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pgrx::{pg_guard, pg_sys};

static REGISTERED: AtomicBool = AtomicBool::new(false);
static HEARD: AtomicU64 = AtomicU64::new(0);

thread_local! {
    // A backend is one thread: these are the tables that it keeps something of.
    static WATCHED: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
}

/// How many changes of the watched tables this session has heard of by now.
///
/// Who keeps what it read under the latest snapshot may use it for as long as this number is what it was before.
pub fn heard() -> u64 {
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: on the main thread; the callback lives as long as the library, which is never unloaded.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_change), pg_sys::Datum::from(0)) };
    }
    // SAFETY: on the main thread inside of a transaction, where the server itself listens at each lock that it takes.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    HEARD.load(Ordering::Relaxed)
}

/// Watch these tables, and no others; before anything is read of them.
pub fn watch(tables: Vec<pg_sys::Oid>) {
    WATCHED.set(tables);
}

/// Tell every session, when the transaction commits, that the rows of a table have changed; this one at the end of the
/// command.
pub fn announce(table: pg_sys::Oid) {
    // SAFETY: on the main thread inside of a transaction that holds a lock on the table; an unknown one raises.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
}

/// Run `read` under a snapshot that sees all that is committed by now, whatever snapshot the statement around it has.
pub fn with_latest_snapshot<T>(read: impl FnOnce() -> T) -> T {
    // SAFETY: on the main thread inside of a transaction. If `read` raises, the abort of the (sub)transaction pops every
    // snapshot above its own, this one too.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let value = read();
    // SAFETY: pops the snapshot that was pushed above, once.
    unsafe { pg_sys::PopActiveSnapshot() };
    value
}

/// Whether each statement of this transaction sees what is committed by then. Above READ COMMITTED it may not, once the
/// transaction has written: what is read then must not outlive it.
pub fn is_read_committed() -> bool {
    // SAFETY: a plain value of this process, set when its transaction began.
    unsafe { pg_sys::XactIsoLevel <= pg_sys::XACT_READ_COMMITTED as i32 }
}

// SAFETY: the server calls it with the table whose description is invalid, or with none for all of them.
#[pg_guard]
unsafe extern "C-unwind" fn on_change(_argument: pg_sys::Datum, table: pg_sys::Oid) {
    if table == pg_sys::InvalidOid || WATCHED.with_borrow(|watched| watched.contains(&table)) {
        HEARD.fetch_add(1, Ordering::Relaxed);
    }
}
