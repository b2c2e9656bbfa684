//! What the end-to-end tests share: a private server with the extension, alerts, and what became of them.
//!
//! The pods are [`StubPod`]s, doubles that speak the wire and misbehave on demand, unless a test says otherwise.

#![allow(dead_code)] // Every test file is a program of its own and uses a part of this.

use std::thread;
use std::time::{Duration, Instant};

use pg_test::stub_pod::StubPod;
use pg_test::{Cluster, Options, Ready};
use postgres::{Client, NoTls};
use serde_json::{Value, json};

/// How long a test waits for what should come at once: a guard against hanging, never a measure of speed.
pub const GUARD: Duration = Duration::from_secs(60);

/// A server with the extension in its database `postgres`, and no runbook.
pub fn bare(options: &Options) -> Cluster {
    Ready::Extension.start(options).expect("a private server with the extension starts")
}

/// The same with the shipped runbooks, embedded by the builtin embedder.
pub fn server(options: &Options) -> Cluster {
    Ready::Runbooks.start(options).expect("a private server with the runbooks starts")
}

/// Load the shipped runbooks in this session.
pub fn load_runbooks(cluster: &Cluster, client: &mut Client) {
    pg_test::ready::load_runbooks(cluster.tree(), client).expect("the shipped runbooks load");
}

/// A superuser's session whose chat model is this pod's.
pub fn session(cluster: &Cluster, pod: &StubPod) -> Client {
    let mut client = cluster.client().unwrap();
    set(&mut client, "oncall.model_url", &pod.url());
    set(&mut client, "oncall.chat_model", "stub-chat");
    client
}

/// Set a parameter for the session.
pub fn set(client: &mut Client, name: &str, value: &str) {
    client
        .execute("SELECT set_config($1, $2, false)", &[&name, &value])
        .unwrap_or_else(|error| panic!("{name} cannot be set: {error}"));
}

/// An alert that the runbook RB-001 names, on this instance: each instance is an incident of its own.
pub fn pool_alert(instance: &str) -> Value {
    json!({
        "text": "Connection pool exhaustion: pool_size=50, active=198",
        "severity": "critical",
        "source": "pgbouncer-exporter",
        "labels": {"alertname": "PgBouncerPoolExhausted", "instance": instance, "database": "production"},
    })
}

/// What Alertmanager posts for one firing alert.
pub fn alertmanager_body(name: &str, labels: &Value, annotations: &Value) -> Value {
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"),
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "pg_oncall",
        "groupLabels": {"alertname": name},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "http://alertmanager.example:9093",
        "alerts": [{
            "status": "firing",
            "labels": labels,
            "annotations": annotations,
            "startsAt": "2026-07-01T02:14:00.123Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example:9090/graph",
            "fingerprint": "5f3c1c2a7d9e4b10",
        }],
    })
}

/// The two safe steps that a triage of [`pool_alert`] may recommend.
pub const POOL_STEP: &str = "RB-001/raise-the-pool-size";
/// The other one.
pub const RESERVE_STEP: &str = "RB-001/open-the-reserve-pool";

/// An incident as the audit has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    pub id: String,
    pub state: String,
    pub route: Option<String>,
    pub severity: Option<String>,
    pub classification: Option<String>,
    pub confidence: Option<f64>,
    pub actions: Vec<String>,
    pub hypothesis: Option<String>,
    pub triage: Value,
    pub count: i32,
}

impl Incident {
    /// Which model's reply it goes by.
    pub fn by(&self) -> &str {
        self.triage["by"].as_str().unwrap_or_default()
    }

    /// Whether policy let its actions through.
    pub fn is_autonomous(&self) -> bool {
        self.route.as_deref() == Some("autonomous")
    }
}

const INCIDENT: &str = "incident_id, state, routing_decision, severity, classification, confidence::float8,
    recommended_actions, root_cause_hypothesis, triage, alert_count";

fn incident(row: &postgres::Row) -> Incident {
    Incident {
        id: row.get(0),
        state: row.get(1),
        route: row.get(2),
        severity: row.get(3),
        classification: row.get(4),
        confidence: row.get(5),
        actions: row.get::<_, Option<Vec<String>>>(6).unwrap_or_default(),
        hypothesis: row.get(7),
        triage: row.get::<_, Option<Value>>(8).unwrap_or_default(),
        count: row.get(9),
    }
}

/// Handle an alert that makes one incident.
pub fn try_handle(client: &mut Client, alert: &Value) -> Result<Incident, postgres::Error> {
    client
        .query_one(&format!("SELECT {INCIDENT} FROM oncall.handle_alert($1::jsonb)"), &[alert])
        .map(|row| incident(&row))
}

/// The same where it must not raise.
pub fn handle(client: &mut Client, alert: &Value) -> Incident {
    try_handle(client, alert).unwrap_or_else(|error| panic!("handle_alert raised: {}", told(&error)))
}

/// Every incident of the audit, oldest first.
pub fn incidents(client: &mut Client) -> Vec<Incident> {
    let sql = format!("SELECT {INCIDENT} FROM oncall.incident_audit ORDER BY incident_id");
    client.query(&sql, &[]).unwrap().iter().map(incident).collect()
}

