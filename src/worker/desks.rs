//! The desks at which a pump works: long-lived loops, each about one thing, taken up again when one fails.

use std::time::{Duration, Instant};

use futures::future::LocalBoxFuture;

use super::chores;
use super::guarded::Guarded;
use super::intake;
use super::postman;
use super::reactor::Reactor;
use super::treatment;

/// A desk: its name, and its loop.
type Desk = (&'static str, fn(Reactor) -> LocalBoxFuture<'static, ()>);

/// Every desk. A new one is a line here. A wake-up reaches them in this order: first of all alerts come in.
const DESKS: &[Desk] = &[
    ("intake", |reactor| Box::pin(intake::run(reactor))),
    ("treatment", |reactor| Box::pin(treatment::run(reactor))),
    ("postman", |reactor| Box::pin(postman::run(reactor))),
    ("chores", |reactor| Box::pin(chores::run(reactor))),
];

/// How long a desk that failed stays empty at first; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause. A desk that has worked for longer than this begins anew with the first.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Take up the work at every desk.
pub fn open(reactor: &Reactor) {
    for &(name, work) in DESKS {
        reactor.admit(Box::pin(staff(reactor.clone(), name, work)));
    }
}

async fn staff(reactor: Reactor, name: &'static str, work: fn(Reactor) -> LocalBoxFuture<'static, ()>) {
    let mut pause = FIRST_PAUSE;
    while !reactor.leaving() {
        let began = Instant::now();
        match Guarded::new(work(reactor.clone())).await {
            Ok(()) => pgrx::log!("pg_oncall: the desk \"{name}\" was left"),
            Err(failure) => pgrx::warning!("pg_oncall: the desk \"{name}\" failed: {failure}"),
        }
        if began.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        reactor.sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
