//! The event loop of a pump: one thread on which many conversations wait at once, none of which blocks another.
//!
//! The set of futures has the eventfd as its waker, so whatever a future waits for (a helper thread, a timer, a
//! wake-up) ends the one sleep of the process, at its latch.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;

use super::guarded::Guarded;
use super::pool::Pool;
use crate::backend::{self, Abandoned, Wake};
use crate::settings;

/// How many of the things at work are shown by name.
const SHOWN: usize = 5;

/// What the desks hold of the event loop. Each clone remembers by itself which wake-ups it has answered, and an older one
/// is woken before a younger one: the desk where alerts come in was the first.
pub struct Reactor {
    core: Rc<Core>,
    answered: Cell<u64>,
    age: u64,
}

struct Core {
    wake: Arc<Wake>,
    pool: Pool,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    ids: Cell<u64>,
    /// Spawned, and not yet among the set.
    incoming: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    tasks: RefCell<BTreeMap<u64, String>>,
    waits: RefCell<BTreeMap<&'static str, usize>>,
    wakes: Bell,
    latch: Bell,
    leaving: Cell<bool>,
}

/// Something that happens again and again, for which any number of futures can wait.
#[derive(Default)]
struct Bell {
    rung: Cell<u64>,
    /// Each with the age of who waits.
    waiting: RefCell<Vec<(u64, Waker)>>,
}

impl Bell {
    fn ring(&self) {
        self.rung.set(self.rung.get() + 1);
        let mut waiting = self.waiting.take();
        waiting.sort_by_key(|(age, _)| *age);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Ready once it has been rung after `since`.
    fn poll(&self, since: u64, age: u64, context: &Context<'_>) -> Poll<()> {
        if self.rung.get() != since {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|(_, waker)| waker.will_wake(context.waker())) {
            waiting.push((age, context.waker().clone()));
        }
        Poll::Pending
    }
}

impl Clone for Reactor {
    fn clone(&self) -> Self {
        Self { core: Rc::clone(&self.core), answered: Cell::new(self.answered.get()), age: self.core.next_id() }
    }
}

impl Reactor {
    /// Do `work`, which may block, on a helper thread; `Err` if it panicked. At most `oncall.max_model_calls` at once.
    pub async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Abandoned> {
        self.waiting("an answer from outside", self.core.pool.submit(settings::max_model_calls(), work)).await
    }

    /// How many calls of [`Reactor::off_thread`] are on their way, or wait for a thread.
    pub fn calls(&self) -> usize {
        self.core.pool.outstanding()
    }

    /// Wait this long.
    pub async fn sleep(&self, span: Duration) {
        self.timer(Instant::now() + span).await;
    }

    /// Let a future run beside the others; `what` it is about is shown by `oncall.worker_status()`.
    ///
    /// A panic or a transaction left open ends this future only, and is logged.
    pub fn spawn(&self, what: String, future: LocalBoxFuture<'static, ()>) {
        let core = Rc::clone(&self.core);
        let id = core.next_id();
        core.tasks.borrow_mut().insert(id, what);
        self.admit(Box::pin(async move {
            let ended = Guarded::new(future).await;
            let what = core.tasks.borrow_mut().remove(&id).unwrap_or_default();
            if let Err(failure) = ended {
                pgrx::warning!("pg_oncall: {what} failed: {failure}");
            }
        }));
    }

    /// The same for one that looks after itself, and is not shown.
    pub(super) fn admit(&self, future: LocalBoxFuture<'static, ()>) {
        self.core.incoming.borrow_mut().push(future);
        self.core.wake.notify();
    }

    /// The next wake-up by a commit that concerns the pump, or the end of `at_most`, whichever is first.
    ///
    /// A wake-up that came since the last call of this clone counts: nothing is missed between a look and the wait.
    pub async fn woken(&self, at_most: Duration) {
        let mut timer = std::pin::pin!(self.timer(Instant::now() + at_most));
        poll_fn(|context| match self.core.wakes.poll(self.answered.get(), self.age, context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => timer.as_mut().poll(context),
        })
        .await;
        self.answered.set(self.core.wakes.rung.get());
    }

    /// The next time that the latch is set, as it is when a dynamic worker ends.
    pub async fn worker_ended(&self) {
        let _counted = Counted::new(&self.core, "a command");
        let since = self.core.latch.rung.get();
        poll_fn(|context| self.core.latch.poll(since, self.age, context)).await;
    }

