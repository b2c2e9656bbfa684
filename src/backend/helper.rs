//! One helper thread, on which everything runs that would block: model calls.
//!
//! The main thread of a backend must stay at its latch, or nobody can cancel it and `DROP DATABASE` elsewhere hangs.
//! The helper calls nothing of Postgres; it takes a closure, sends its value back and pokes an eventfd.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use super::wake::{Wake, wait};

/// The helper gave no value: its thread panicked, could not be started, or overran `limit`.
#[derive(Debug, thiserror::Error)]
#[error("the helper thread gave no answer: {0}")]
pub struct Abandoned(pub String);

type Job = Box<dyn FnOnce() + Send>;

struct Helper {
    jobs: Sender<Job>,
    wake: Arc<Wake>,
}

thread_local! {
    // A backend is one thread, so a thread-local is a per-process value. Never touched by the helper itself.
    static HELPER: RefCell<Option<Helper>> = const { RefCell::new(None) };
}

/// Run `work` on the helper thread and wait for its value, interruptibly, for at most `limit`.
///
/// When the wait is interrupted, `abandon` is called so that `work` may end early, and the thread is left to itself:
/// the next call gets a new one.
pub fn run_interruptibly<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
    abandon: impl FnOnce(),
) -> Result<T, Abandoned> {
    let helper = HELPER.with_borrow_mut(|kept| kept.take().map_or_else(Helper::start, Ok));
    let helper = helper.map_err(|error| Abandoned(error.to_string()))?;
    let (answer, value) = mpsc::channel();
    let wake = Arc::clone(&helper.wake);
    helper.wake.drain();
    let job: Job = Box::new(move || {
        // The wake is poked even if the work panics, so that the waiter does not sit out its limit.
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let _ = answer.send(outcome);
        wake.notify();
    });
    helper.jobs.send(job).map_err(|_| Abandoned("its thread has ended".to_owned()))?;
    let mut abandon = OnUnwind(Some(abandon));
    let answered = wait(&helper.wake, limit);
    if !answered {
        drop(abandon);
        return Err(Abandoned(format!("no answer within {} ms", limit.as_millis())));
    }
    abandon.0 = None;
    let outcome = value.try_recv().map_err(|_| Abandoned("its answer was lost".to_owned()))?;
    HELPER.with_borrow_mut(|kept| *kept = Some(helper));
    outcome.map_err(|_| Abandoned("it panicked".to_owned()))
}

/// Calls its closure when it is dropped with one: on the way out of an interrupted wait.
struct OnUnwind<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnUnwind<F> {
    fn drop(&mut self) {
        if let Some(abandon) = self.0.take() {
            abandon();
        }
    }
}

impl Helper {
    /// Start the thread: lazily, never in the postmaster, which forks.
    fn start() -> io::Result<Self> {
        let wake = Arc::new(Wake::new()?);
        let (jobs, queue) = mpsc::channel::<Job>();
        spawn_masked("oncall-model", move || {
            for job in queue {
                job();
            }
        })?;
        Ok(Self { jobs, wake })
    }
}

/// Spawn a thread with every asynchronous signal blocked: they belong to the backend's own thread, which would lose
/// latch wake-ups (SIGURG) to a helper that has them open.
pub fn spawn_masked(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    let synchronous =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS];
    // SAFETY: sigset_t is plain data that sigfillset initialises; the masks live on this stack; the caller's mask is
    // put back before anything else runs, so Postgres' own thread never notices.
    unsafe {
        let (mut all, mut old): (libc::sigset_t, libc::sigset_t) = (mem::zeroed(), mem::zeroed());
        libc::sigfillset(&raw mut all);
        for signal in synchronous {
            libc::sigdelset(&raw mut all, signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        let handle = thread::Builder::new().name(name.into()).stack_size(512 * 1024).spawn(body);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, ptr::null_mut());
        handle
    }
}
