//! The workers' host: every call is a short transaction or a wait without one, and the journal answers for what was
//! called before.
//!
//! What an agent gets is what the journal holds, secrets redacted, and not what the world said: so it hears the same
//! when another process runs it again.

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use oncall_domain::alert::Alert;
use oncall_domain::builtin;
use oncall_domain::host::{self, ActingHost, ChatAnswer, ChatRequest, Host, Metric, ModelError, ToolCall, ToolOutcome};
use oncall_domain::page::Page;
use oncall_domain::policy::{Autonomy, Breaker};
use oncall_domain::redact::{Redacted, redact, redact_json};
use oncall_domain::retrieval::Retrieval;
use oncall_model::Kind;
use pgvector::Vector;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::executor::{self, Command};
use super::reactor::Reactor;
use super::replay::{Divergence, Recalled, Replay};
use super::suspects::Suspects;
use super::targets::Targets;
use crate::backend::{self, transaction};
use crate::error::OncallError;
use crate::journaled::{self, Found};
use crate::pod;
use crate::settings;
use crate::store::journal::{self, Entry};
use crate::store::work::Purpose;
use crate::store::{self, breaker, deliveries, ground, measurements, search};

/// Why a conversation ends in the middle. It travels by unwinding: agents know nothing of journals and databases.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The database did not let us. Another try may do better.
    #[error(transparent)]
    Store(#[from] OncallError),
    /// Another try would meet the same.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// The journal holds what this version cannot read.
    #[error("the journal of {agent} cannot be read at step {step}: {reason}")]
    Unreadable {
        /// Whose.
        agent: String,
        /// Where.
        step: i32,
        /// Why.
        reason: String,
    },
}

impl Halt {
    /// Whether another try would meet the same.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Store(_))
    }
}

fn halt(reason: impl Into<Halt>) -> ! {
    // Not a panic: nothing is wrong with the code, and nothing is to be printed.
    resume_unwind(Box::new(reason.into()))
}

/// The value, or the end of this conversation.
pub fn must<T>(result: store::Result<T>) -> T {
    result.unwrap_or_else(|error| halt(error))
}

/// What the branches of one conversation share.
pub struct Conversation {
    /// The event loop.
    pub reactor: Reactor,
    /// The incident.
    pub incident: String,
    /// What stands before the name of each agent in the journal: a second piece of work at the same incident has its own.
    pub prefix: String,
    /// What was called before.
    pub replay: Replay,
    /// What is being worked on in this database.
    pub targets: Targets,
    /// What may have ended the process, should it end.
    pub suspects: Suspects,
    /// The piece of work.
    pub work: i64,
    /// Why it is done.
    pub purpose: Purpose,
    /// What was retrieved for the incident: inferences are logged with it.
    pub found: RefCell<Option<Found>>,
}

impl Conversation {
    /// The inference log's row for an answer by the builtin triage.
    pub fn record_builtin(&self, answer: String, context: Value) -> store::Result<()> {
        let found = self.found.borrow();
        let Some(found) = found.as_ref() else { return Ok(()) };
        journal::record_inference(found.inference(&self.incident, settings::BUILTIN, context, Some(answer)))
    }

    fn record_asked(
        &self,
        model: &str,
        purpose: &str,
        answered: Result<&ChatAnswer, &ModelError>,
    ) -> store::Result<()> {
        let found = self.found.borrow();
        let Some(found) = found.as_ref() else { return Ok(()) };
        journal::record_inference(found.asked(&self.incident, model, purpose, answered))
    }
}

/// The door to the world for one agent, or one branch of it.
pub struct WorkerHost {
    conversation: Rc<Conversation>,
    agent: String,
    step: Cell<i32>,
}

impl WorkerHost {
    /// The host of `agent`.
    pub fn new(conversation: &Rc<Conversation>, agent: &str) -> Self {
        let agent = format!("{}{agent}", conversation.prefix);
        Self { conversation: Rc::clone(conversation), agent, step: Cell::new(0) }
    }

    /// The next step number, and what the journal holds under it.
    fn next(&self, kind: &str, request: &Value) -> (i32, Recalled) {
        let step = self.step.get() + 1;
        self.step.set(step);
        let recalled = self.conversation.replay.recall(&self.agent, step, kind, request);
        (step, recalled.unwrap_or_else(|divergence| halt(divergence)))
    }

