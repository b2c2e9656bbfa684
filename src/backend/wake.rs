//! A file descriptor by which another thread wakes this process, and the wait for it.

use std::cell::Cell;
use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task;
use std::time::{Duration, Instant};

use pgrx::pg_sys;

/// What a helper thread pokes when it is done: an eventfd, for a thread may call nothing of Postgres.
#[derive(Debug)]
pub struct Wake {
    fd: OwnedFd,
    /// Its own for as long as the process lives, which the number of a descriptor is not.
    id: u64,
}

impl Wake {
    /// A new one, not yet poked.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd(2) takes no pointers; a negative answer is checked before the descriptor is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // SAFETY: the descriptor was opened just now and nobody else knows it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, id: COUNT.fetch_add(1, Ordering::Relaxed) })
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
        self.fd.as_raw_fd()
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
    // Rounded up: to wake before a timer is due would be to wake twice.
    let timeout_ms = c_long::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(c_long::MAX);
    let timeout_ms = timeout_ms.min(c_long::from(i32::MAX));
    // SAFETY: plain data, which the server fills in for as many events as it says.
    let mut met: [pg_sys::WaitEvent; EVENTS] = unsafe { std::mem::zeroed() };
    // SAFETY: on the main thread; the set is alive until another one takes its place, and `met` has room for all its events.
    let count = unsafe {
        let set = wait_set(wake);
        pg_sys::WaitEventSetWait(set, timeout_ms, met.as_mut_ptr(), EVENTS as c_int, pg_sys::PG_WAIT_EXTENSION)
    };
    let of_kind = |kind: u32| met.iter().take(count.unsigned_abs() as usize).any(|event| event.events & kind != 0);
    let (poked, latch) = (of_kind(pg_sys::WL_SOCKET_READABLE), of_kind(pg_sys::WL_LATCH_SET));
    if poked {
        wake.drain();
    }
    if latch {
        // SAFETY: the latch is reset before the caller looks at what it was set for, as the server's own loops do.
        unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
    }
    Met { poked, latch }
}

/// What is waited for: the latch, the end of the postmaster, the poke.
const EVENTS: usize = 3;

thread_local! {
    // A process waits on its main thread: this is what it waited with last, and for which wake.
    static KEPT: Cell<Option<(u64, *mut pg_sys::WaitEventSet)>> = const { Cell::new(None) };
}

/// What to wait for `wake` with. Kept, since to make one takes five calls of the kernel.
// SAFETY: for callers, on the main thread of a process that has its latch.
unsafe fn wait_set(wake: &Wake) -> *mut pg_sys::WaitEventSet {
    if let Some((id, set)) = KEPT.get() {
        if id == wake.id {
            return set;
        }
        KEPT.set(None);
        // SAFETY: made below, and nobody waits with it. The descriptor in it may be closed already: the kernel has forgotten it.
        unsafe { pg_sys::FreeWaitEventSet(set) };
    }
    // SAFETY: a set that outlives the transaction and has room for what is added: the process' own latch, the postmaster, and
    // the descriptor, which is open for as long as `wake` is there.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        let set = pg_sys::CreateWaitEventSet(pg_sys::TopMemoryContext, EVENTS as c_int);
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        let set = pg_sys::CreateWaitEventSet(ptr::null_mut(), EVENTS as c_int);
        let none = ptr::null_mut();
        pg_sys::AddWaitEventToSet(set, pg_sys::WL_LATCH_SET, pg_sys::PGINVALID_SOCKET, pg_sys::MyLatch, none);
        pg_sys::AddWaitEventToSet(set, pg_sys::WL_EXIT_ON_PM_DEATH, pg_sys::PGINVALID_SOCKET, ptr::null_mut(), none);
        pg_sys::AddWaitEventToSet(set, pg_sys::WL_SOCKET_READABLE, wake.fd(), ptr::null_mut(), none);
        KEPT.set(Some((wake.id, set)));
        set
    }
}

/// Sleep until the latch of this process is set or `timeout` has passed. A cancel, a statement timeout or a shutdown
/// raises from here.
pub fn nap(timeout: Duration) {
    pgrx::check_for_interrupts!();
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let timeout_ms = c_long::try_from(timeout.as_millis()).unwrap_or(1000);
    // SAFETY: a wait at the process' own latch, on its main thread; the latch is reset before the caller looks at what
    // it was set for, as the server's own loops do.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, timeout_ms, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}
