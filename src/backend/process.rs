//! What a background worker needs of the server: signals, a connection, its settings, its lock, its name.

use std::ffi::{CStr, CString};
use std::panic::AssertUnwindSafe;
use std::ptr;

use pgrx::bgworkers::BackgroundWorker;
use pgrx::{PgTryBuilder, pg_sys};

use super::transaction::{SqlError, transaction};

/// The server's own signal handlers, which pgrx does not bind.
mod handler {
    // SAFETY: both are the server's, take the number of the signal, and are installed as handlers only, never called.
    unsafe extern "C-unwind" {
        pub fn die(signal: i32);
        pub fn SignalHandlerForConfigReload(signal: i32);
    }
}

#[cfg(not(feature = "pg18"))]
use pg_sys::pqsignal;
#[cfg(feature = "pg18")]
use pg_sys::pqsignal_be as pqsignal;

/// The fourth field of the lock that a pump holds. SQL's advisory lock functions use 1 and 2: no session can take this one.
const PUMP_LOCK: u16 = 47;

/// Take signals as the server's own processes do. SIGINT stays the server's as well: lock timeouts arrive by it.
pub fn handle_signals() {
    // SAFETY: the first thing that the main function of a background worker does, on its only thread, while signals are
    // blocked. `die` and the reload handler are made to be handlers, and all that the latter does is to set this flag.
    unsafe {
        pqsignal(pg_sys::SIGTERM as i32, Some(handler::die));
        pqsignal(pg_sys::SIGHUP as i32, Some(handler::SignalHandlerForConfigReload));
        pg_sys::BackgroundWorkerUnblockSignals();
        // The server starts a background worker with SIGHUP ignored, and what was pending then is lost: a reload between
        // the fork and this line would never be heard of. So the configuration is read once more in any case.
        pg_sys::ConfigReloadPending = 1;
    }
}

/// Begin as a background worker: with the server's own signal handlers, connected to this database, or to none.
pub fn begin(database: Option<u32>) {
    handle_signals();
    // SAFETY: a setting of this process' allocator. Helper threads answer calls and allocate little: an arena for each of
    // them would cost megabytes.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
    match database {
        Some(oid) => BackgroundWorker::connect_worker_to_spi_by_oid(Some(pg_sys::Oid::from(oid)), None),
        None => BackgroundWorker::connect_worker_to_spi(None, None),
    }
    // Before a worker's own statements count among those that it reports on.
    set_where_known(c"pg_stat_statements.track", c"none");
    set_where_known(c"application_name", c"pg_oncall");
    set_where_known(c"track_activities", c"on");
}

/// Give memory that is free back to the machine. The allocator keeps what lies between pieces in use: after a burst of
/// conversations that is half of what the process holds.
pub fn release_free_memory() {
    // SAFETY: it looks at this process' allocator alone, and may be called at any time.
    unsafe { libc::malloc_trim(0) };
}

/// Set a parameter for this process, whatever the configuration says; unknown ones (of libraries not loaded) are left out.
pub fn set_where_known(name: &CStr, value: &CStr) {
    // SAFETY: NUL-terminated strings, which the server copies; an unknown name is answered by NULL.
    unsafe {
        if !pg_sys::GetConfigOption(name.as_ptr(), true, false).is_null() {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_OVERRIDE,
            );
        }
    }
}

/// Read the configuration files again if somebody asked for it; whether that was so.
pub fn reload_if_asked() -> bool {
    // SAFETY: a flag that the signal handler sets; reset before the files are read, as the server's own loops do.
    unsafe {
        let pending = &raw mut pg_sys::ConfigReloadPending;
        if pending.read_volatile() == 0 {
            return false;
        }
        pending.write_volatile(0);
        pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
    }
    true
}

/// Answer what other processes ask of this one. A termination ends the process here; a cancel, which is for a statement,
/// finds none and is dropped.
pub fn answer_interrupts() {
    PgTryBuilder::new(AssertUnwindSafe(|| {
        pgrx::check_for_interrupts!();
    }))
    .catch_others(|_| ())
    .execute();
}

/// Show in `pg_stat_activity` what this process is about. Idle: it says so while it waits, never in a transaction.
pub fn show_activity(text: &str) {
    let Ok(text) = CString::new(text) else { return };
    // SAFETY: on the main thread; the server copies the text.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, text.as_ptr()) };
}

/// Take the lock by which a database has one pump, for the life of this process; false when another one has it.
pub fn hold_pump_lock(database: u32) -> bool {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: database,
        locktag_field2: 0,
        locktag_field3: 0,
        locktag_field4: PUMP_LOCK,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    };
    // SAFETY: a session lock needs no transaction; the tag is copied. Without waiting, 0 says that it is taken.
    let taken = unsafe { pg_sys::LockAcquire(&raw const tag, pg_sys::ExclusiveLock as i32, true, true) };
    taken != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// The OID of this extension in this worker's database: another one than before is another extension.
pub fn extension_oid() -> Result<Option<u32>, SqlError> {
    transaction(|| Ok(Some(extension_in_transaction()).filter(|&oid| oid != 0)))
}

/// The same inside of a transaction; 0 when it is missing.
pub(super) fn extension_in_transaction() -> u32 {
    // SAFETY: the callers are inside of a transaction; a missing extension is answered by 0.
    unsafe { pg_sys::get_extension_oid(c"pg_oncall".as_ptr(), true) }.to_u32()
}

/// The databases in which a pump may run: those that accept connections and are no templates.
///
/// By a scan of the catalogue's heap: the launcher is connected to no database, where SQL does not work.
pub fn databases() -> Result<Vec<u32>, SqlError> {
    transaction(|| {
        let mut found = Vec::new();
        // SAFETY: inside of a transaction. The catalogue is opened and closed here, its scan is begun and ended here,
        // and a tuple is read before the next one is asked for, with the layout that the server's headers give.
        unsafe {
            let lock = pg_sys::AccessShareLock as i32;
            let catalogue = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
            let scan = pg_sys::table_beginscan_catalog(catalogue, 0, ptr::null_mut());
            loop {
                let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
                if tuple.is_null() {
                    break;
                }
                let database = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
                if database.datallowconn && !database.datistemplate {
                    found.push(database.oid.to_u32());
                }
            }
            pg_sys::heap_endscan(scan);
            pg_sys::table_close(catalogue, lock);
        }
        Ok(found)
    })
}

/// The id of this process.
pub fn pid() -> i32 {
    // SAFETY: a plain value of this process.
    unsafe { pg_sys::MyProcPid }
}

/// The OID of the database that this session or worker is connected to.
pub fn my_database() -> u32 {
    // SAFETY: a plain value of this process.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}