    /// What a journaled outcome says.
    fn read<T: DeserializeOwned>(&self, step: i32, outcome: Value) -> T {
        serde_json::from_value(outcome).unwrap_or_else(|error| {
            halt(Halt::Unreadable { agent: self.agent.clone(), step, reason: error.to_string() })
        })
    }

    fn read_failure(&self, step: i32, mut outcome: Value) -> ModelError {
        self.read(step, outcome["model_error"].take())
    }

    /// Write down a call, and what goes with it, in one transaction.
    fn record(&self, step: i32, entry: Entry<'_>, also: impl FnOnce() -> store::Result<()>) {
        let conversation = &self.conversation;
        must(transaction(|| {
            without_the_disk();
            journal::record(&conversation.incident, &self.agent, step, entry)?;
            also()
        }));
    }

    /// A call of the database: it is made and written down in one transaction, so it happened if it is in the journal.
    fn in_database<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        request: Value,
        ask: impl FnOnce() -> store::Result<Value>,
    ) -> T {
        let (step, recalled) = self.next(kind, &request);
        if let Recalled::Known { outcome, .. } = recalled {
            return self.read(step, outcome);
        }
        let started = Instant::now();
        let outcome = must(transaction(|| {
            // A page may be on its way as soon as it is committed: what a crash forgets would be sent twice.
            if kind != "page" {
                without_the_disk();
            }
            let outcome = ask()?;
            let entry = journaled::done(kind, request, outcome.clone(), started.elapsed());
            journal::record(&self.conversation.incident, &self.agent, step, entry)?;
            Ok(outcome)
        }));
        self.read(step, outcome)
    }

    /// What an executor is known by while the pump that asked for it may die.
    fn job(&self, step: i32) -> u64 {
        // Without a key, so the same in every process.
        let mut hasher = DefaultHasher::new();
        (&self.conversation.incident, &self.agent, step).hash(&mut hasher);
        hasher.finish()
    }
}

impl Host for WorkerHost {
    async fn embed(&self, query: &Redacted) -> Result<Vector, ModelError> {
        if settings::embedding_pod().is_none() {
            return Err(ModelError::NoPod);
        }
        let request = journaled::embed_request(query);
        let (step, recalled) = self.next("embed", &request);
        if let Recalled::Known { failed, outcome } = recalled {
            return if failed {
                Err(self.read_failure(step, outcome))
            } else {
                Ok(Vector::from(self.read::<Vec<f32>>(step, outcome)))
            };
        }
        let started = Instant::now();
        let model = pod::embedding_model();
        let embedded = match must(transaction(ground::current)).vectors.comparable_with(&model) {
            Err(error) => Err(error),
            Ok(dimension) => {
                let text = builtin::pod_query_text(query.as_str());
                self.ask_pod(pod::for_embeddings(), move |pod| pod.embed(&[text], Kind::Query, Some(dimension))).await
            }
        };
        let embedded = embedded.map(|mut embeddings| embeddings.vectors.pop().unwrap_or_default());
        let entry = Entry {
            model: Some(&model),
            outcome: embedded.as_ref().map(|vector| json!(vector)).map_err(journaled::failure),
            ..journaled::done("embed", request, Value::Null, started.elapsed())
        };
        self.record(step, entry, || Ok(()));
        embedded.map(Vector::from)
    }

    async fn retrieve(&self, alert: &Alert, query: &Redacted, pod: Option<Vector>) -> Retrieval {
        // A policy that was changed since says nothing about what was retrieved then.
        let known = self.conversation.replay.asked(&self.agent, self.step.get() + 1);
        let known = known.and_then(|request| journaled::weights_of(&request));
        let weights = known.unwrap_or_else(|| journaled::weights(&must(transaction(ground::current)).policies, alert));
        let request = journaled::retrieve_request(alert, weights, pod.is_some());
        let vector = builtin::embed(query.as_str());
        let retrieval: Retrieval = self.in_database("retrieve", request, || {
            let asked = search::Query {
                builtin: &vector,
                pod: pod.as_ref(),
                alert_name: alert.name.as_deref(),
                k: settings::top_k(),
            };
            Ok(json!(search::retrieve(&*ground::current()?, &asked, weights)?))
        });
        self.conversation.found.replace(Some(Found::new(query.clone(), vector, &retrieval)));
        retrieval
    }

