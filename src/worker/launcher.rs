//! The launcher: sees to it that every database with the extension has its pump.
//!
//! It is connected to no database, so it holds up no DROP DATABASE. Which databases have the extension it cannot see from
//! there: it starts a pump in each, which goes away by itself where there is nothing to do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::{pg_guard, pg_sys};

use super::pump;
use crate::backend::board::{Kind, Place};
use crate::backend::shared::{Farewell, LauncherPost};
use crate::backend::{self, Wake, process};
use crate::settings;

/// How often it looks at every database without being called.
const LOOK: Duration = Duration::from_secs(10);
/// How long a database stays without its pump after the pump was sent away, or could not be started for want of a process.
const AWAY: Duration = Duration::from_secs(2);
/// The pause before the second restart of a pump that failed; each further one doubles it. The first is at once.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. A pump that has worked for longer than this begins anew with none.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How many pumps may be starting at once: with many databases the others' worker processes are left to them.
const STARTING: usize = 4;

/// What it waits for when no pump can be started.
const STARVED: &str = "a free worker process (see max_worker_processes)";

/// Register the launcher; called once, while the library is preloaded.
pub fn register() {
    BackgroundWorkerBuilder::new("pg_oncall launcher")
        .set_library("pg_oncall")
        .set_function("oncall_launcher")
        .enable_spi_access()
        .set_restart_time(Some(Duration::from_secs(1)))
        .load();
}

/// The main function of the launcher. The server starts it when recovery has ended: on a standby, at its promotion.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn oncall_launcher(_argument: pg_sys::Datum) {
    process::begin(None);
    let Ok(wake) = Wake::new() else { return };
    let mut place = Place::take(Kind::Launcher, None);
    let mut launcher = Launcher { post: LauncherPost::take(), databases: BTreeMap::new() };
    launcher.adopt();
    let mut next_look = Instant::now();
    loop {
        process::answer_interrupts();
        process::reload_if_asked();
        let (called, everywhere) = launcher.post.calls();
        launcher.call(&called);
        let now = Instant::now();
        // Before a pump is started, too: its database may be gone by now.
        let due = launcher.next_due().is_some_and(|due| due <= now);
        if everywhere || due || !called.is_empty() || now >= next_look {
            launcher.look_everywhere();
            next_look = now + LOOK;
        }
        launcher.settle(now);
        let starved = launcher.start_due(now);
        place.say(&launcher.at_work(), if starved { STARVED } else { "a database that needs a pump" });
        let due = launcher.next_due().unwrap_or(next_look).min(next_look);
        backend::sleep(&wake, due.saturating_duration_since(Instant::now()));
    }
}

struct Launcher {
    post: LauncherPost,
    databases: BTreeMap<u32, Database>,
}

struct Database {
    state: State,
    /// Called again while the pump was starting or at work: what it found may be out of date.
    called: bool,
    failures: u32,
}

enum State {
    /// A pump is to be started then.
    Due(Instant),
    /// One was started, or is one of an earlier launcher, whose handle is lost.
    Started { worker: Option<DynamicBackgroundWorker>, since: Instant },
    /// The extension is not there.
    Unwanted,
}

impl Launcher {
    /// The pumps of a launcher before this one go on.
    fn adopt(&mut self) {
        for database in self.post.running() {
            let state = State::Started { worker: None, since: Instant::now() };
            self.databases.insert(database, Database { state, called: false, failures: 0 });
        }
    }

    fn call(&mut self, called: &[u32]) {
        for database in called {
            let known = self.databases.entry(*database).or_insert_with(Database::due);
            match known.state {
                State::Unwanted => *known = Database::due(),
                State::Started { .. } => known.called = true,
                State::Due(_) => {}
            }
        }
    }

    /// Meet new databases, forget those that are gone.
    fn look_everywhere(&mut self) {
        // What cannot be read now can be read at the next look.
        let Ok(there) = process::databases() else { return };
        for database in &there {
            self.databases.entry(*database).or_insert_with(Database::due);
        }
        let post = &self.post;
        self.databases.retain(|database, known| {
            let kept = there.contains(database) || matches!(known.state, State::Started { .. });
            if !there.contains(database) {
                backend::shared::send_away(*database);
            }
            if !kept {
                post.release(*database);
            }
            kept
        });
    }

    /// What became of the pumps that were started.
    fn settle(&mut self, now: Instant) {
        for (&oid, database) in &mut self.databases {
            let State::Started { worker, since } = &database.state else { continue };
            let over = match worker {
                Some(worker) => matches!(worker.pid(), Err(BackgroundWorkerStatus::Stopped)),
                None => !self.post.is_running(oid),
            };
            if !over || self.post.is_running(oid) {
                continue;
            }
            let worked_well = now.duration_since(*since) > LONGEST_PAUSE;
            let called = std::mem::take(&mut database.called);
            database.state = match self.post.farewell(oid) {
                Farewell::NoExtension if !called => {
                    self.post.release(oid);
                    State::Unwanted
                }
                Farewell::NoExtension | Farewell::Restart => State::Due(now),
                Farewell::SentAway => State::Due(now + AWAY),
                Farewell::None => {
                    database.failures = if worked_well { 1 } else { database.failures + 1 };
                    State::Due(now + pause(database.failures))
                }
            };
        }
    }

    /// Start what is due; whether one had to be put off for want of a worker process.
    fn start_due(&mut self, now: Instant) -> bool {
        let mut starved = false;
        if !settings::workers() {
            return starved;
        }
        let starting = |(&oid, known): (&u32, &Database)| {
            matches!(known.state, State::Started { worker: Some(_), .. }) && !self.post.is_running(oid)
        };
        let mut room =
            STARTING.saturating_sub(self.databases.iter().filter(|&(oid, known)| starting((oid, known))).count());
        for (&oid, database) in &mut self.databases {
            if room == 0 || !matches!(database.state, State::Due(at) if at <= now) {
                continue;
            }
            room -= 1;
            database.state = match start(&self.post, oid) {
                Some(worker) => State::Started { worker: Some(worker), since: now },
                None => {
                    starved = true;
                    State::Due(now + AWAY)
                }
            };
        }
        starved
    }

    fn at_work(&self) -> String {
        let pumps = self.databases.values().filter(|known| matches!(known.state, State::Started { .. })).count();
        format!("watching over the pumps ({pumps})")
    }

    fn next_due(&self) -> Option<Instant> {
        let due = |database: &Database| match database.state {
            State::Due(at) => Some(at),
            _ => None,
        };
        self.databases.values().filter_map(due).min().filter(|_| settings::workers())
    }
}

impl Database {
    fn due() -> Self {
        Self { state: State::Due(Instant::now()), called: false, failures: 0 }
    }
}

/// None after the first failure, then growing.
fn pause(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => (FIRST_PAUSE * 2_u32.pow((more - 2).min(16))).min(LONGEST_PAUSE),
    }
}

fn start(post: &LauncherPost, database: u32) -> Option<DynamicBackgroundWorker> {
    if !post.reserve(database) {
        return None;
    }
    BackgroundWorkerBuilder::new("pg_oncall pump")
        .set_library("pg_oncall")
        .set_function(pump::FUNCTION)
        .enable_spi_access()
        .set_argument(Some(pg_sys::Datum::from(database as usize)))
        .set_notify_pid(process::pid())
        .load_dynamic()
        .ok()
}
