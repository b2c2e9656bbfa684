//! What the processes share: a slot for each database that has a pump, and how to wake who must know.
//!
//! A process is woken by its latch, whose address lies here. Latches live in the server's own shared memory, at the same
//! address in every process, and are never freed: a stale address costs one spurious wake-up and nothing else. So nobody
//! takes a lock to wake somebody, and a commit callback, which must not fail, may do it.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use pgrx::shmem::PGRXSharedMemory;
use pgrx::{PgAtomic, pg_guard, pg_sys};

use super::process;

/// The most databases with a pump; each needs a worker process, of which servers rarely have that many.
const SLOTS: usize = 128;
/// The most databases that can have asked for a pump since the launcher last looked; with more it looks at all of them.
const CALLS: usize = 64;

// SAFETY: the name is this extension's own, and nothing else of it has the name.
static SHARED: PgAtomic<Shared> = unsafe { PgAtomic::new(c"pg_oncall") };

struct Shared {
    launcher: Process,
    calls: [AtomicU32; CALLS],
    look_everywhere: AtomicBool,
    slots: [Slot; SLOTS],
}

// SAFETY: atomics only, valid in any process that maps them.
unsafe impl PGRXSharedMemory for Shared {}

struct Slot {
    /// The database's OID; 0 while the slot is free. Only the launcher takes and frees slots.
    database: AtomicU32,
    pump: Process,
    /// Something was committed that the pump has not looked at. While it is set nobody needs to wake the pump again.
    dirty: AtomicBool,
    /// The pump is to go: somebody drops, renames or copies its database.
    leave: AtomicBool,
    farewell: AtomicU8,
}

impl Slot {
    fn bid(&self, farewell: Farewell) {
        let word = Farewell::ALL.iter().position(|&known| known == farewell).unwrap_or_default();
        self.farewell.store(word as u8, Ordering::SeqCst);
    }
}

/// A process that can be woken.
struct Process {
    pid: AtomicI32,
    latch: AtomicUsize,
}

impl Process {
    const fn none() -> Self {
        Self { pid: AtomicI32::new(0), latch: AtomicUsize::new(0) }
    }

    fn be_me(&self) {
        // SAFETY: plain values of this process; MyLatch points at its latch in shared memory once it is attached.
        let (pid, latch) = unsafe { (pg_sys::MyProcPid, pg_sys::MyLatch) };
        self.latch.store(latch as usize, Ordering::SeqCst);
        self.pid.store(pid, Ordering::SeqCst);
    }

    fn be_gone(&self) {
        self.pid.store(0, Ordering::SeqCst);
        self.latch.store(0, Ordering::SeqCst);
    }

    fn wake(&self) {
        let latch = self.latch.load(Ordering::SeqCst) as *mut pg_sys::Latch;
        if !latch.is_null() {
            // SAFETY: the address of a latch in shared memory, which is valid for as long as the server runs. To set
            // one takes no lock and raises nothing.
            unsafe { pg_sys::SetLatch(latch) };
        }
    }
}

/// Why a pump ended, by its own last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// None: it was terminated, or an error ended it.
    None,
    /// The extension is not, or no longer, in its database.
    NoExtension,
    /// It was sent away: somebody needs the database to himself.
    SentAway,
    /// Another reason to begin anew at once: the extension is another one, the settings say so.
    Restart,
}

impl Farewell {
    const ALL: [Self; 4] = [Self::None, Self::NoExtension, Self::SentAway, Self::Restart];
}

/// Whether there is any shared memory: `pg_upgrade`'s server takes the library without it. Every other process inherits
/// this from the postmaster.
static THERE: AtomicBool = AtomicBool::new(false);

/// Whether there are processes to be woken. To be asked before a commit: after it, a failure would end the server.
pub fn is_there() -> bool {
    THERE.load(Ordering::Relaxed)
}

/// Ask for the shared memory; called while the library is preloaded.
#[allow(unexpected_cfgs, reason = "the macro knows releases that this extension does not")]
pub fn request() {
    THERE.store(true, Ordering::Relaxed);
    pgrx::pg_shmem_init!(
        SHARED = Shared {
            launcher: Process::none(),
            calls: [const { AtomicU32::new(0) }; CALLS],
            look_everywhere: AtomicBool::new(false),
            slots: [const {
                Slot {
                    database: AtomicU32::new(0),
                    pump: Process::none(),
                    dirty: AtomicBool::new(false),
                    leave: AtomicBool::new(false),
                    farewell: AtomicU8::new(0),
                }
            }; SLOTS],
        }
    );
}

fn slot(database: u32) -> Option<&'static Slot> {
    SHARED.get().slots.iter().find(|slot| slot.database.load(Ordering::SeqCst) == database)
}

/// Wake the pump of a database, if it has one. Many calls cost it one look.
pub fn wake_pump(database: u32) {
    if let Some(slot) = slot(database)
        && !slot.dirty.swap(true, Ordering::SeqCst)
    {
        slot.pump.wake();
    }
}

/// Send the pump of a database away, for as long as somebody needs the database to himself.
pub fn send_away(database: u32) {
    if let Some(slot) = slot(database) {
        slot.leave.store(true, Ordering::SeqCst);
        slot.pump.wake();
    }
}

