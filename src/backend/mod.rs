//! All `unsafe` code: what the server demands of C, behind functions that cannot be misused.

mod array;
pub mod board;
pub mod changes;
pub mod command;
mod commit;
pub mod executor;
mod helper;
mod hooks;
pub mod log_capture;
pub mod mailbox;
pub mod process;
mod receiver;
mod role;
mod scope;
pub mod shared;
pub mod toplevel;
mod transaction;
mod wake;

use std::ffi::CStr;

use pgrx::pg_sys;

pub use array::reals;
pub use commit::wake_pump_at_commit;
pub use helper::{Abandoned, run_interruptibly, spawn_masked};
pub use hooks::install as install_hooks;
pub use role::{argument, as_role};
pub use scope::{set_for_transaction, with_settings};
pub use transaction::{SqlError, abandon_transaction, bind_to_extension, code, transaction};
pub use wake::{Wake, nap, sleep};

/// Whether the library is being loaded by `shared_preload_libraries`.
pub fn is_preloading() -> bool {
    // SAFETY: a plain bool of the server, written only by the main thread while it starts.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Whether `pg_upgrade` runs this server, which then must accept the library wherever it is loaded.
pub fn is_binary_upgrade() -> bool {
    // SAFETY: a plain bool of the server, set once from its command line.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Whether a transaction id is that of the transaction that runs now, or of one of its subtransactions.
pub fn is_own_transaction(xid: u32) -> bool {
    // SAFETY: compares the number with those of this process' own transaction state, on its main thread; any number will do.
    unsafe { pg_sys::TransactionIdIsCurrentTransactionId(pg_sys::TransactionId::from_inner(xid)) }
}

/// Make every `prefix.*` setting that was not defined an error, so that a misspelt name does not pass silently.
pub fn reserve_setting_prefix(prefix: &'static CStr) {
    // SAFETY: called from _PG_init on the main thread; the server copies the name.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) }
}
