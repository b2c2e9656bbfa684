//! Mailboxes in shared memory: a command for an executor, and what came of it.
//!
//! No function, table or setting leads here, so SQL that an executor runs can neither read its orders nor forge its
//! outcome; and a mail outlives the process that posted it, so a new pump finds what the one before it had begun.
//!
//! A mail goes `Free → Filling → Posted → Running → Done` and back; `Died` stands in for `Done` when the executor's
//! process ended while its command ran. Whoever moves a mail out of a state by compare-and-swap owns the text in it.

use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pgrx::shmem::PGRXSharedMemory;
use pgrx::{PgAtomic, pg_guard, pg_sys};

use super::log_capture;

/// The mailboxes of a server; `oncall.max_executors` says how many of them a database may use at once.
const MAILBOXES_IN_ALL: usize = 64;
/// The most bytes of a command and of an outcome.
pub const ROOM: usize = 16 * 1024;
/// How long an outcome that nobody came for is kept.
const KEPT: Duration = Duration::from_secs(600);

const FREE: u8 = 0;
const FILLING: u8 = 1;
const POSTED: u8 = 2;
const RUNNING: u8 = 3;
const DONE: u8 = 4;
const DIED: u8 = 5;

// SAFETY: the name is this extension's own, and nothing else of it has the name.
static MAILBOXES: PgAtomic<Mailboxes> = unsafe { PgAtomic::new(c"pg_oncall mailboxes") };

struct Mailboxes {
    /// Counts the mails, so that a number that was kept never means a later mail in the same place.
    posted: AtomicU64,
    mails: [Mail; MAILBOXES_IN_ALL],
}

// SAFETY: atomics, and bytes that one process at a time owns by the protocol of the module's head.
unsafe impl PGRXSharedMemory for Mailboxes {}

struct Mail {
    state: AtomicU8,
    number: AtomicU64,
    database: AtomicU32,
    job: AtomicU64,
    role: AtomicU32,
    writes: AtomicBool,
    /// The longest that the command may take once it runs, in milliseconds.
    longest: AtomicU64,
    executor: AtomicI32,
    /// The latch of the process that waits, by its address.
    waiter: AtomicUsize,
    /// Nobody waits any more, and nobody will come for the outcome.
    abandoned: AtomicBool,
    /// When the state changed, in microseconds of the server's clock.
    changed: AtomicI64,
    length: AtomicUsize,
    text: UnsafeCell<[u8; ROOM]>,
}

impl Mail {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            number: AtomicU64::new(0),
            database: AtomicU32::new(0),
            job: AtomicU64::new(0),
            role: AtomicU32::new(0),
            writes: AtomicBool::new(false),
            longest: AtomicU64::new(0),
            executor: AtomicI32::new(0),
            waiter: AtomicUsize::new(0),
            abandoned: AtomicBool::new(false),
            changed: AtomicI64::new(0),
            length: AtomicUsize::new(0),
            text: UnsafeCell::new([0; ROOM]),
        }
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::SeqCst)
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        let moved = self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if moved {
            self.changed.store(now(), Ordering::SeqCst);
        }
        moved
    }

    /// How long ago the state changed.
    fn age(&self) -> Duration {
        Duration::from_micros(u64::try_from(now() - self.changed.load(Ordering::SeqCst)).unwrap_or(0))
    }

    /// Replace the text, by the one who owns it now; cut to the room there is.
    fn write(&self, text: &[u8]) {
        let length = text.len().min(ROOM);
        // SAFETY: the caller has moved the mail into a state in which nobody else touches the text.
        unsafe { (&mut *self.text.get())[..length].copy_from_slice(&text[..length]) };
        self.length.store(length, Ordering::SeqCst);
    }

    /// A copy of the text, for the one who owns it now.
    fn read(&self) -> Vec<u8> {
        let length = self.length.load(Ordering::SeqCst).min(ROOM);
        // SAFETY: the caller has moved the mail into a state in which nobody else touches the text.
        unsafe { (&*self.text.get())[..length].to_vec() }
    }

    /// The command has ended: leave what came of it, and wake who waits.
    fn end(&self, state: u8, text: &[u8]) {
        self.write(text);
        self.changed.store(now(), Ordering::SeqCst);
        self.executor.store(0, Ordering::SeqCst);
        self.state.store(state, Ordering::SeqCst);
        if self.abandoned.load(Ordering::SeqCst) {
            self.moves(state, FREE);
        }
        wake(self.waiter.load(Ordering::SeqCst));
    }
}

/// Ask for the shared memory; called while the library is preloaded.
#[allow(unexpected_cfgs, reason = "the macro knows releases that this extension does not")]
pub fn request() {
    pgrx::pg_shmem_init!(
        MAILBOXES = Mailboxes { posted: AtomicU64::new(0), mails: [const { Mail::new() }; MAILBOXES_IN_ALL] }
    );
}

