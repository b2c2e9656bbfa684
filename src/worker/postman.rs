//! The desk at which pages leave: it takes what is due from the outbox, sends it, and writes down what came of it.
//!
//! The pump is the only one that takes from a database's outbox, so what is on its way is known in its memory and stands
//! nowhere else: after a crash it is due again, with the same idempotency key. No transaction is open while a request
//! is on its way. Each sink has threads of its own, and few, so that a slow or dead one holds up neither another sink
//! nor a model call.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::{Either, FutureExt, LocalBoxFuture, select};
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use oncall_domain::delivery::schedule::{self, LONGEST_RETRY_AFTER, MOST_ATTEMPTS};
use oncall_domain::delivery::{Envelope, SecretIs, render};
use oncall_model::{Letter, Sent, Webhooks};
use serde_json::{Value, json};

use super::pool::Pool;
use super::reactor::Reactor;
use crate::backend;
use crate::settings;
use crate::sinks::{self, Surroundings};
use crate::store;
use crate::store::deliveries::{self, Claimed, Due, Outcome};

/// The most requests on their way to one sink.
const AT_ONCE: usize = 8;
/// How often it is looked for pages to give up.
const EXPIRY: Duration = Duration::from_secs(60);
/// The longest time without a look at the outbox: a row may have been changed by hand.
const LOOK: Duration = Duration::from_secs(30);
/// The pause after the database refused, for a lock perhaps.
const REFUSED: Duration = Duration::from_millis(200);

/// The loop of the desk.
pub async fn run(reactor: Reactor) {
    let mut postman = Postman {
        reactor: reactor.clone(),
        client: None,
        sinks: BTreeMap::new(),
        on_their_way: FuturesUnordered::new(),
        sending: BTreeMap::new(),
        outcomes: Vec::new(),
        next_expiry: Instant::now(),
    };
    while !reactor.leaving() {
        let pause = match postman.look() {
            Ok(pause) => pause,
            Err(error) => {
                pgrx::log!("pg_oncall: the outbox cannot be reached just now: {error}");
                REFUSED
            }
        };
        postman.wait(pause).await;
    }
}

struct Postman {
    reactor: Reactor,
    client: Option<Client>,
    sinks: BTreeMap<String, Sink>,
    on_their_way: FuturesUnordered<LocalBoxFuture<'static, (i64, Sent)>>,
    /// What is on its way, or came back and is not written down yet.
    sending: BTreeMap<i64, Sending>,
    outcomes: Vec<Outcome>,
    next_expiry: Instant,
}

/// What of a page is needed when it comes back.
struct Sending {
    sink: String,
    incident: Option<String>,
    attempt: u32,
}

/// The HTTP client, and what it was made of.
struct Client {
    surroundings: Surroundings,
    timeout: Duration,
    webhooks: Webhooks,
}

/// What is known of a sink from its latest answers. A new pump learns it anew.
#[derive(Default)]
struct Sink {
    pool: Pool,
    in_flight: usize,
    failures: u32,
    rests_until: Option<Instant>,
}

impl Sink {
    fn succeeded(&mut self, name: &str) {
        if self.failures >= schedule::SUSPECT {
            pgrx::log!("pg_oncall: the sink {name} takes pages again");
        }
        self.failures = 0;
        self.rests_until = None;
    }

    fn failed(&mut self, name: &str, failures: u32, reason: &str) {
        if self.failures < schedule::SUSPECT && failures >= schedule::SUSPECT {
            pgrx::warning!(
                "pg_oncall: the sink {name} takes no pages: {reason}; they wait, and are tried again for a day"
            );
        }
        self.failures = failures;
        self.rests_until = schedule::rest_after(failures).map(|rest| Instant::now() + rest);
    }
}

