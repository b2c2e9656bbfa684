//! The desk where alerts come in: rows of `alert_inbox` become incidents.
//!
//! A batch of rows is claimed in one short transaction, read with none open, and carried out in another, which marks
//! the rows as well: so each alert counts once, whenever the process dies. The claim counts the try. A row that was
//! tried before is tried by itself, since it may be what ended the process; after three tries it is given up, and an
//! incident of its own says so. What is in the way for a moment, such as a lock, is nobody's fault: the row waits, and
//! so does whatever shares a fingerprint with it, because the order of an alert and its resolution matters.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use oncall_domain::alert::{Alert, unreadable};
use oncall_domain::intake::{self, Arrival, Unreadable};
use oncall_domain::redact::redact;

use super::reactor::Reactor;
use crate::backend::{self, transaction};
use crate::error::OncallError;
use crate::resolved;
use crate::settings;
use crate::store::inbox::{self, Claim, Claimed, Finished};
use crate::store::{self, rounds};

/// How soon what had to wait is tried again, at first; each further time it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest that it waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The most bytes of an error that are kept.
const MAX_ERROR: usize = 2000;

/// How many batches a sweep has at most. Rows that became visible behind its back have their turn in the next one.
const SWEEP: usize = 20;

/// Take in what comes, for ever.
pub async fn run(reactor: Reactor) {
    let mut pause = FIRST_PAUSE;
    let mut proven = false;
    while !reactor.leaving() {
        let left = sweep(&reactor, proven).await;
        proven = matches!(left, Left::Nothing);
        match left {
            Left::Nothing => {
                reactor.woken(settings::poll_interval()).await;
                pause = FIRST_PAUSE;
            }
            Left::More => {}
            Left::HeldUp => {
                reactor.waiting("what holds alerts up", reactor.sleep(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// What a sweep leaves in the inbox.
enum Left {
    Nothing,
    /// It ended before the inbox did.
    More,
    /// Something has to wait for something else.
    HeldUp,
}

/// Go through what waits. `proven` says that the last sweep got through.
///
/// Then nobody waits for the disk until a claim is on it: half of the time that an alert takes. What crashes the server
/// may take that one count along; the sweep after the restart has not got through yet, and its counts stay.
async fn sweep(reactor: &Reactor, proven: bool) -> Left {
    let mut sweep = Sweep::default();
    let mut after = 0;
    for _ in 0..SWEEP {
        match claim(after, proven) {
            Ok(Some(claim)) => {
                after = claim.last;
                sweep.is_held_up |= claim.passed_over > 0;
                sweep.take(claim.rows);
                if !claim.more {
                    return sweep.left();
                }
            }
            Ok(None) => return sweep.left(),
            Err(error) => {
                pgrx::warning!("pg_oncall: the inbox cannot be read now: {error}");
                return Left::HeldUp;
            }
        }
        let_others_work().await;
        if reactor.leaving() {
            break;
        }
    }
    Left::More
}

fn claim(after: i64, proven: bool) -> store::Result<Option<Claim>> {
    let synchronous = if proven { c"off" } else { c"on" };
    transaction(|| {
        // To the end of the transaction, not of the statement: it is the commit that waits or does not.
        backend::set_for_transaction(c"synchronous_commit", synchronous);
        inbox::claim(after)
    })
}

/// One turn for everything else that the process does.
async fn let_others_work() {
    let mut asked = false;
    poll_fn(|context| {
        if asked {
            return Poll::Ready(());
        }
        asked = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A row that was read.
struct Letter {
    row: Claimed,
    /// What it holds; the one alert that says that it cannot be read, where it cannot.
    alerts: Vec<Alert>,
    /// In that case, the state that it ends in, and why.
    trouble: Option<(&'static str, String)>,
}

impl Letter {
    fn open(row: Claimed, alerts: Result<Vec<Alert>, Unreadable>) -> Self {
        match alerts {
            Ok(alerts) => Self { row, alerts, trouble: None },
            Err(error) => {
                let why = format!("{error}. {}", error.hint());
                Self::unreadable(row, "malformed", &why)
            }
        }
    }

    fn unreadable(row: Claimed, state: &'static str, why: &str) -> Self {
        let why = redact(why).cut(MAX_ERROR).as_str().to_owned();
        let alert = unreadable(row.source.as_deref(), &row.received_by, &why);
        Self { row, alerts: vec![alert], trouble: Some((state, why)) }
    }

    fn shares(&self, fingerprints: &BTreeSet<String>) -> bool {
        self.alerts.iter().any(|alert| fingerprints.contains(&alert.fingerprint))
    }
}

/// One way through the inbox.
#[derive(Default)]
struct Sweep {
    /// Fingerprints of which something has to wait: what comes after it waits, too.
    held: BTreeSet<String>,
    /// Whether anything has to wait.
    is_held_up: bool,
}

impl Sweep {
    fn left(&self) -> Left {
        if self.is_held_up { Left::HeldUp } else { Left::Nothing }
    }

    fn take(&mut self, claimed: Vec<Claimed>) {
        let mut batch = Vec::new();
        for mut row in claimed {
            match row.payload.take() {
                Some(payload) if row.attempts == 1 => batch.push(Letter::open(row, intake::read(&payload))),
                payload => {
                    self.together(std::mem::take(&mut batch));
                    self.by_itself(row, payload);
                }
            }
        }
        self.together(batch);
    }

    /// All of them in one transaction; one by one if that fails, to find out whose fault it is.
    fn together(&mut self, letters: Vec<Letter>) {
        let (wait, letters): (Vec<Letter>, Vec<Letter>) =
            letters.into_iter().partition(|letter| !self.held.is_empty() && letter.shares(&self.held));
        wait.into_iter().for_each(|letter| self.hold(letter));
        if letters.len() > 1 && carry_out(&letters).is_err() {
            letters.into_iter().for_each(|letter| self.alone(letter));
        } else if letters.len() == 1 {
            letters.into_iter().for_each(|letter| self.alone(letter));
        }
    }

    /// A row that was tried before, or whose payload is large.
    fn by_itself(&mut self, row: Claimed, payload: Option<String>) {
        if row.attempts > inbox::ATTEMPTS {
            let why = row.error.clone().unwrap_or_else(|| "the worker that read it ended each time".to_owned());
            let why = format!("it was given up after {} tries: {why}", inbox::ATTEMPTS);
            return self.alone(Letter::unreadable(row, "given_up", &why));
        }
        let payload = match payload {
            Some(payload) => Ok(Ok(payload)),
            None => transaction(|| inbox::payload(row.id)),
        };
        match payload {
            Ok(Ok(payload)) => self.alone(Letter::open(row, intake::read(&payload))),
            Ok(Err(bytes)) => self.alone(Letter::open(row, Err(Unreadable::TooLarge(bytes)))),
            Err(error) => self.failed(row, &error),
        }
    }

    fn alone(&mut self, letter: Letter) {
        if letter.shares(&self.held) {
            return self.hold(letter);
        }
        if let Err(error) = carry_out(std::slice::from_ref(&letter)) {
            self.held.extend(letter.alerts.into_iter().map(|alert| alert.fingerprint));
            self.failed(letter.row, &error);
        }
    }

    fn hold(&mut self, letter: Letter) {
        self.held.extend(letter.alerts.into_iter().map(|alert| alert.fingerprint));
        self.put_back(&letter.row);
    }

    /// A try that came to nothing. It is written down, unless the row had nothing to do with it.
    fn failed(&mut self, row: Claimed, error: &OncallError) {
        self.is_held_up = true;
        if is_passing(error) {
            return self.put_back(&row);
        }
        pgrx::warning!("pg_oncall: alert {} of the inbox failed at try {}: {error}", row.id, row.attempts);
        // What the server said, without our words around it: these are about the alert.
        let said = if let OncallError::Sql(sql) = error { sql.message.clone() } else { error.to_string() };
        let why = redact(&said).cut(MAX_ERROR);
        if let Err(error) = transaction(|| inbox::record_failure(row.id, why.as_str())) {
            pgrx::warning!("pg_oncall: nor can that be written down: {error}");
        }
    }

    /// The try does not count. If not even that can be written, it counts: one of three, and the row still waits.
    fn put_back(&mut self, row: &Claimed) {
        self.is_held_up = true;
        if let Err(error) = transaction(|| inbox::put_back(row.id)) {
            pgrx::warning!("pg_oncall: alert {} of the inbox has to wait: {error}", row.id);
        }
    }
}

/// Let the alerts of these rows join, open and close incidents, and mark the rows: all of it, or nothing.
fn carry_out(letters: &[Letter]) -> store::Result<()> {
    let arrivals: Vec<Arrival<'_>> = letters
        .iter()
        .flat_map(|letter| letter.alerts.iter().map(|alert| Arrival { alert, at: letter.row.received_at }))
        .collect();
    let rounds = intake::plan(&arrivals);
    transaction(|| {
        // Somebody who triages the same alert at this moment may wait for a model, and everything here would wait along.
        backend::with_settings(&[(c"lock_timeout", c"50ms")], || {
            let window = settings::dedup_window_s();
            let fire = |firing: &_| rounds::fire(firing, window);
            let incidents = intake::carry_out(&rounds, arrivals.len(), fire, |over| {
                let closed = rounds::close(over)?;
                resolved::tell(&closed.values().cloned().collect::<Vec<_>>())?;
                Ok(closed)
            })?;
            let mut incidents = incidents.into_iter();
            let finished: Vec<Finished> = letters
                .iter()
                .map(|letter| finished(letter, incidents.by_ref().take(letter.alerts.len()).flatten()))
                .collect();
            inbox::finish(&finished)
        })
    })
}

fn finished(letter: &Letter, incidents: impl Iterator<Item = String>) -> Finished {
    let (state, error) = match &letter.trouble {
        None => ("done", None),
        Some((state, why)) => (*state, Some(why.clone())),
    };
    Finished { id: letter.row.id, state, error, incident_ids: each_once(incidents) }
}

fn each_once(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ids.filter(|id| seen.insert(id.clone())).collect()
}

/// Whether an error may be gone by itself after a while: another session was in the way, or the server lacked something.
fn is_passing(error: &OncallError) -> bool {
    match error {
        OncallError::Contended { .. } => true,
        OncallError::Sql(error) => {
            let state = error.sqlstate();
            ["25", "40", "53", "55", "57", "58"].contains(&&state[..2])
        }
        _ => false,
    }
}
