//! Who may change the audit: this process, while the extension's own code is writing.
//!
//! The guard triggers ask [`is_writing`]. A setting could be set by anybody and a role can be granted; a flag in the
//! process cannot be reached from SQL.

use std::cell::Cell;

thread_local! {
    // A backend is one thread: this is a per-process flag.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

struct Pen;

impl Drop for Pen {
    fn drop(&mut self) {
        WRITING.set(false);
    }
}

/// Let `write` change rows of the audit. The flag falls with the scope, whether it ends well or by an error.
pub fn writing<T>(write: impl FnOnce() -> T) -> T {
    WRITING.set(true);
    let _pen = Pen;
    write()
}

/// Whether the extension's own code is writing just now.
pub fn is_writing() -> bool {
    WRITING.get()
}