/// What is posted: a command, and who is to run it.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The database that it runs in.
    pub database: u32,
    /// By what it is found again.
    pub job: u64,
    /// The OID of the role that the executor logs in as.
    pub role: u32,
    /// Whether the command may change something.
    pub writes: bool,
    /// The longest that it may take once it runs.
    pub longest: Duration,
    /// The command, as its two ends agree on it.
    pub text: &'a [u8],
}

/// A mail that was posted: where it lies, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    place: usize,
    number: u64,
}

/// How far a mail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No executor has taken it, for so long.
    Posted(Duration),
    /// An executor is at it, for so long.
    Running(Duration),
    /// It has ended: [`take`] gives what came of it.
    Ended,
    /// It is no more: somebody took it, or nobody came for it in time.
    Gone,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It ended by itself; the outcome, as its two ends agree on it.
    Done(Vec<u8>),
    /// The executor's process ended before it began; the server's last word about it.
    NeverBegan(String),
    /// The executor's process ended while the command ran; the server's last word about it.
    Died(String),
}

/// Post a command, unless `most` of the database are at work already, or every mailbox is taken.
pub fn post(order: Order<'_>, most: usize) -> Option<Ticket> {
    let boxes = MAILBOXES.get();
    let slots = &boxes.mails;
    if at_work(order.database) >= most {
        return None;
    }
    let place = slots.iter().position(|mail| mail.moves(FREE, FILLING)).or_else(|| {
        let forgotten = |state| move |mail: &Mail| mail.age() > KEPT && mail.moves(state, FILLING);
        slots.iter().position(forgotten(DONE)).or_else(|| slots.iter().position(forgotten(DIED)))
    })?;
    let mail = &slots[place];
    let number = boxes.posted.fetch_add(1, Ordering::SeqCst) + 1;
    mail.number.store(number, Ordering::SeqCst);
    mail.database.store(order.database, Ordering::SeqCst);
    mail.job.store(order.job, Ordering::SeqCst);
    mail.role.store(order.role, Ordering::SeqCst);
    mail.writes.store(order.writes, Ordering::SeqCst);
    mail.longest.store(u64::try_from(order.longest.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    mail.executor.store(0, Ordering::SeqCst);
    mail.waiter.store(my_latch(), Ordering::SeqCst);
    mail.abandoned.store(false, Ordering::SeqCst);
    mail.write(order.text);
    mail.moves(FILLING, POSTED);
    Some(Ticket { place, number })
}

/// The mail of this job in this database, which another process may have posted. From now on this process is woken.
pub fn adopt(database: u32, job: u64) -> Option<Ticket> {
    let place = MAILBOXES.get().mails.iter().position(|mail| {
        ![FREE, FILLING].contains(&mail.state())
            && mail.database.load(Ordering::SeqCst) == database
            && mail.job.load(Ordering::SeqCst) == job
    })?;
    let mail = &MAILBOXES.get().mails[place];
    mail.waiter.store(my_latch(), Ordering::SeqCst);
    let ticket = Ticket { place, number: mail.number.load(Ordering::SeqCst) };
    // It may have been taken and used anew meanwhile: then its job is another one.
    (mail.job.load(Ordering::SeqCst) == job).then_some(ticket)
}

/// How many commands of a database are at work.
fn at_work(database: u32) -> usize {
    let at_work =
        |mail: &&Mail| [POSTED, RUNNING].contains(&mail.state()) && mail.database.load(Ordering::SeqCst) == database;
    MAILBOXES.get().mails.iter().filter(at_work).count()
}

impl Ticket {
    /// As the one argument of a worker's main function.
    pub fn to_argument(self) -> usize {
        (self.number as usize) << 8 | self.place
    }

    fn from_argument(argument: usize) -> Self {
        Self { place: argument & 0xff, number: (argument >> 8) as u64 }
    }

    fn mail(self) -> Option<&'static Mail> {
        let mail = MAILBOXES.get().mails.get(self.place)?;
        (mail.number.load(Ordering::SeqCst) == self.number).then_some(mail)
    }

    /// Whether the command may change something, and the longest that it may take once it runs.
    pub fn terms(self) -> (bool, Duration) {
        let Some(mail) = self.mail() else { return (true, Duration::ZERO) };
        (mail.writes.load(Ordering::SeqCst), Duration::from_millis(mail.longest.load(Ordering::SeqCst)))
    }

    /// How far it is.
    pub fn progress(self) -> Progress {
        let Some(mail) = self.mail() else { return Progress::Gone };
        match mail.state() {
            POSTED => Progress::Posted(mail.age()),
            RUNNING => Progress::Running(mail.age()),
            DONE | DIED => Progress::Ended,
            // Somebody is about to take the outcome, and will have it in a moment.
            FILLING => Progress::Running(Duration::ZERO),
            _ => Progress::Gone,
        }
    }

    /// Take what came of it, once; the mailbox is free then.
    pub fn take(self) -> Option<Ending> {
        let mail = self.mail()?;
        let done = mail.moves(DONE, FILLING);
        if !done && !mail.moves(DIED, FILLING) {
            return None;
        }
        let text = mail.read();
        mail.moves(FILLING, FREE);
        Some(match (done, text.split_first()) {
            (true, _) => Ending::Done(text),
            (false, Some((&BEFORE, words))) => Ending::NeverBegan(String::from_utf8_lossy(words).into_owned()),
            (false, words) => {
                Ending::Died(words.map_or_else(String::new, |(_, words)| String::from_utf8_lossy(words).into_owned()))
            }
        })
    }

    /// Take it back before an executor begins; false when one has begun. One that comes up later finds nothing to do.
    pub fn withdraw(self) -> bool {
        self.mail().is_some_and(|mail| mail.moves(POSTED, FREE))
    }

    /// Nobody waits for it any more: whatever comes of it is dropped, and the executor is asked to stop.
    ///
    /// For what only reads. What writes must never be abandoned: its outcome would be lost.
    pub fn abandon(self) {
        let Some(mail) = self.mail() else { return };
        if mail.moves(POSTED, FREE) {
            return;
        }
        mail.abandoned.store(true, Ordering::SeqCst);
        let executor = mail.executor.load(Ordering::SeqCst);
        if executor > 0 {
            // SAFETY: a signal to the process that wrote its own id here and takes it out again before it ends.
            unsafe { libc::kill(executor, libc::SIGTERM) };
        }
        let _ = mail.moves(DONE, FREE) || mail.moves(DIED, FREE);
    }
}

/// The executor's side of a mail.
#[derive(Debug)]
pub struct Letter(Ticket);

impl Letter {
    /// The mail for this process, by the argument of its main function; `None` when it was withdrawn.
    ///
    /// However the process ends from here on, the mail says so.
    pub fn open(argument: usize) -> Option<Self> {
        let ticket = Ticket::from_argument(argument);
        let mail = ticket.mail().filter(|mail| mail.state() == POSTED)?;
        // SAFETY: plain values of this process.
        mail.executor.store(unsafe { pg_sys::MyProcPid }, Ordering::SeqCst);
        // SAFETY: the callback takes a number and touches shared memory only, which is there until after it has run.
        unsafe { pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(argument)) };
        Some(Self(ticket))
    }

    /// The database and the role to log in with.
    pub fn address(&self) -> Option<(u32, u32)> {
        let mail = self.0.mail()?;
        Some((mail.database.load(Ordering::SeqCst), mail.role.load(Ordering::SeqCst)))
    }

    /// Begin: from here on the command may have done something. `None` when it was withdrawn.
    pub fn begin(&self) -> Option<Vec<u8>> {
        let mail = self.0.mail()?;
        mail.moves(POSTED, RUNNING).then(|| mail.read())
    }

    /// Leave what came of it.
    pub fn answer(self, outcome: &[u8]) {
        if let Some(mail) = self.0.mail().filter(|mail| mail.state() == RUNNING) {
            mail.end(DONE, outcome);
        }
    }
}

