//! A file descriptor by which another thread wakes this process, and the wait for it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::task;
use std::time::{Duration, Instant};

use pgrx::pg_sys;

/// What a helper thread pokes when it is done: an eventfd, for a thread may call nothing of Postgres.
#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    /// A new one, not yet poked.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd(2) takes no pointers; a negative answer is checked before the descriptor is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was opened just now and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Wake the waiter; safe from any thread.
    pub fn notify(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: write(2) of eight bytes that live on this stack. A full counter (EAGAIN) is a wake already pending.
        unsafe { libc::write(self.fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Take back every poke so far.
    pub fn drain(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: read(2) of eight bytes into this stack. An empty counter (EAGAIN) is nothing to take back.
        unsafe { libc::read(self.fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// As a waker: whatever a future waits for pokes the descriptor at which the process sleeps.
impl task::Wake for Wake {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

/// Sleep until `wake` is poked, the latch of this process is set or `timeout` has passed; whether the latch was set.
///
/// The caller looks at interrupts and at whatever the latch is set for, each time.
pub fn sleep(wake: &Wake, timeout: Duration) -> bool {
    rest(wake, timeout).latch
}

/// Sleep until `wake` is poked or `timeout` has passed; true if poked. A cancel, a statement timeout or a shutdown
/// raises from here: that is what makes every wait interruptible.
pub fn wait(wake: &Wake, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        pgrx::check_for_interrupts!();
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        if rest(wake, left).poked {
            return true;
        }
    }
}

/// What ended a sleep; neither where its time was over.
struct Met {
    poked: bool,
    latch: bool,
}

fn rest(wake: &Wake, timeout: Duration) -> Met {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_SOCKET_READABLE | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // Rounded up: to wake before a timer is due would be to wake twice.
    let timeout_ms = i64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i64::MAX).min(i64::from(i32::MAX));
    // SAFETY: WaitLatchOrSocket is for the process' own latch, on its main thread, with an open descriptor; the
    // descriptor lives as long as `wake`.
    let met = unsafe {
        pg_sys::WaitLatchOrSocket(pg_sys::MyLatch, events as i32, wake.fd(), timeout_ms, pg_sys::PG_WAIT_EXTENSION)
    };
    let (poked, latch) = (met & pg_sys::WL_SOCKET_READABLE as i32 != 0, met & pg_sys::WL_LATCH_SET as i32 != 0);
    if poked {
        wake.drain();
    }
    if latch {
        // SAFETY: the latch is reset before the caller looks at what it was set for, as the server's own loops do.
        unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
    }
    Met { poked, latch }
}

/// Sleep until the latch of this process is set or `timeout` has passed. A cancel, a statement timeout or a shutdown
/// raises from here.
pub fn nap(timeout: Duration) {
    pgrx::check_for_interrupts!();
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let timeout_ms = std::ffi::c_long::try_from(timeout.as_millis()).unwrap_or(1000);
    // SAFETY: a wait at the process' own latch, on its main thread; the latch is reset before the caller looks at what
    // it was set for, as the server's own loops do.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, timeout_ms, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}
