//! The desk at which incidents are treated: many at once, each a conversation of agents with the world.
//!
//! An incident is triaged and routed here when it came by the inbox, and by its caller when it came by a function. Then
//! its agents act, or page. No transaction is open while any of them waits.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::future::select;
use futures::{FutureExt, StreamExt};
use oncall_domain::redact::redact;

use super::conversation;
use super::guarded::said;
use super::host::Halt;
use super::reactor::Reactor;
use super::suspects::Suspects;
use super::targets::Targets;
use crate::backend::{abandon_transaction, transaction};
use crate::settings;
use crate::store;
use crate::store::work::{self, Needs, Work};

/// How often a piece of work is begun without getting any further. Then a person hears of it instead.
const ATTEMPTS: i32 = 3;

/// The pause after the database refused to take down what came of a conversation.
const REFUSED: Duration = Duration::from_secs(1);

/// The most incidents under treatment, whatever they wait for.
const MOST: usize = 1000;

/// The desk: what its conversations share.
#[derive(Clone)]
struct Desk {
    reactor: Reactor,
    targets: Targets,
    suspects: Suspects,
    /// How many are under treatment.
    busy: Rc<Cell<usize>>,
    /// What came of conversations, as far as it is not written down yet.
    unwritten: Rc<RefCell<Vec<Ending>>>,
    /// Tells the desk that a seat is free.
    freed: UnboundedSender<()>,
}

/// Treat what is queued, for ever.
pub async fn run(reactor: Reactor) {
    let (freed, mut seats) = unbounded();
    let (suspects, in_hand) = Suspects::open();
    let desk =
        Desk { reactor, targets: Targets::default(), suspects, busy: Rc::default(), unwritten: Rc::default(), freed };
    // There is one pump a database, so what is running was another's, or this desk's before it fell.
    while let Err(error) = transaction(|| work::reclaim(in_hand.as_deref())) {
        pgrx::warning!("pg_oncall: the work of an earlier pump cannot be taken up yet: {error}");
        desk.reactor.sleep(Duration::from_secs(1)).await;
    }
    loop {
        desk.write_what_is_left();
        match transaction(|| desk.claim()) {
            Ok(claimed) => claimed.into_iter().for_each(|work| desk.begin(work)),
            // A lock that somebody holds: at the next look, and not at once.
            Err(error) => pgrx::debug1!("pg_oncall: no work can be claimed: {error}"),
        }
        let woken = pin!(desk.reactor.woken(settings::poll_interval()));
        select(woken, seats.next()).await;
        while seats.try_recv().is_ok() {}
    }
}

impl Desk {
    /// What is to be begun now.
    ///
    /// Who asks a model begins while the models have a place: beyond that it would only wait, and each that waits holds a
    /// hundred kilobytes. A page that is decided already and an approved step ask none, and begin in any case.
    fn claim(&self) -> store::Result<Vec<Work>> {
        let (busy, places) = (self.busy.get(), settings::max_model_calls());
        // Some more than there are places, so that none is empty between two calls of a conversation. And as many as there
        // are empty places, where conversations are busy with something else: one may wait for an index for an hour.
        let asked = self.reactor.calls();
        let idle = if asked * 4 < places * 3 { places - asked } else { 0 };
        let room = MOST.saturating_sub(busy);
        let talks = (places + places / 8).saturating_sub(busy).max(idle).min(room);
        let mut claimed = work::claim(talks, Needs::Anything)?;
        if claimed.len() == talks {
            claimed.extend(work::claim(room - talks, Needs::NoModel)?);
        }
        Ok(claimed)
    }

    fn begin(&self, work: Work) {
        if work.attempts > ATTEMPTS {
            self.give_up(&work, "it was begun three times, and the workers ended each time before it got any further");
            // The next that is under suspicion may have waited for this one.
            let _ = self.freed.unbounded_send(());
            return;
        }
        self.busy.set(self.busy.get() + 1);
        let name = format!("{} ({})", work.incident, work.purpose.as_str());
        let desk = self.clone();
        self.reactor.spawn(name, async move { desk.treat(work).await }.boxed_local());
    }

    async fn treat(self, work: Work) {
        let mut seat = Seat { desk: self.clone(), work: Some(work.clone()) };
        let (reactor, targets) = (self.reactor.clone(), self.targets.clone());
        // Boxed: as a plain value it would have a place in every future that it is handed on to, 8 kB each.
        let conversation = Box::pin(conversation::hold(reactor, targets, self.suspects.clone(), work.clone()));
        let ended = AssertUnwindSafe(self.suspects.watch(work.id, conversation)).catch_unwind().await;
        seat.work = None;
        if let Err(payload) = ended {
            // It may have unwound out of the middle of one, which the next would trip over.
            abandon_transaction();
            self.interrupted(&work, payload);
        }
    }

