//! The agents over a script: a world that answers by a function, and a journal that answers for it on replay.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use pgvector::Vector;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::alert::{Alert, Severity, Status};
use crate::host::{ActingHost, ChatAnswer, ChatRequest, Host, Metric, ModelError, Purpose, ToolCall, ToolOutcome};
use crate::ids::RunbookId;
use crate::incident::Incident;
use crate::page::Page;
use crate::policy::{self, Autonomy, Breaker, Case, decide};
use crate::redact::Redacted;
use crate::retrieval::{FoundBy, Retrieval, Retrieved};
use crate::runbook::shipped;
use crate::runbook::{Runbook, Step};
use crate::tool::Catalogue;
use crate::triage::{Triage, TriageReply};

mod carrying_out;
mod hostile;
mod looking;
mod replay;
mod telling;

const LIMITS: Limits = Limits { max_tokens: 500, prompt_budget: 6000 };

type Chat = dyn Fn(&ChatRequest) -> Result<String, ModelError>;
type Tools = dyn Fn(&ToolCall, usize) -> ToolOutcome;
type Key = (&'static str, usize);

/// What all branches of one host share.
struct World {
    chat: Box<Chat>,
    /// Given the call, and how often the same call was made before.
    tools: Box<Tools>,
    /// Every call by its key: what was asked and what was answered.
    journal: RefCell<BTreeMap<Key, (Value, Value)>>,
    /// The keys in the order in which the answers came.
    order: RefCell<Vec<Key>>,
    /// The keys of the calls that reached the world, and not the journal.
    live: RefCell<Vec<Key>>,
    /// Stirs the order in which parallel calls are answered.
    seed: u64,
}

/// A host for one agent.
struct Script {
    world: Rc<World>,
    agent: &'static str,
    step: Cell<usize>,
}

impl Script {
    fn new(
        chat: impl Fn(&ChatRequest) -> Result<String, ModelError> + 'static,
        tools: impl Fn(&ToolCall, usize) -> ToolOutcome + 'static,
    ) -> Self {
        Self::stirred(chat, tools, 0)
    }

    fn stirred(
        chat: impl Fn(&ChatRequest) -> Result<String, ModelError> + 'static,
        tools: impl Fn(&ToolCall, usize) -> ToolOutcome + 'static,
        seed: u64,
    ) -> Self {
        let world = World {
            chat: Box::new(chat),
            tools: Box::new(tools),
            journal: RefCell::default(),
            order: RefCell::default(),
            live: RefCell::default(),
            seed,
        };
        Self { world: Rc::new(world), agent: "treatment", step: Cell::new(0) }
    }

    /// Without a pod.
    fn builtin(tools: impl Fn(&ToolCall, usize) -> ToolOutcome + 'static) -> Self {
        Self::new(|_| Err(ModelError::NoPod), tools)
    }

    /// Run an agent to its end.
    fn run<T>(&self, agent: impl Future<Output = T>) -> T {
        let mut agent = pin!(agent);
        for _ in 0..10_000 {
            if let Poll::Ready(value) = agent.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
        }
        panic!("the agent does not end");
    }

    fn treat(&self, incident: &Incident) -> Resolution {
        self.run(treat(self, incident, &LIMITS))
    }

    /// One call: from the journal if it is there, else from the world and into the journal.
    async fn call<T: Serialize + DeserializeOwned>(&self, request: Value, answer: impl FnOnce() -> T) -> T {
        let key = (self.agent, self.step.get());
        self.step.set(key.1 + 1);
        let known = self.world.journal.borrow().get(&key).cloned();
        if let Some((asked, answered)) = known {
            assert_eq!(asked, request, "another request than in the journal, at {key:?}");
            return serde_json::from_value(answered).unwrap();
        }
        let mut wait = key.0.bytes().fold(self.world.seed ^ key.1 as u64, |h, b| h.wrapping_mul(31) ^ u64::from(b)) % 5;
        poll_fn(|_| {
            wait = wait.saturating_sub(1);
            if wait == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let answer = answer();
        self.world.live.borrow_mut().push(key);
        self.world.order.borrow_mut().push(key);
        self.world.journal.borrow_mut().insert(key, (request, json!(answer)));
        answer
    }

    /// The calls of tools, in the order in which they were answered.
    fn tools(&self) -> Vec<(Purpose, String)> {
        let journal = self.world.journal.borrow();
        let call = |key: &Key| {
            let request = &journal[key].0["tool"];
            let what = if request["tool"].is_null() { &request["step"] } else { &request["tool"] };
            Some((serde_json::from_value(request.get("purpose")?.clone()).unwrap(), what.as_str().unwrap().to_owned()))
        };
        self.world.order.borrow().iter().filter_map(call).collect()
    }

    fn ran(&self, purpose: Purpose) -> Vec<String> {
        self.tools().into_iter().filter(|(ran, _)| *ran == purpose).map(|(_, what)| what).collect()
    }

    /// What changes something, in its order.
    fn writes(&self) -> Vec<String> {
        self.tools().into_iter().filter(|(ran, _)| ran.writes()).map(|(_, what)| what).collect()
    }

    fn pages(&self) -> Vec<Page> {
        let journal = self.world.journal.borrow();
        let page = |key: &Key| journal[key].0.get("page").map(|page| serde_json::from_value(page.clone()).unwrap());
        self.world.order.borrow().iter().filter_map(page).collect()
    }

    fn chats(&self) -> Vec<Value> {
        let journal = self.world.journal.borrow();
        self.world.order.borrow().iter().filter_map(|key| journal[key].0.get("chat").cloned()).collect()
    }
}

impl Host for Script {
    async fn embed(&self, _: &Redacted) -> Result<Vector, ModelError> {
        panic!("the triage is over");
    }

    async fn retrieve(&self, _: &Alert, _: &Redacted, _: Option<Vector>) -> Retrieval {
        panic!("the triage is over");
    }

    async fn metrics(&self) -> Vec<Metric> {
        let waiting =
            Metric { name: "pgbouncer_cl_waiting".to_owned(), value: 148.0, about: "pool=shop".to_owned(), at: None };
        self.call(json!({"metrics": true}), || vec![waiting]).await
    }

    async fn chat(&self, request: &ChatRequest) -> Result<ChatAnswer, ModelError> {
        let prompt = json!({"purpose": request.purpose, "prompt": request.prompt, "schema": *request.schema});
        self.call(json!({"chat": prompt}), || {
            let text = (self.world.chat)(request)?;
            let model = "stub".to_owned();
            let latency = Duration::ZERO;
            Ok(ChatAnswer { text, truncated: false, model, tokens_in: None, tokens_out: None, latency })
        })
        .await
    }

    async fn now(&self) -> Timestamp {
        self.call(json!({"now": true}), || Timestamp::UNIX_EPOCH).await
    }
}

impl ActingHost for Script {
    fn branch(&self, agent: &'static str) -> Self {
        Self { world: Rc::clone(&self.world), agent, step: Cell::new(0) }
    }

    async fn run_tool(&self, call: &ToolCall) -> ToolOutcome {
        let request = json!({"tool": call});
        let before = self.world.journal.borrow().values().filter(|(asked, _)| *asked == request).count();
        self.call(request, || (self.world.tools)(call, before)).await
    }

    async fn deliver(&self, page: &Page) -> Vec<String> {
        self.call(json!({"page": page}), || vec!["slack:ops".to_owned(), "webhook:pager".to_owned()]).await
    }

    async fn pause(&self, _: Duration) {}
}

fn done(rows: Value) -> ToolOutcome {
    let rows = rows.as_array().unwrap().clone();
    ToolOutcome::Done { affected: rows.len() as u64, rows, truncated: false, warnings: Vec::new() }
}

fn says(yes: bool) -> ToolOutcome {
    done(json!([{"ok": yes}]))
}

fn failed(sqlstate: &str, message: &str, hint: Option<&str>) -> ToolOutcome {
    let (sqlstate, message, hint) = (sqlstate.to_owned(), message.to_owned(), hint.map(str::to_owned));
    ToolOutcome::Failed { sqlstate, message, detail: None, hint }
}

/// A world in which all goes well: guards and verifies say yes, actions are done.
fn all_well(call: &ToolCall, _: usize) -> ToolOutcome {
    match call.purpose() {
        Purpose::Guard | Purpose::Verify => says(true),
        Purpose::Measure => done(json!([{"default_pool_size": 50, "cl_waiting": 148}])),
        Purpose::Action | Purpose::Rollback => done(json!([])),
        Purpose::Diagnostic => match call.tool().unwrap().as_str() {
            "activity_by_state" => done(json!([
                {"datname": "shop", "state": "active", "wait_event_type": null, "sessions": 198},
                {"datname": "shop", "state": "idle in transaction", "sessions": 30},
                {"datname": "shop", "state": "idle in transaction (aborted)", "sessions": 4},
                {"datname": "shop", "state": "idle", "sessions": 7},
            ])),
            tool => done(json!([{"from": tool, "query": "SELECT 1 -- password=hunter2"}])),
        },
    }
}

fn alert() -> Alert {
    Alert {
        source: "alertmanager".to_owned(),
        status: Status::Firing,
        severity: Some(Severity::P1),
        name: Some("PgBouncerPoolExhausted".to_owned()),
        text: "Connection pool exhaustion: pool_size=50, active=198".to_owned(),
        fingerprint: "0011223344556677".to_owned(),
        labels: BTreeMap::from([("service".to_owned(), "checkout".to_owned())]),
        annotations: BTreeMap::new(),
        starts_at: Some(Timestamp::UNIX_EPOCH),
        ends_at: None,
        url: None,
        extra: serde_json::Map::new(),
    }
}

fn shipped_runbook(id: &str) -> Runbook {
    shipped::runbooks().into_iter().map(|(_, runbook)| runbook).find(|runbook| runbook.id.as_str() == id).unwrap()
}

/// The steps, each with figures to take and something left for the morning, whatever the shipped file says of these.
fn steps_of(runbook: &Runbook) -> Vec<Step> {
    let steps = runbook.sections.iter().filter_map(|section| section.step.clone());
    let measured = steps.map(|step| Step {
        measure: Some("SELECT 50 AS default_pool_size, 148 AS cl_waiting".to_owned()),
        follow_up: Some("Write it into pgbouncer.ini.".to_owned()),
        ..step
    });
    measured.collect()
}

fn retrieved(runbook: &Runbook) -> impl Iterator<Item = Retrieved> + '_ {
    runbook.sections.iter().map(|section| Retrieved {
        runbook_id: RunbookId::new(runbook.id.as_str()).unwrap(),
        title: runbook.title.clone(),
        incident_type: Some(runbook.incident_type.clone()),
        section: section.name.clone(),
        content: section.content.clone(),
        similarity: 0.9,
        builtin_similarity: 0.9,
        found_by: FoundBy::Similarity,
    })
}

/// An incident for which these of the shipped runbooks were retrieved, the steps of the first one being recommended.
fn incident(runbooks: &[&str], autonomy: Autonomy) -> Incident {
    let runbooks: Vec<Runbook> = runbooks.iter().map(|id| shipped_runbook(id)).collect();
    let retrieval = Retrieval {
        sections: runbooks.iter().flat_map(retrieved).collect(),
        steps: runbooks.iter().flat_map(steps_of).collect(),
        runner_up: None,
    };
    let actions = steps_of(&runbooks[0]).iter().map(|step| step.id.to_string()).collect();
    incident_with(retrieval, &runbooks[0].incident_type, actions, autonomy, shipped::catalogue())
}

fn incident_with(
    retrieval: Retrieval,
    incident_type: &str,
    recommended_actions: Vec<String>,
    autonomy: Autonomy,
    catalogue: impl Into<Arc<Catalogue>>,
) -> Incident {
    let triage = Triage {
        by: "stub".to_owned(),
        reply: TriageReply {
            incident_type: incident_type.to_owned(),
            runbook_id: None,
            confidence: 0.85,
            recommended_actions,
            root_cause_hypothesis: "More clients than connections.".to_owned(),
        },
        failure: None,
        repaired: false,
        embedding_failure: None,
    };
    let decision = decide(&Case {
        triage: &triage,
        retrieval: &retrieval,
        policy: &policy::DEFAULT,
        breaker: Breaker::Closed,
        autonomy,
        actions_last_hour: 0,
        repeats_last_hour: &BTreeMap::new(),
    });
    let (id, opened_at) = ("INC-0047".to_owned(), Timestamp::UNIX_EPOCH);
    Incident { id, opened_at, alert: alert(), triage, retrieval, decision, catalogue: catalogue.into() }
}
