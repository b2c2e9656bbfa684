//! What is done once the transaction has committed: a pump is woken, the launcher is called.
//!
//! Before the commit it would be too early: the woken process would not see the row yet, and go back to sleep. A plain
//! callback, registered once a process, and one flag: a callback that fails after the commit takes the whole server down.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pgrx::{pg_guard, pg_sys};

use super::shared;

const PUMP: u32 = 1;
const LAUNCHER: u32 = 2;
const LAUNCHER_EVERYWHERE: u32 = 4;

static REGISTERED: AtomicBool = AtomicBool::new(false);
static PENDING: AtomicU32 = AtomicU32::new(0);

/// Wake the pump of this database when the transaction commits; nothing happens when it does not.
pub fn wake_pump_at_commit() {
    at_commit(PUMP);
}

/// Ask the launcher, when the transaction commits, whether this database needs a pump.
pub fn call_launcher_at_commit() {
    at_commit(LAUNCHER);
}

/// Ask the launcher, when the transaction commits, to look at every database anew.
pub fn call_launcher_everywhere_at_commit() {
    at_commit(LAUNCHER_EVERYWHERE);
}

fn at_commit(what: u32) {
    if !shared::is_there() {
        return;
    }
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: on the main thread; the callback lives as long as the library, which is never unloaded.
        unsafe { pg_sys::RegisterXactCallback(Some(on_end), ptr::null_mut()) };
    }
    PENDING.fetch_or(what, Ordering::Relaxed);
}

// SAFETY: the server calls it at the end of each transaction; it reads no pointer.
#[pg_guard]
unsafe extern "C-unwind" fn on_end(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent as Event;
    match event {
        Event::XACT_EVENT_COMMIT | Event::XACT_EVENT_PARALLEL_COMMIT => {
            let what = PENDING.swap(0, Ordering::Relaxed);
            if what == 0 {
                return;
            }
            // SAFETY: a plain value of this process.
            let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
            if what & PUMP != 0 {
                shared::wake_pump(database);
            }
            if what & LAUNCHER != 0 {
                shared::call_launcher(database);
            }
            if what & LAUNCHER_EVERYWHERE != 0 {
                shared::call_launcher_everywhere();
            }
        }
        // A prepared transaction commits elsewhere and later: see the hook on COMMIT PREPARED.
        Event::XACT_EVENT_ABORT | Event::XACT_EVENT_PARALLEL_ABORT | Event::XACT_EVENT_PREPARE => {
            PENDING.store(0, Ordering::Relaxed);
        }
        _ => {}
    }
}