    /// A conversation ended by unwinding: by a halt of its host, an SQL error, or a bug.
    fn interrupted(&self, work: &Work, payload: Box<dyn Any + Send>) {
        match payload.downcast::<Halt>() {
            Ok(halt) if halt.is_final() => self.give_up(work, &halt.to_string()),
            Ok(halt) => self.set_back(work, &halt.to_string()),
            Err(payload) => self.set_back(work, &said(payload.as_ref())),
        }
    }

    /// Try it again a little later, or give it up.
    fn set_back(&self, work: &Work, reason: &str) {
        self.write_down(Ending::in_vain(work.clone(), reason));
    }

    /// Nobody tries again: a person hears of it.
    fn give_up(&self, work: &Work, reason: &str) {
        self.write_down(Ending::given_up(work.clone(), reason));
    }

    /// Write it down; whether the database let us. What it refused, for a lock perhaps, is tried again a little later.
    fn write_down(&self, ending: Ending) -> bool {
        let work = ending.work();
        let (written, pause) = match transaction(|| ending.write()) {
            Ok(()) => (true, ending.due()),
            Err(error) => {
                pgrx::log!("pg_oncall: {}: what came of it cannot be written down yet: {error}", work.incident);
                (false, Some(REFUSED))
            }
        };
        if let Some(pause) = pause {
            // Nothing else wakes the desk then: no commit, no seat that becomes free.
            let (reactor, freed) = (self.reactor.clone(), self.freed.clone());
            let wake = async move {
                reactor.sleep(pause).await;
                let _ = freed.unbounded_send(());
            };
            self.reactor.spawn(format!("{} (to be tried again)", work.incident), wake.boxed_local());
        }
        if !written {
            self.unwritten.borrow_mut().push(ending);
        }
        written
    }

    /// Write down what is left of that, up to the first that is refused again: that one has cost everybody a lock timeout,
    /// and is the last one next time.
    fn write_what_is_left(&self) {
        let mut left = self.unwritten.take().into_iter();
        while left.next().is_some_and(|ending| self.write_down(ending)) {}
        self.unwritten.borrow_mut().splice(0..0, left);
    }
}

/// What came of a conversation that did not come to its own end.
enum Ending {
    /// It is tried again a little later.
    SetBack { work: Work, reason: String },
    /// Nobody tries again: a person hears of it.
    GivenUp { work: Work, reason: String },
}

impl Ending {
    fn work(&self) -> &Work {
        let (Self::SetBack { work, .. } | Self::GivenUp { work, .. }) = self;
        work
    }

    /// When it is tried again.
    fn due(&self) -> Option<Duration> {
        match self {
            Self::SetBack { work, .. } => Some(Duration::from_secs(u64::from(work.attempts.unsigned_abs()))),
            Self::GivenUp { .. } => None,
        }
    }

    fn write(&self) -> store::Result<()> {
        match self {
            Self::SetBack { work, reason } => {
                work::retry(work.id, self.due().unwrap_or_default().as_secs_f64(), reason)
            }
            Self::GivenUp { work, reason } => conversation::give_up(work, reason),
        }
    }

    /// Of one that failed: it is tried again, until it was tried often enough.
    fn in_vain(work: Work, reason: &str) -> Self {
        if work.attempts >= ATTEMPTS {
            return Self::given_up(work, reason);
        }
        let reason = redact(reason).as_str().to_owned();
        pgrx::log!("pg_oncall: {}: set back: {reason}", work.incident);
        Self::SetBack { work, reason }
    }

    fn given_up(work: Work, reason: &str) -> Self {
        let reason = redact(reason).as_str().to_owned();
        pgrx::warning!("pg_oncall: {} is given up: {reason}", work.incident);
        Self::GivenUp { work, reason }
    }
}

/// The place of a conversation at the desk, given back however it ends.
struct Seat {
    desk: Desk,
    /// Still there when the conversation is dropped in the middle.
    work: Option<Work>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.busy.set(self.desk.busy.get() - 1);
        let dropped = self.work.take();
        let dropped =
            dropped.map(|work| Ending::in_vain(work, "its conversation left a transaction open and was ended"));
        self.desk.unwritten.borrow_mut().extend(dropped);
        // A seat is free, or somebody has fallen from it: the desk looks again.
        let _ = self.desk.freed.unbounded_send(());
    }
}
