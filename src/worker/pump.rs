//! The pump: one process a database, which waits for many things at once and never with a transaction open.

use std::time::{Duration, Instant};

use pgrx::{pg_guard, pg_sys};

use super::desks;
use super::reactor::EventLoop;
use crate::backend;
use crate::backend::board::{Kind, Place};
use crate::backend::process;
use crate::backend::shared::{Farewell, PumpPost};
use crate::settings;

/// The function that the server calls in a new pump.
pub const FUNCTION: &str = "oncall_pump";

/// The least time between two wake-ups. Commits that come faster are answered together; one alone is answered at once.
const DEBOUNCE: Duration = Duration::from_millis(2);

/// How often free memory is given back, at most: it takes a millisecond.
const RELEASE: Duration = Duration::from_secs(1);

/// The parameters of a pump's own session. Its statements are short: one that waits for a lock holds up all the others.
const SESSION: &[(&std::ffi::CStr, &std::ffi::CStr)] = &[
    (c"lock_timeout", c"500ms"),
    // What was begun must be known after a crash. A standby that is away holds nobody up.
    (c"synchronous_commit", c"local"),
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"plan_cache_mode", c"force_generic_plan"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_isolation", c"read committed"),
    (c"jit", c"off"),
    (c"max_parallel_workers_per_gather", c"0"),
];

/// The main function of a pump; the argument is its database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn oncall_pump(database: pg_sys::Datum) {
    let database = database.value() as u32;
    process::begin(Some(database));
    if !process::hold_pump_lock(database) {
        pgrx::log!("pg_oncall: another pump is at work in this database");
        return;
    }
    let Some(post) = PumpPost::take(database) else { return };
    post.bid(work(&post, database));
}

/// Until there is a reason to go.
fn work(post: &PumpPost, database: u32) -> Farewell {
    for (name, value) in SESSION {
        process::set_where_known(name, value);
    }
    // A catalogue that cannot be read now, for a lock perhaps: begin anew after the launcher's pause.
    match process::extension_oid() {
        Ok(Some(oid)) => backend::bind_to_extension(oid),
        Ok(None) => return Farewell::NoExtension,
        Err(_) => return Farewell::None,
    }
    let Ok(mut events) = EventLoop::new() else { return Farewell::None };
    desks::open(&events.reactor());
    let mut place = Place::take(Kind::Pump, Some(database));
    let mut next_ring = Instant::now();
    let mut next_release = next_ring;
    loop {
        process::answer_interrupts();
        process::reload_if_asked();
        if let Some(reason) = reason_to_go(post) {
            events.leave();
            return reason;
        }
        let now = Instant::now();
        if now >= next_ring && post.take_dirty() {
            // Where the extension was dropped the process ends here. A lock that is in the way says nothing.
            let _ = process::extension_oid();
            next_ring = now + DEBOUNCE;
            events.ring();
        }
        events.turn();
        if now >= next_release {
            process::release_free_memory();
            next_release = now + RELEASE;
        }
        let (doing, waiting_for) = events.at_work();
        place.say(&doing, &waiting_for);
        let pause = if post.is_dirty() {
            next_ring.saturating_duration_since(Instant::now())
        } else {
            settings::poll_interval()
        };
        events.sleep(pause);
    }
}

fn reason_to_go(post: &PumpPost) -> Option<Farewell> {
    if post.must_leave() {
        return Some(Farewell::SentAway);
    }
    (!settings::workers()).then_some(Farewell::Restart)
}
