//! The board on which each process writes what it does and what it waits for, for `oncall.worker_status()`.

use std::ffi::c_int;

use pgrx::shmem::PGRXSharedMemory;
use pgrx::{PgLwLock, pg_guard, pg_sys};

use super::process;

/// As many processes as a server can be expected to have of ours.
const PLACES: usize = 256;

// SAFETY: the name is this extension's own, and nothing else of it has the name.
static BOARD: PgLwLock<Board> = unsafe { PgLwLock::new(c"pg_oncall board") };

struct Board([Entry; PLACES]);

// SAFETY: plain bytes and numbers, valid in any process that maps them; read and written under the lock only.
unsafe impl PGRXSharedMemory for Board {}

#[derive(Clone, Copy)]
struct Entry {
    /// 0 while the place is free.
    pid: i32,
    database: u32,
    kind: Kind,
    since: i64,
    doing: Line,
    waiting_for: Line,
}

/// What kind of process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one that starts the others.
    Launcher,
    /// The one of a database that waits for many things at once.
    Pump,
    /// One that runs a single command.
    Executor,
}

impl Kind {
    /// Its name, as `oncall.worker_status()` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launcher => "launcher",
            Self::Pump => "pump",
            Self::Executor => "executor",
        }
    }
}

/// A short text of a fixed size.
#[derive(Clone, Copy, PartialEq)]
struct Line {
    length: u8,
    bytes: [u8; 200],
}

impl Line {
    const EMPTY: Self = Self { length: 0, bytes: [0; 200] };

    fn new(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(200)];
        let mut line = Self { length: text.len() as u8, ..Self::EMPTY };
        line.bytes[..text.len()].copy_from_slice(text.as_bytes());
        line
    }

    fn text(&self) -> Option<String> {
        let bytes = &self.bytes[..usize::from(self.length)];
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// What the board says of one process.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Its id.
    pub pid: i32,
    /// The OID of its database; `None` for the launcher.
    pub database: Option<u32>,
    /// What kind of process it is.
    pub kind: Kind,
    /// What it does; nothing while it rests.
    pub doing: Option<String>,
    /// What it waits for.
    pub waiting_for: Option<String>,
    /// When it wrote that, in microseconds as the server counts them.
    pub since: i64,
}

/// Ask for the shared memory; called while the library is preloaded.
#[allow(unexpected_cfgs, reason = "the macro knows releases that this extension does not")]
pub fn request() {
    pgrx::pg_shmem_init!(
        BOARD = Board(
            [Entry { pid: 0, database: 0, kind: Kind::Pump, since: 0, doing: Line::EMPTY, waiting_for: Line::EMPTY };
                PLACES]
        )
    );
}

/// What every process of this database does, and the launcher.
pub fn read(database: u32) -> Vec<Notice> {
    let board = BOARD.share();
    let shown = |entry: &&Entry| entry.pid != 0 && (entry.database == database || entry.database == 0);
    let notice = |entry: &Entry| Notice {
        pid: entry.pid,
        database: Some(entry.database).filter(|&oid| oid != 0),
        kind: entry.kind,
        doing: entry.doing.text(),
        waiting_for: entry.waiting_for.text(),
        since: entry.since,
    };
    board.0.iter().filter(shown).map(notice).collect()
}

/// End the executors of a database that is being dropped. They hold no lock that the drop would wait for, but count as
/// its users.
pub fn end_executors(database: u32) {
    let board = BOARD.share();
    for entry in board.0.iter().filter(|e| e.pid != 0 && e.database == database && e.kind == Kind::Executor) {
        // SAFETY: kill(2) of a process that runs: its entry goes, under this lock, before it ends.
        unsafe { libc::kill(entry.pid, libc::SIGTERM) };
    }
}

/// The place of this process; free again when the process ends, however it ends.
///
/// `None` in a place means that the board was full: the process works all the same.
pub struct Place {
    place: Option<usize>,
    said: Option<(Line, Line)>,
}

impl Place {
    /// A place for this process, which serves this database, or none.
    pub fn take(kind: Kind, database: Option<u32>) -> Self {
        let mut board = BOARD.exclusive();
        let place = board.0.iter().position(|entry| entry.pid == 0);
        if let Some(place) = place {
            let entry = &mut board.0[place];
            *entry = Entry {
                pid: process::pid(),
                database: database.unwrap_or_default(),
                kind,
                since: now(),
                doing: Line::EMPTY,
                waiting_for: Line::EMPTY,
            };
            // SAFETY: the callback takes a number and touches shared memory only, which is there until after it has run.
            unsafe { pg_sys::before_shmem_exit(Some(wipe), pg_sys::Datum::from(place)) };
        }
        Self { place, said: None }
    }

    /// Write down what this process does now, and what it waits for; also in `pg_stat_activity`.
    pub fn say(&mut self, doing: &str, waiting_for: &str) {
        let lines = (Line::new(doing), Line::new(waiting_for));
        if self.said == Some(lines) {
            return;
        }
        self.said = Some(lines);
        let Some(place) = self.place else { return };
        {
            let mut board = BOARD.exclusive();
            let entry = &mut board.0[place];
            (entry.doing, entry.waiting_for) = lines;
            entry.since = now();
        }
        let separator = if doing.is_empty() || waiting_for.is_empty() { "" } else { "; " };
        let waits = if waiting_for.is_empty() { "" } else { "waiting for " };
        process::show_activity(&[doing, separator, waits, waiting_for].concat());
    }
}

fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

// SAFETY: the server calls it once, at the end of the process, with the number that was registered.
#[pg_guard]
unsafe extern "C-unwind" fn wipe(_code: c_int, place: pg_sys::Datum) {
    if let Some(entry) = BOARD.exclusive().0.get_mut(place.value()) {
        entry.pid = 0;
    }
}
