//! Executors: processes that log in as a role with few rights, run one command and leave its outcome in a mailbox.
//!
//! This is the end of those who post a command and wait: the pump, and a session that asks for a diagnostic. The other
//! end, in the process itself, is [`process`]. What crosses between them is a [`Command`] and a [`ToolOutcome`], as JSON.

mod process;
mod remedy;

use std::ffi::CStr;
use std::time::{Duration, Instant};

use futures::future::select;
use oncall_domain::host::ToolOutcome;
use serde::{Deserialize, Serialize};

use super::reactor::Reactor;
use crate::backend::executor::{Process, database, role_oid};
use crate::backend::mailbox::{self, Ending, Order, Progress, Ticket};
use crate::backend::{SqlError, nap, transaction};
use crate::settings;

/// How long a command may wait for a place among the executors, and for a worker slot of the server.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often somebody who waits looks without being woken.
const GLANCE: Duration = Duration::from_millis(500);
/// How long a process may take from its start to its login: a busy server forks slowly.
const START: Duration = Duration::from_secs(30);
/// How much longer than its own limits a command may take before nobody waits for it any more.
const GRACE: Duration = Duration::from_secs(30);

/// The least time that an executor has for cleaning up.
const CLEANING: Duration = Duration::from_secs(60);

/// One command, and its limits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Command {
    /// By what its outcome is found again after the pump's end: a hash of incident, agent and step number.
    pub job: u64,
    /// Whether it acts, as `oncall_executor` at top level, or looks, as `oncall_observer` and read-only.
    pub writes: bool,
    /// One statement.
    pub sql: String,
    /// How long it may take.
    pub statement_timeout: Duration,
    /// How long it may wait for any one lock; not for what is done CONCURRENTLY, and VACUUM: while these wait they stand
    /// in nobody's way, and they wait for every transaction that is older.
    pub lock_timeout: Duration,
    /// How many rows of its answer are wanted.
    pub max_rows: u32,
}

impl Command {
    fn role(&self) -> &'static CStr {
        if self.writes { c"oncall_executor" } else { c"oncall_observer" }
    }

    /// As it is posted: its text, and the OID of its role, which takes a look into the catalogue.
    fn posting(&self, role: Option<u32>) -> Result<Posting<'_>, ToolOutcome> {
        let Some(role) = role else {
            let name = self.role().to_string_lossy();
            let hint = format!("Role {name} came with the extension: make it again, and grant it what it had.");
            return Err(failed("42704", format!("role {name} does not exist"), Some(hint)));
        };
        let text = serde_json::to_vec(self).unwrap_or_default();
        if text.len() > mailbox::ROOM {
            let message = format!("the command has {} bytes; an executor takes {}", self.sql.len(), mailbox::ROOM);
            return Err(failed("54000", message, Some("Put it into a function, and SELECT that.".to_owned())));
        }
        Ok(Posting { command: self, role, text })
    }
}

/// Run a command in an executor. No transaction is open while it is waited for.
///
/// What `begun` gives is kept while the executor is at work. A future that is dropped leaves the executor at work: what it
/// does is found again by [`adopt`].
pub async fn run<G>(reactor: &Reactor, command: Command, begun: impl FnOnce() -> G) -> ToolOutcome {
    let role = transaction(|| Ok::<_, SqlError>(role_oid(command.role())));
    let posting = match role.map_err(failure).and_then(|role| command.posting(role)) {
        Ok(posting) => posting,
        Err(outcome) => return outcome,
    };
    let began = Instant::now();
    let mail = loop {
        match posting.post() {
            Some(mail) => break mail,
            None if began.elapsed() > PATIENCE => return no_place(),
            None => reactor.waiting("a worker slot", glance(reactor)).await,
        }
    };
    let _while_it_works = begun();
    reactor.waiting("an executor", outcome(reactor, &mail)).await
}

/// Take the outcome of a job that was begun before, by this pump or by one before it; `None` when there is no such job.
pub async fn adopt(reactor: &Reactor, job: u64) -> Option<ToolOutcome> {
    let mail = Mail::of(mailbox::adopt(database(), job)?, None);
    Some(reactor.waiting("an executor", outcome(reactor, &mail)).await)
}

/// The same for a command that only looks, in the session of somebody who waits, with the transaction that he is in.
///
/// When the wait is interrupted the executor is sent away.
pub fn look(command: &Command) -> ToolOutcome {
    let posting = match command.posting(role_oid(command.role())) {
        Ok(posting) => posting,
        Err(outcome) => return outcome,
    };
    let began = Instant::now();
    loop {
        if let Some(mail) = posting.post() {
            let mail = AbandonOnDrop(mail);
            loop {
                if let Some(outcome) = mail.0.outcome() {
                    return outcome;
                }
                nap(GLANCE);
            }
        }
        if began.elapsed() > PATIENCE {
            return no_place();
        }
        nap(GLANCE);
    }
}

