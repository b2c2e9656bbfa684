//! Who may change the audit: this process, while the extension's own code is writing.
//!
//! The guard triggers ask [`is_writing`]. A setting could be set by anybody and a role can be granted; a flag in the
//! process cannot be reached from SQL.

use std::cell::Cell;

use pgrx::datum::TimestampWithTimeZone;

thread_local! {
    // A backend is one thread: these are per-process flags.
    static WRITING: Cell<bool> = const { Cell::new(false) };
    static FORGETTING: Cell<Option<TimestampWithTimeZone>> = const { Cell::new(None) };
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

struct Eraser;

impl Drop for Eraser {
    fn drop(&mut self) {
        FORGETTING.set(None);
    }
}

/// Let `erase` remove rows that are older than `before`, and no others, whatever rides along.
pub fn forgetting<T>(before: TimestampWithTimeZone, erase: impl FnOnce() -> T) -> T {
    FORGETTING.set(Some(before));
    let _eraser = Eraser;
    erase()
}

/// Whether the extension's own code is removing rows as old as this just now.
pub fn is_forgetting(at: TimestampWithTimeZone) -> bool {
    FORGETTING.get().is_some_and(|before| at < before)
}