impl Postman {
    /// Write down what came back, begin what is due; how long until there is something to do again.
    fn look(&mut self) -> store::Result<Duration> {
        self.write_down()?;
        if self.next_expiry <= Instant::now() {
            self.expire()?;
            self.next_expiry = Instant::now() + EXPIRY;
        }
        let room = self.room();
        let on_their_way = self.sending.keys().copied().collect();
        let claimed = backend::transaction(|| deliveries::claim(on_their_way, &room, AT_ONCE))?;
        let Some(Claimed { database, due, next_in_s }) = claimed else { return Ok(LOOK) };
        for due in due {
            self.send(due, database.clone());
        }
        let due = next_in_s.map_or(LOOK, |s| Duration::try_from_secs_f64(s).unwrap_or(LOOK));
        let now = Instant::now();
        let rested =
            self.sinks.values().filter_map(|sink| sink.rests_until).map(|at| at.saturating_duration_since(now));
        let rested = rested.filter(|left| !left.is_zero()).min().unwrap_or(LOOK);
        Ok(due.min(rested).min(LOOK).min(self.next_expiry.saturating_duration_since(now)))
    }

    /// Until a request comes back, a commit concerns us, or the pause is over.
    async fn wait(&mut self, pause: Duration) {
        let mut back = self.next(pause).await;
        while let Some((id, sent)) = back {
            self.came_back(id, sent);
            back = self.on_their_way.next().now_or_never().flatten();
        }
    }

    async fn next(&mut self, pause: Duration) -> Option<(i64, Sent)> {
        let woken = pin!(self.reactor.woken(pause));
        if self.on_their_way.is_empty() {
            woken.await;
            return None;
        }
        let answer = pin!(self.reactor.waiting("an answer of a sink", self.on_their_way.next()));
        match select(answer, woken).await {
            Either::Left((back, _)) => back,
            Either::Right(_) => None,
        }
    }