    async fn metrics(&self) -> Vec<Metric> {
        self.in_database("metrics", json!({}), || Ok(journaled::metrics(&measurements::recent()?)))
    }

    async fn chat(&self, request: &ChatRequest) -> Result<ChatAnswer, ModelError> {
        let Some((_, model)) = settings::chat_pod() else { return Err(ModelError::NoPod) };
        let (step, recalled) = self.next("chat", &journaled::chat_request(request));
        if let Recalled::Known { failed, outcome } = recalled {
            return if failed { Err(self.read_failure(step, outcome)) } else { Ok(self.read(step, outcome)) };
        }
        let started = Instant::now();
        let question = request.clone();
        let answered = self.ask_pod(pod::for_chat(), move |pod| pod.chat(&(&question).into())).await;
        let answered = answered.map(|told| ChatAnswer { text: journaled::answer_text(&told.text), ..told });
        let told = answered.as_ref().ok();
        let entry = Entry {
            model: Some(&model),
            outcome: answered.as_ref().map(|told| json!(told)).map_err(journaled::failure),
            tokens_in: told.and_then(|told| told.tokens_in),
            tokens_out: told.and_then(|told| told.tokens_out),
            // Worded anew: kept over the wait, it would be one more copy of the prompt for each that waits.
            ..journaled::done("chat", journaled::chat_request(request), Value::Null, started.elapsed())
        };
        self.record(step, entry, || self.conversation.record_asked(&model, request.purpose, answered.as_ref()));
        answered
    }

    async fn now(&self) -> Timestamp {
        self.in_database("now", json!({}), || Ok(json!(store::transaction_start()?)))
    }
}

impl WorkerHost {
    /// Ask a pod on a helper thread, with no transaction open.
    async fn ask_pod<T: Send + 'static>(
        &self,
        pod: Result<oncall_model::Pod, ModelError>,
        ask: impl FnOnce(&oncall_model::Pod) -> Result<T, ModelError> + Send + 'static,
    ) -> Result<T, ModelError> {
        let pod = pod?;
        let answered = self.conversation.reactor.off_thread(move || ask(&pod)).await;
        answered.unwrap_or_else(|abandoned| Err(ModelError::Unreachable { reason: abandoned.to_string() }))
    }

    /// Run an action: the intent is committed, then it runs, then what came of it is committed.
    async fn act(&self, step: i32, recalled: Recalled, request: Value, call: &ToolCall) -> ToolOutcome {
        let conversation = &self.conversation;
        let _alone = conversation.targets.hold(call.target().unwrap_or("database")).await;
        let kind = call.purpose().as_str();
        if let (Recalled::New, Some(outcome)) = (&recalled, self.held_back(call)) {
            let value = json!(outcome);
            let entry = Entry { outcome: Err(value), ..journaled::done(kind, request, Value::Null, Duration::ZERO) };
            self.record(step, entry, || Ok(()));
            return outcome;
        }
        let outcome = if recalled == Recalled::Begun {
            // Another process began it. Either its executor is still there, or nobody can say what became of it.
            executor::adopt(&conversation.reactor, self.job(step)).await.unwrap_or_else(|| ToolOutcome::Unknown {
                reason: "the process that ran it is gone, and with it the outcome".to_owned(),
            })
        } else {
            must(transaction(|| journal::record_intent(&conversation.incident, &self.agent, step, kind, &request)));
            self.execute(step, call).await
        };
        let outcome = redacted(outcome);
        must(transaction(|| {
            let (incident, agent) = (&conversation.incident, &self.agent);
            journal::complete_intent(incident, agent, step, status(&outcome), &json!(outcome))
        }));
        outcome
    }

    /// What an action comes to that must not begin: whoever throws a switch does not wait for what was decided before.
    /// A step that a person approved is that person's decision, and a way back is gone to its end.
    fn held_back(&self, call: &ToolCall) -> Option<ToolOutcome> {
        if call.purpose() != host::Purpose::Action || self.conversation.purpose != Purpose::Treat {
            return None;
        }
        let autonomy = settings::autonomy();
        let why = if autonomy != Autonomy::On {
            format!("oncall.autonomy is {}", autonomy.as_str())
        } else if must(transaction(breaker::now)) != Breaker::Closed {
            "the circuit breaker is open".to_owned()
        } else {
            return None;
        };
        let message = format!("it was not begun: {why} since it was decided");
        Some(ToolOutcome::Failed { sqlstate: "55000".to_owned(), message, detail: None, hint: None })
    }

    /// Run a query, which may be run again where its outcome is lost.
    async fn look(&self, step: i32, request: Value, call: &ToolCall) -> ToolOutcome {
        let started = Instant::now();
        let outcome = redacted(self.execute(step, call).await);
        let value = json!(outcome);
        let entry = Entry {
            outcome: if status(&outcome) == "done" { Ok(value) } else { Err(value) },
            ..journaled::done(call.purpose().as_str(), request, Value::Null, started.elapsed())
        };
        self.record(step, entry, || Ok(()));
        outcome
    }

    /// Run a command in an executor, whose crash would be the whole server's.
    async fn execute(&self, step: i32, call: &ToolCall) -> ToolOutcome {
        let conversation = &self.conversation;
        let in_hand = || conversation.suspects.hold(conversation.work);
        executor::run(&conversation.reactor, self.command(step, call), in_hand).await
    }

    fn command(&self, step: i32, call: &ToolCall) -> Command {
        let writes = call.purpose().writes();
        Command {
            job: self.job(step),
            writes,
            sql: call.sql().to_owned(),
            statement_timeout: if writes { settings::action_timeout() } else { settings::query_timeout() },
            lock_timeout: LOCK_TIMEOUT,
            max_rows: MOST_ROWS,
        }
    }
}

