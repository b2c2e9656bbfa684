//! The helper threads of a pump: for everything that would block.
//!
//! They are made when they are needed, up to a limit, and end when they have had nothing to do for a while. A helper calls
//! nothing of Postgres: it takes a closure and sends its value back.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::oneshot;

use crate::backend::{Abandoned, spawn_masked};

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(30);

type Job = Box<dyn FnOnce() + Send>;

/// The threads and their queue.
#[derive(Default)]
pub struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Pool {
    /// Have `work` done on a thread, of which there are at most `limit`: first come, first served.
    ///
    /// Work whose waiter is gone before a thread is free is not begun.
    pub fn submit<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        limit: usize,
        work: W,
    ) -> impl Future<Output = Result<T, Abandoned>> + use<T, W> {
        let (answer, value) = oneshot::channel();
        let job: Job = Box::new(move || {
            if !answer.is_canceled()
                && let Ok(value) = catch_unwind(AssertUnwindSafe(work))
            {
                let _ = answer.send(value);
            }
        });
        let started = self.enqueue(limit, job);
        async move {
            started?;
            value.await.map_err(|_| Abandoned("its work panicked".to_owned()))
        }
    }

    /// How much work is not done yet, begun or not.
    pub fn outstanding(&self) -> usize {
        let queue = self.0.lock();
        queue.jobs.len() + queue.threads - queue.idle
    }

    fn enqueue(&self, limit: usize, job: Job) -> Result<(), Abandoned> {
        let mut queue = self.0.lock();
        queue.jobs.push_back(job);
        if queue.jobs.len() > queue.idle && queue.threads < limit {
            let shared = Arc::clone(&self.0);
            match spawn_masked("oncall-helper", move || shared.serve()) {
                Ok(_) => queue.threads += 1,
                // Those that there are will come to it.
                Err(_) if queue.threads > 0 => {}
                Err(error) => {
                    queue.jobs.pop_back();
                    return Err(Abandoned(error.to_string()));
                }
            }
        }
        drop(queue);
        self.0.filled.notify_one();
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job();
                queue = self.lock();
                continue;
            }
            queue.idle += 1;
            let (woken, waited) = self.filled.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if waited.timed_out() && queue.jobs.is_empty() {
                queue.threads -= 1;
                return;
            }
        }
    }
}