async fn outcome(reactor: &Reactor, mail: &Mail) -> ToolOutcome {
    loop {
        if let Some(outcome) = mail.outcome() {
            return outcome;
        }
        glance(reactor).await;
    }
}

/// Wait until a worker ends, or for a little while.
async fn glance(reactor: &Reactor) {
    select(std::pin::pin!(reactor.worker_ended()), std::pin::pin!(reactor.sleep(GLANCE))).await;
}

/// How long an executor may take to remove what a command with this limit left behind.
fn cleaning_time(limit: Duration) -> Duration {
    limit.max(CLEANING)
}

/// What is posted, as long as no place is free for it.
struct Posting<'a> {
    command: &'a Command,
    role: u32,
    text: Vec<u8>,
}

impl Posting<'_> {
    /// Post it and start its process; `None` while there is no place for it.
    fn post(&self) -> Option<Mail> {
        let order = Order {
            database: database(),
            job: self.command.job,
            role: self.role,
            writes: self.command.writes,
            longest: self.command.statement_timeout + cleaning_time(self.command.statement_timeout) + GRACE,
            text: &self.text,
        };
        let ticket = mailbox::post(order, settings::max_executors())?;
        match Process::start(ticket) {
            Some(process) => Some(Mail::of(ticket, Some(process))),
            None => {
                ticket.withdraw();
                None
            }
        }
    }
}

/// A mail that is waited for.
struct Mail {
    ticket: Ticket,
    /// Its process, where this one started it.
    process: Option<Process>,
    writes: bool,
    longest: Duration,
}

impl Mail {
    fn of(ticket: Ticket, process: Option<Process>) -> Self {
        let (writes, longest) = ticket.terms();
        Self { ticket, process, writes, longest }
    }

    /// What came of it, as soon as that is known, or as soon as it is known that it will not be.
    fn outcome(&self) -> Option<ToolOutcome> {
        match self.ticket.progress() {
            Progress::Ended => Some(self.read(self.ticket.take()?)),
            Progress::Posted(age) => {
                let lost = age > START || self.process.as_ref().is_some_and(Process::has_ended);
                // One that was late and has begun just now is not lost.
                (lost && self.ticket.withdraw()).then(|| {
                    let hint = "The server's log says why: it may be out of processes or of memory.";
                    failed("53000", "the executor's process did not come up".to_owned(), Some(hint.to_owned()))
                })
            }
            Progress::Running(age) if age > self.longest => Some(ToolOutcome::Unknown {
                reason: format!("the executor has not ended after {} s, and goes on", age.as_secs()),
            }),
            Progress::Running(_) => None,
            Progress::Gone => Some(ToolOutcome::Unknown { reason: "its outcome is no more in its mailbox".to_owned() }),
        }
    }

    fn read(&self, ending: Ending) -> ToolOutcome {
        let role = if self.writes { "oncall_executor" } else { "oncall_observer" };
        match ending {
            Ending::Done(text) => serde_json::from_slice(&text).unwrap_or_else(|error| ToolOutcome::Unknown {
                reason: format!("its outcome cannot be read: {error}"),
            }),
            Ending::NeverBegan(word) => {
                let hint = word.contains("not permitted to log in").then(|| {
                    format!("To let workers in and keep clients out: ALTER ROLE {role} LOGIN CONNECTION LIMIT 0")
                });
                failed("28000", format!("an executor could not log in as {role}: {}", said(&word)), hint)
            }
            Ending::Died(word) if self.writes => {
                ToolOutcome::Unknown { reason: format!("the executor ended while the command ran: {}", said(&word)) }
            }
            // What only looks has changed nothing, wherever it ended.
            Ending::Died(word) => {
                failed("57P01", format!("the executor ended while the query ran: {}", said(&word)), None)
            }
        }
    }
}

/// A mail that only reads: whoever stops to wait for it sends its executor away.
struct AbandonOnDrop(Mail);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.ticket.abandon();
    }
}

fn said(word: &str) -> &str {
    if word.is_empty() { "the server's log says why" } else { word }
}

fn failed(sqlstate: &str, message: String, hint: Option<String>) -> ToolOutcome {
    ToolOutcome::Failed { sqlstate: sqlstate.to_owned(), message, detail: None, hint }
}

fn failure(error: SqlError) -> ToolOutcome {
    ToolOutcome::Failed { sqlstate: error.sqlstate(), message: error.message, detail: error.detail, hint: error.hint }
}

fn no_place() -> ToolOutcome {
    let message = format!("no place among the executors became free in {} s", PATIENCE.as_secs());
    let hint = "Raise oncall.max_executors, or max_worker_processes above max_parallel_workers.";
    failed("53400", message, Some(hint.to_owned()))
}