/// Do not wait for the disk at this commit: what a crash of the server forgets is asked again, and nothing is done twice
/// by that. Intents, outcomes of actions, pages and ends do wait.
fn without_the_disk() {
    backend::set_for_transaction(c"synchronous_commit", c"off");
}

/// How long a tool waits for a lock: what holds it longer is another incident, and to queue behind it would block others.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The most rows of a tool's answer: what a page shows and a prompt holds.
const MOST_ROWS: u32 = 50;

/// Hand a page to the outbox; the sinks that will get it, as the audit names them.
pub fn queue_page(incident: &str, page: &Page) -> store::Result<Vec<String>> {
    Ok(deliveries::enqueue(incident, page)?.iter().map(deliveries::Queued::label).collect())
}

fn redacted(outcome: ToolOutcome) -> ToolOutcome {
    let plain = |text: String| redact(&text).as_str().to_owned();
    match outcome {
        ToolOutcome::Done { rows, truncated, affected, warnings } => ToolOutcome::Done {
            rows: rows.iter().map(redact_json).collect(),
            truncated,
            affected,
            warnings: warnings.into_iter().map(plain).collect(),
        },
        ToolOutcome::Failed { sqlstate, message, detail, hint } => {
            ToolOutcome::Failed { sqlstate, message: plain(message), detail: detail.map(plain), hint: hint.map(plain) }
        }
        unknown @ ToolOutcome::Unknown { .. } => unknown,
    }
}

fn status(outcome: &ToolOutcome) -> &'static str {
    match outcome {
        ToolOutcome::Done { .. } => "done",
        ToolOutcome::Failed { .. } => "failed",
        ToolOutcome::Unknown { .. } => "unknown",
    }
}

impl ActingHost for WorkerHost {
    fn branch(&self, agent: &'static str) -> Self {
        Self::new(&self.conversation, agent)
    }

    async fn run_tool(&self, call: &ToolCall) -> ToolOutcome {
        let request = json!(call);
        let (step, recalled) = self.next(call.purpose().as_str(), &request);
        match recalled {
            Recalled::Known { outcome, .. } => self.read(step, outcome),
            recalled if call.purpose().writes() => self.act(step, recalled, request, call).await,
            _ => self.look(step, request, call).await,
        }
    }

    async fn deliver(&self, page: &Page) -> Vec<String> {
        self.in_database("page", json!(page), || Ok(json!(queue_page(&self.conversation.incident, page)?)))
    }

    async fn pause(&self, span: Duration) {
        self.conversation.reactor.sleep(span).await;
    }
}