/// Ask the launcher to see whether this database needs a pump.
pub fn call_launcher(database: u32) {
    let shared = SHARED.get();
    let free = |call: &AtomicU32| {
        let held = call.compare_exchange(0, database, Ordering::SeqCst, Ordering::SeqCst);
        held.is_ok_and(|_| true) || held == Err(database)
    };
    if !shared.calls.iter().any(free) {
        shared.look_everywhere.store(true, Ordering::SeqCst);
    }
    shared.launcher.wake();
}

/// Ask the launcher to look at every database anew: one was made, renamed or changed.
pub fn call_launcher_everywhere() {
    let shared = SHARED.get();
    shared.look_everywhere.store(true, Ordering::SeqCst);
    shared.launcher.wake();
}

/// The launcher's side.
pub struct LauncherPost(());

impl LauncherPost {
    /// This process is the launcher from now on.
    pub fn take() -> Self {
        // What was asked of a launcher that is gone is answered by the look at every database with which one begins.
        SHARED.get().launcher.be_me();
        Self(())
    }

    /// The databases that were named since the last look, and whether all are to be looked at.
    pub fn calls(&self) -> (Vec<u32>, bool) {
        let shared = SHARED.get();
        let named = shared.calls.iter().map(|call| call.swap(0, Ordering::SeqCst)).filter(|&database| database != 0);
        (named.collect(), shared.look_everywhere.swap(false, Ordering::SeqCst))
    }

    /// A slot for the pump that is about to be started; false when none is free.
    pub fn reserve(&self, database: u32) -> bool {
        let Some(slot) = slot(database).or_else(|| slot(0)) else { return false };
        slot.leave.store(false, Ordering::SeqCst);
        slot.farewell.store(0, Ordering::SeqCst);
        slot.database.store(database, Ordering::SeqCst);
        true
    }

    /// Whether a pump runs in this database, and if not, its last word.
    pub fn is_running(&self, database: u32) -> bool {
        slot(database).is_some_and(|slot| slot.pump.pid.load(Ordering::SeqCst) != 0)
    }

    /// The last word of the pump of this database.
    pub fn farewell(&self, database: u32) -> Farewell {
        let word = slot(database).map_or(0, |slot| slot.farewell.load(Ordering::SeqCst));
        Farewell::ALL.get(usize::from(word)).copied().unwrap_or(Farewell::None)
    }

    /// No pump is wanted in this database: its slot is free again.
    pub fn release(&self, database: u32) {
        if let Some(slot) = slot(database) {
            slot.database.store(0, Ordering::SeqCst);
        }
    }

    /// The databases in which pumps of an earlier launcher run.
    pub fn running(&self) -> Vec<u32> {
        let runs = |slot: &&Slot| slot.pump.pid.load(Ordering::SeqCst) != 0;
        SHARED.get().slots.iter().filter(runs).map(|slot| slot.database.load(Ordering::SeqCst)).collect()
    }
}

/// A pump's side: its slot, given back when the process ends, however it ends.
pub struct PumpPost(&'static Slot);

impl PumpPost {
    /// Take the slot that the launcher reserved. The caller holds the database's lock, so no other pump can have it.
    pub fn take(database: u32) -> Option<Self> {
        let shared = SHARED.get();
        let place = shared.slots.iter().position(|slot| slot.database.load(Ordering::SeqCst) == database)?;
        let slot = &shared.slots[place];
        slot.pump.be_me();
        // SAFETY: the callback takes a number and touches shared memory only, which is there until after it has run.
        unsafe { pg_sys::before_shmem_exit(Some(give_back), pg_sys::Datum::from(place)) };
        // Who could not wake a pump that was not there yet has left the mark all the same; the desks look at first anyway.
        slot.dirty.store(false, Ordering::SeqCst);
        Some(Self(slot))
    }

    /// Whether something was committed that concerns the pump, since the last time it asked.
    pub fn take_dirty(&self) -> bool {
        self.0.dirty.swap(false, Ordering::SeqCst)
    }

    /// Whether something was committed, without taking it: while this holds, nobody wakes the pump again.
    pub fn is_dirty(&self) -> bool {
        self.0.dirty.load(Ordering::SeqCst)
    }

    /// Whether the pump was sent away.
    pub fn must_leave(&self) -> bool {
        self.0.leave.load(Ordering::SeqCst)
    }

    /// Leave the last word for the launcher.
    pub fn bid(&self, farewell: Farewell) {
        self.0.bid(farewell);
    }
}

/// Leave the last word of the pump that this process is.
pub fn bid(farewell: Farewell) {
    if let Some(slot) = slot(process::my_database()) {
        slot.bid(farewell);
    }
}

/// The end of a pump: nobody wakes it any more, and the launcher hears of it.
// SAFETY: the server calls it once, at the end of the process, with the number that was registered.
#[pg_guard]
unsafe extern "C-unwind" fn give_back(_code: c_int, place: pg_sys::Datum) {
    let shared = SHARED.get();
    if let Some(slot) = shared.slots.get(place.value()) {
        slot.pump.be_gone();
        // Not a call: what it found in its database stands.
        shared.launcher.wake();
    }
}
