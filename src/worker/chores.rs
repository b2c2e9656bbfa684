//! The chores of a pump: whoever listens is told of every change, and the house is kept.
//!
//! Each chore is a short transaction of its own, and one that fails holds up none of the others.

use std::time::{Duration, Instant};

use super::reactor::Reactor;
use crate::backend::transaction;
use crate::store::{self, chores};

/// How many changes are told, or rows removed, in one transaction.
const BATCH: i32 = 1000;
/// How often the house is looked after.
const ROUND: Duration = Duration::from_secs(60);
/// When the first time: not in the middle of an installation, or a restore.
const FIRST_ROUND: Duration = Duration::from_secs(10);
/// How often the log gets its months.
const MONTHS: Duration = Duration::from_secs(24 * 3600);
/// When the first time. A restore makes the months that it brings along itself, soon after the extension is there: a
/// month that we had made by then would be in its way.
const FIRST_MONTHS: Duration = Duration::from_secs(3600);
/// After a wake-up what is held is looked at, at most so often.
const GLANCE: Duration = Duration::from_secs(1);
/// Between two transactions of one chore, for the others.
const BREATH: Duration = Duration::from_millis(20);

/// Do the chores for ever.
pub async fn run(reactor: Reactor) {
    let opened = Instant::now();
    let (mut round, mut months) = (opened + FIRST_ROUND, opened + FIRST_MONTHS);
    let (mut looked, mut release) = (opened, opened);
    loop {
        while done("announcements", || chores::tell_announcements(BATCH)).is_some_and(|told| told == BATCH) {
            reactor.sleep(BREATH).await;
        }
        if Instant::now() >= round {
            look_after(&reactor).await;
            round = Instant::now() + ROUND;
        }
        if Instant::now() >= months {
            done("the months of the log", chores::make_months);
            months = Instant::now() + MONTHS;
        }
        if Instant::now() >= release {
            looked = Instant::now();
            release = looked + done("held work", chores::release_held).flatten().map_or(ROUND, until_end);
        }
        let next = round.min(months).min(release);
        reactor.woken(next.saturating_duration_since(Instant::now())).await;
        // A maintenance window ends when it ends, not with the next round; and something may have been held just now.
        if Instant::now() < next {
            release = release.min(looked + GLANCE);
        }
    }
}

/// How long to wait for the end of a window that is so many seconds away.
fn until_end(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, ROUND.as_secs_f64())).max(BREATH)
}

/// What needs no hurry.
async fn look_after(reactor: &Reactor) {
    done("expired approvals", chores::expire_approvals);
    let due = done("what is due", chores::due).unwrap_or_default();
    if due.snapshot {
        done("the health snapshot", chores::keep_snapshot);
    }
    if due.retention {
        while done("the retention", || chores::apply_retention(BATCH)) == Some(true) {
            reactor.sleep(BREATH).await;
        }
    }
}

/// One chore in its transaction. A failure is logged, and tried again the next time.
fn done<T>(what: &str, chore: impl FnOnce() -> store::Result<T>) -> Option<T> {
    transaction(chore).inspect_err(|error| pgrx::warning!("pg_oncall: {what}: {error}")).ok()
}