    /// How many more requests may be on their way, where that is not [`AT_ONCE`].
    fn room(&self) -> Value {
        let now = Instant::now();
        let room = |sink: &Sink| {
            let rests = sink.rests_until.is_some_and(|until| until > now);
            let most = if rests { 0 } else { schedule::in_flight_after(sink.failures, AT_ONCE) };
            most.saturating_sub(sink.in_flight)
        };
        self.sinks
            .iter()
            .map(|(name, sink)| (name.clone(), json!(room(sink))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn send(&mut self, due: Due, database: String) {
        let id = due.id;
        let sending = Sending { sink: due.sink.clone(), incident: due.incident_id.clone(), attempt: due.attempts };
        self.sending.insert(id, sending);
        let client = self.client();
        let sink = self.sinks.entry(due.sink.clone()).or_default();
        sink.in_flight += 1;
        // What cannot be sent comes back by the same way, so that one place judges all.
        let answer: LocalBoxFuture<'static, _> = match client {
            Err(reason) => std::future::ready(Ok(Sent::NotSent { reason })).boxed_local(),
            Ok((webhooks, surroundings)) => {
                sink.pool.submit(AT_ONCE, move || post(&webhooks, &surroundings, &due, &database)).boxed_local()
            }
        };
        self.on_their_way.push(
            async move { (id, answer.await.unwrap_or_else(|abandoned| Sent::NotSent { reason: abandoned.to_string() })) }.boxed_local(),
        );
    }

    /// The client for the settings as they are now.
    fn client(&mut self) -> Result<(Webhooks, Surroundings), String> {
        let (surroundings, timeout) = (Surroundings::now()?, settings::delivery_timeout());
        let same = |client: &&Client| client.surroundings == surroundings && client.timeout == timeout;
        if let Some(client) = self.client.as_ref().filter(same) {
            return Ok((client.webhooks.clone(), surroundings));
        }
        let (allowed, ca_pem) = (surroundings.allowed.clone(), surroundings.ca_pem.as_deref());
        let webhooks = Webhooks::new(allowed, timeout, AT_ONCE, ca_pem).map_err(|error| error.to_string())?;
        self.client = Some(Client { surroundings: surroundings.clone(), timeout, webhooks: webhooks.clone() });
        Ok((webhooks, surroundings))
    }

    /// Judge what came of a request: for the page, and for the sink.
    fn came_back(&mut self, id: i64, sent: Sent) {
        let Some(sending) = self.sending.get(&id) else { return };
        let sink = self.sinks.entry(sending.sink.clone()).or_default();
        sink.in_flight = sink.in_flight.saturating_sub(1);
        let outcome = match sent {
            Sent::Delivered { status } => {
                sink.succeeded(&sending.sink);
                Outcome { id, state: "sent", status: Some(status), error: None, wait_s: 0.0 }
            }
            Sent::Refused { status, reason } => {
                dead_letter(id, sending.incident.as_deref(), &sending.sink, &reason);
                Outcome { id, state: "dead", status: Some(status), error: Some(reason), wait_s: 0.0 }
            }
            Sent::Retry { status, reason, after } => {
                let after = after.map(|after| after.min(LONGEST_RETRY_AFTER));
                sink.failed(&sending.sink, sink.failures.saturating_add(1), &reason);
                // 429 is said of the sender, and not of the page: the others would hear the same.
                if status == Some(429) {
                    sink.rests_until = sink.rests_until.max(after.map(|after| Instant::now() + after));
                }
                let wait = after.unwrap_or_else(|| schedule::wait_after(sending.attempt));
                Outcome { id, state: "waiting", status, error: Some(reason), wait_s: wait.as_secs_f64() }
            }
            // What an administrator may put right within the day is tried again, and is no matter of chance.
            Sent::NotSent { reason } => {
                sink.failed(&sending.sink, sink.failures.saturating_add(1).max(schedule::SUSPECT), &reason);
                let wait = schedule::wait_after(sending.attempt);
                Outcome { id, state: "waiting", status: None, error: Some(reason), wait_s: wait.as_secs_f64() }
            }
        };
        self.outcomes.push(outcome);
    }

    /// Until it is written down, what came back counts as on its way: it must not be sent again.
    fn write_down(&mut self) -> store::Result<()> {
        if self.outcomes.is_empty() {
            return Ok(());
        }
        backend::transaction(|| deliveries::record(&self.outcomes))?;
        for outcome in self.outcomes.drain(..) {
            self.sending.remove(&outcome.id);
        }
        Ok(())
    }

    fn expire(&self) -> store::Result<()> {
        let on_their_way = self.sending.keys().copied().collect();
        for expired in backend::transaction(|| deliveries::expire(on_their_way, MOST_ATTEMPTS))? {
            dead_letter(expired.id, expired.incident_id.as_deref(), &expired.sink, &expired.last_error);
        }
        Ok(())
    }
}

/// Send one page. On a helper thread: nothing in here calls Postgres.
fn post(webhooks: &Webhooks, surroundings: &Surroundings, due: &Due, database: &str) -> Sent {
    let opened = match sinks::open(due.format, due.url.as_deref(), due.secret_file.as_deref(), surroundings) {
        Ok(opened) => opened,
        Err(reason) => return Sent::NotSent { reason },
    };
    let is_address = due.format.secret_is() == SecretIs::Address;
    let envelope = Envelope {
        idempotency_key: &due.idempotency_key,
        incident_key: &due.incident_key,
        database,
        now: Timestamp::now(),
        secret: opened.secret.as_ref().filter(|_| !is_address),
    };
    let request = render(due.format, &due.page, &envelope);
    let secrets: Vec<&str> = opened.secret.iter().map(|secret| secret.reveal()).collect();
    let url = format!("{}{}", opened.url, request.path);
    webhooks.send(&Letter { url: &url, headers: &request.headers, body: &request.body, secrets: &secrets })
}

fn dead_letter(id: i64, incident: Option<&str>, sink: &str, reason: &str) {
    let incident = incident.unwrap_or("no incident");
    pgrx::warning!(
        "pg_oncall: a page of {incident} did not arrive at the sink {sink}: {reason}; once that is put right: \
         SELECT oncall.redeliver({id})"
    );
}
