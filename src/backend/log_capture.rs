//! What the server logs while a command runs: its warnings, and its last word before it ends the process.
//!
//! A VACUUM that may not touch a table succeeds with a warning. And a process that ends by FATAL, as when its login is
//! refused, says why to the log and to nobody else.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};

use pgrx::{pg_guard, pg_sys};

/// The most warnings of one command; a VACUUM of a whole database may have hundreds.
const MOST_WARNINGS: usize = 20;
/// The most bytes of one.
const MOST_BYTES: usize = 500;

thread_local! {
    // A process of the server is one thread: these are its own.
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static LAST_WORD: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Listen to what this process logs, until it ends.
pub fn listen() {
    // SAFETY: a hook is a plain variable of the process, set once on its main thread; `hear` keeps to the hook's contract.
    unsafe {
        PREVIOUS = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(hear);
    }
}

/// The warnings since the last call.
pub fn take_warnings() -> Vec<String> {
    WARNINGS.take()
}

/// What the process said when it had to end; empty when it has not.
pub fn last_word() -> String {
    LAST_WORD.try_with(|word| word.borrow().clone()).unwrap_or_default()
}

// SAFETY: written once, by `listen`, before anything reads it, and never by another thread.
static mut PREVIOUS: pg_sys::emit_log_hook_type = None;

#[pg_guard]
// SAFETY: the server calls it with an error report that lives until it returns.
unsafe extern "C-unwind" fn hear(report: *mut pg_sys::ErrorData) {
    // SAFETY: as above; its texts are NUL-terminated or null.
    let (level, message) = unsafe { ((*report).elevel as u32, text((*report).message)) };
    if level == pg_sys::WARNING {
        let _ = WARNINGS.try_with(|warnings| {
            if let Ok(mut warnings) = warnings.try_borrow_mut()
                && warnings.len() < MOST_WARNINGS
            {
                warnings.push(message.clone());
            }
        });
    }
    if level >= pg_sys::FATAL {
        let _ = LAST_WORD.try_with(|word| word.replace(message));
    }
    // SAFETY: set by `listen`, as the server left it.
    if let Some(previous) = unsafe { PREVIOUS } {
        // SAFETY: the hook that was there before, with the argument that it would have got.
        unsafe { previous(report) };
    }
}

// SAFETY: `text` is null or NUL-terminated, and lives until the function returns.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the function's own contract says.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]).into_owned()
}