    /// Wait for `future`; meanwhile `oncall.worker_status()` says that somebody waits for this.
    pub async fn waiting<T>(&self, for_what: &'static str, future: impl Future<Output = T>) -> T {
        let _counted = Counted::new(&self.core, for_what);
        future.await
    }

    /// Whether the process is about to end: what is not begun should not be begun.
    pub fn leaving(&self) -> bool {
        self.core.leaving.get()
    }

    fn timer(&self, due: Instant) -> Timer {
        Timer { core: Rc::clone(&self.core), key: (due, self.core.next_id()) }
    }
}

impl Core {
    fn next_id(&self) -> u64 {
        let id = self.ids.get();
        self.ids.set(id + 1);
        id
    }
}

/// One more future that waits for this, until it is dropped.
struct Counted<'a>(&'a Core, &'static str);

impl<'a> Counted<'a> {
    fn new(core: &'a Core, what: &'static str) -> Self {
        *core.waits.borrow_mut().entry(what).or_default() += 1;
        Self(core, what)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut waits = self.0.waits.borrow_mut();
        let left = waits.get(self.1).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            waits.remove(self.1);
        } else {
            waits.insert(self.1, left);
        }
    }
}

struct Timer {
    core: Rc<Core>,
    key: (Instant, u64),
}

impl Future for Timer {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.key.0 <= Instant::now() {
            return Poll::Ready(());
        }
        self.core.timers.borrow_mut().insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.core.timers.borrow_mut().remove(&self.key);
    }
}

/// The loop itself, which only the pump holds.
pub struct EventLoop {
    reactor: Reactor,
    set: FuturesUnordered<LocalBoxFuture<'static, ()>>,
}

impl EventLoop {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let core = Core {
            wake: Arc::new(Wake::new()?),
            pool: Pool::default(),
            timers: RefCell::default(),
            ids: Cell::new(0),
            incoming: RefCell::default(),
            tasks: RefCell::default(),
            waits: RefCell::default(),
            wakes: Bell::default(),
            latch: Bell::default(),
            leaving: Cell::new(false),
        };
        let reactor = Reactor { core: Rc::new(core), answered: Cell::new(0), age: 0 };
        Ok(Self { reactor, set: FuturesUnordered::new() })
    }

    /// What the desks get.
    pub fn reactor(&self) -> Reactor {
        self.reactor.clone()
    }

    /// Whoever waits for a wake-up goes on.
    pub fn ring(&self) {
        self.reactor.core.wakes.ring();
    }

    /// The process is about to end.
    pub fn leave(&self) {
        self.reactor.core.leaving.set(true);
    }

    /// Let everything go on that can.
    pub fn turn(&mut self) {
        let core = &self.reactor.core;
        loop {
            let now = Instant::now();
            while let Some(due) = core.timers.borrow_mut().first_entry().filter(|timer| timer.key().0 <= now) {
                due.remove().wake();
            }
            self.set.extend(core.incoming.take());
            let waker = Waker::from(Arc::clone(&core.wake));
            let mut context = Context::from_waker(&waker);
            while let Poll::Ready(Some(())) = self.set.poll_next_unpin(&mut context) {}
            if core.incoming.borrow().is_empty() {
                return;
            }
        }
    }

    /// Sleep until something happens, for `at_most` at most; whether the latch was set.
    pub fn sleep(&self, at_most: Duration) -> bool {
        let core = &self.reactor.core;
        let next = core.timers.borrow().keys().next().map(|timer| timer.0.saturating_duration_since(Instant::now()));
        let latch = backend::sleep(&core.wake, next.map_or(at_most, |next| next.min(at_most)));
        if latch {
            core.latch.ring();
        }
        latch
    }

    /// What is at work, and what it waits for, in words.
    pub fn at_work(&self) -> (String, String) {
        let core = &self.reactor.core;
        let tasks = core.tasks.borrow();
        let mut doing = tasks.values().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        if tasks.len() > SHOWN {
            doing = format!("{doing} and {} more", tasks.len() - SHOWN);
        }
        let mut waits = Vec::new();
        for (what, count) in core.waits.borrow().iter() {
            waits.push(if *count == 1 { (*what).to_owned() } else { format!("{what} ({count})") });
        }
        if tasks.is_empty() && waits.is_empty() {
            waits.push("work".to_owned());
        }
        (doing, waits.join(", "))
    }
}