/// The first byte of a last word: whether the command had begun.
const BEFORE: u8 = b'-';
const DURING: u8 = b'!';

/// The end of an executor: what it has not answered it will not answer any more.
#[pg_guard]
// SAFETY: the server calls it once, at the end of the process, with the number that was registered.
unsafe extern "C-unwind" fn on_exit(_code: c_int, argument: pg_sys::Datum) {
    let Some(mail) = Ticket::from_argument(argument.value()).mail() else { return };
    let begun = match mail.state() {
        RUNNING => DURING,
        POSTED if mail.moves(POSTED, RUNNING) => BEFORE,
        _ => return,
    };
    let mut word = vec![begun];
    word.extend_from_slice(log_capture::last_word().as_bytes());
    mail.end(DIED, &word);
}

fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

fn my_latch() -> usize {
    // SAFETY: a plain pointer of this process; it points at its latch in shared memory once it is attached.
    unsafe { pg_sys::MyLatch as usize }
}

fn wake(latch: usize) {
    if latch != 0 {
        // SAFETY: the address of a latch in shared memory, which is valid for as long as the server runs: a stale one
        // costs a spurious wake-up. To set one takes no lock and raises nothing.
        unsafe { pg_sys::SetLatch(latch as *mut pg_sys::Latch) };
    }
}