/// The conditions that an incident fails, with the reasons that the page gives.
pub fn objections(client: &mut Client, id: &str) -> Vec<(String, String)> {
    let rows = client.query("SELECT condition, reason FROM oncall.explain_route($1) WHERE NOT pass", &[&id]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Assert that an incident escalated, by this condition and with these words in its reason.
pub fn assert_objection(client: &mut Client, incident: &Incident, condition: &str, words: &str) {
    assert_eq!(incident.route.as_deref(), Some("escalate"), "{incident:?}");
    let objections = objections(client, &incident.id);
    assert!(
        objections.iter().any(|(name, reason)| name == condition && reason.contains(words)),
        "no objection {condition} that says {words:?}: {objections:#?}"
    );
}

/// One call in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub kind: String,
    pub status: String,
    pub request: Value,
    pub outcome: Value,
    pub model: Option<String>,
}

/// The journal of an incident, in its order.
pub fn journal(client: &mut Client, id: &str) -> Vec<Step> {
    let sql = "SELECT kind, status, request, outcome, model FROM oncall.incident_step WHERE incident_id = $1 ORDER BY step_no";
    let step = |row: &postgres::Row| Step {
        kind: row.get(0),
        status: row.get(1),
        request: row.get(2),
        outcome: row.get(3),
        model: row.get(4),
    };
    client.query(sql, &[&id]).unwrap().iter().map(step).collect()
}

/// Kind and status of each journaled call: `chat failed`.
pub fn outline(client: &mut Client, id: &str) -> Vec<String> {
    journal(client, id).iter().map(|step| format!("{} {}", step.kind, step.status)).collect()
}

/// One row of the inference log.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    pub model: String,
    pub answer: Option<String>,
    pub context: Value,
}

/// The inferences that were made for an incident, in their order.
pub fn inferences(client: &mut Client, id: &str) -> Vec<Inference> {
    let sql = "SELECT model, generated_text, runtime_context FROM oncall.inference_audit_log
               WHERE incident_id = $1 ORDER BY trace_id";
    let inference = |row: &postgres::Row| Inference { model: row.get(0), answer: row.get(1), context: row.get(2) };
    client.query(sql, &[&id]).unwrap().iter().map(inference).collect()
}

/// How many rows a query gives, or the one number that it gives.
pub fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {}", told(&error))).get(0)
}

/// Invariant 2, over the whole audit: what was let through is a step of a runbook of which a section was retrieved for
/// that very incident, needs no approval, and is named once.
pub fn assert_nothing_unmapped_was_approved(client: &mut Client) {
    let sql = "
        SELECT a.incident_id, action
        FROM oncall.incident_audit AS a, unnest(a.recommended_actions) AS action
        WHERE a.routing_decision = 'autonomous'
          AND NOT EXISTS (
              SELECT FROM oncall.incident_step AS s, jsonb_array_elements(s.outcome -> 'sections') AS found
              JOIN oncall.ops_runbooks AS r ON r.runbook_id = found ->> 'runbook_id'
              WHERE s.incident_id = a.incident_id AND s.kind = 'retrieve'
                AND r.step_id = action AND NOT r.destructive)
        UNION ALL
        SELECT incident_id, 'no or repeated actions'
        FROM oncall.incident_audit
        WHERE routing_decision = 'autonomous'
          AND (coalesce(cardinality(recommended_actions), 0) = 0
               OR cardinality(recommended_actions) <> (SELECT count(DISTINCT a) FROM unnest(recommended_actions) AS a))";
    let wrong: Vec<(String, String)> =
        client.query(sql, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(wrong.is_empty(), "approved without being on offer: {wrong:?}");
}

/// The SQLSTATE of an error; empty where the connection ended instead.
pub fn code(error: &postgres::Error) -> &str {
    error.code().map_or("", postgres::error::SqlState::code)
}

/// An error as psql would show it: message, detail, hint.
pub fn told(error: &postgres::Error) -> String {
    match error.as_db_error() {
        None => error.to_string(),
        Some(db) => format!(
            "{} {}{}{}",
            db.code().code(),
            db.message(),
            db.detail().map(|detail| format!(" DETAIL: {detail}")).unwrap_or_default(),
            db.hint().map(|hint| format!(" HINT: {hint}")).unwrap_or_default()
        ),
    }
}

/// Assert that a statement is refused with this SQLSTATE; what the server said.
pub fn refused(client: &mut Client, sql: &str, sqlstate: &str) -> String {
    match client.batch_execute(sql) {
        Ok(()) => panic!("should have been refused: {sql}"),
        Err(error) => {
            assert_eq!(code(&error), sqlstate, "{sql}: {}", told(&error));
            told(&error)
        }
    }
}

/// Wait until something holds, or fail after [`GUARD`].
///
/// It looks the less often the longer it waits: to ask a server is work, and takes it from the tests beside this one.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < GUARD, "it never came to pass that {what}");
        thread::sleep((began.elapsed() / 20).clamp(Duration::from_millis(5), Duration::from_millis(100)));
    }
}

/// A handle on work in another thread, with its result, or a failure after [`GUARD`].
pub struct Background<T>(thread::JoinHandle<T>);

/// Do this in another thread.
pub fn background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Background<T> {
    Background(thread::spawn(work))
}

impl<T> Background<T> {
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Its result.
    pub fn result(self) -> T {
        until("a background task ends", || self.0.is_finished());
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The process id of a session's backend.
pub fn backend_pid(client: &mut Client) -> i32 {
    client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0)
}

/// Cancel what a session does, as Ctrl-C in psql does.
pub fn cancel(token: &postgres::CancelToken) {
    token.cancel_query(NoTls).expect("a cancel request reaches the server");
}
