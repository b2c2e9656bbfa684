//! Settings that hold for a few statements.

use std::ffi::CStr;

use pgrx::pg_sys;

/// Run `body` with `settings`, and put back what they were, as a function's own `SET` clause does.
pub fn with_settings<T>(settings: &[(&CStr, &CStr)], body: impl FnOnce() -> T) -> T {
    // SAFETY: a nest level opened on the main thread inside of a transaction. If `body` raises, the abort of the
    // (sub)transaction closes every level above its own, this one too; the server copies names and values.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        // The old value is kept for the end of the nest level.
        set(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
    }
    let value = body();
    // SAFETY: closes the level opened above, once.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    value
}

/// Set a parameter until the end of the transaction, which puts the old value back, as `SET LOCAL` does.
pub fn set_for_transaction(name: &CStr, value: &CStr) {
    set(name, value, pg_sys::GucAction::GUC_ACTION_LOCAL);
}

fn set(name: &CStr, value: &CStr, action: pg_sys::GucAction::Type) {
    // SAFETY: on the main thread inside of a transaction; both texts are NUL-terminated, and the server copies them.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        )
    };
}
