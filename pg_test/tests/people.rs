//! The human side, across sessions and processes: who is told, who decides, and what is held.

mod common;

use common::{GUARD, backend_pid, background, cancel, code, handle, number, refused, server, told, until};
use pg_test::stub_sink::StubSink;
use pg_test::{Cluster, Options};
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::{Value, json};

/// An alert that escalates: every step of its runbook is destructive.
fn disk_alert(instance: &str) -> Value {
    json!({
        "text": "94.7 percent utilization on the write-ahead log (WAL) volume, with archiving lag rising",
        "severity": "critical",
        "source": "test",
        "labels": {"alertname": "PGArchiveCommandStatus", "instance": instance},
    })
}

const STEP: &str = "RB-003/pause-the-write-workloads";

/// A server with the runbooks and two operators, `alice` and `bob`.
fn staffed(options: &Options) -> Cluster {
    let cluster = server(options);
    let roles = "CREATE ROLE alice LOGIN IN ROLE oncall_operator; CREATE ROLE bob LOGIN IN ROLE oncall_operator";
    cluster.client().unwrap().batch_execute(roles).unwrap();
    cluster
}

fn escalated(client: &mut Client, instance: &str) -> String {
    let incident = handle(client, &disk_alert(instance));
    assert_eq!(incident.route.as_deref(), Some("escalate"), "{incident:?}");
    incident.id
}

fn approve(client: &mut Client, id: &str) -> Result<String, postgres::Error> {
    client.query_one("SELECT state FROM oncall.approve_step($1, $2)", &[&id, &STEP]).map(|row| row.get(0))
}

/// The next change that a listening session is told of, within a guard.
fn heard(client: &mut Client) -> Option<Value> {
    let mut notifications = client.notifications();
    let next = notifications.timeout_iter(GUARD).next().unwrap();
    next.map(|told| serde_json::from_str(told.payload()).unwrap())
}

#[test]
fn two_people_who_approve_at_once_are_first_and_second() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    client.batch_execute("INSERT INTO oncall.router_policy (approvals_required) VALUES (2)").unwrap();
    let id = escalated(&mut client, "db-1");
    let [alice, bob] = ["alice", "bob"].map(|person| {
        let (mut client, id) = (cluster.client_as(person, "postgres").unwrap(), id.clone());
        background(move || approve(&mut client, &id).unwrap())
    });
    let mut states = [alice.result(), bob.result()];
    states.sort();
    assert_eq!(states, ["approved", "awaiting_second"]);
    let row = client.query_one("SELECT decided_by <> second_by, count(*) OVER () FROM oncall.approval", &[]).unwrap();
    assert_eq!((row.get::<_, bool>(0), row.get::<_, i64>(1)), (true, 1));
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_work WHERE purpose = 'approved_step'"), 1);
}

#[test]
fn one_person_in_two_sessions_is_still_one_person() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    let id = escalated(&mut client, "db-1");
    let results = [0, 1].map(|_| {
        let (mut client, id) = (cluster.client_as("alice", "postgres").unwrap(), id.clone());
        background(move || approve(&mut client, &id).map_err(|error| code(&error).to_owned()))
    });
    let mut results = results.map(common::Background::result);
    results.sort();
    assert_eq!(results, [Ok("approved".to_owned()), Err("55000".to_owned())]);
    client.batch_execute("INSERT INTO oncall.router_policy (approvals_required) VALUES (2)").unwrap();
    let id = escalated(&mut client, "db-2");
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    assert_eq!(approve(&mut alice, &id).unwrap(), "awaiting_second");
    // Another role of the same login is no other person.
    alice.batch_execute("SET ROLE oncall_operator").unwrap();
    let error = approve(&mut alice, &id).unwrap_err();
    assert!(told(&error).contains("needs the approval of a second person"), "{}", told(&error));
}

#[test]
fn a_second_person_who_types_what_is_offered_approves_what_the_first_one_chose() {
    let cluster = staffed(&Options::default().workers());
    let mut client = cluster.client().unwrap();
    client
        .batch_execute("INSERT INTO oncall.router_policy (confidence_threshold, approvals_required) VALUES (0.5, 2)")
        .unwrap();
    let open = TWO_TRIES
        .replace("tool: vacuum_analyze", "tool: set_table_autovacuum")
        .replace("{table: public.invoices}", "{table: public.invoices, scale_factor: {one_of: ['0.1', '0.05']}}")
        .replace("destructive: false", "destructive: true");
    client.query("SELECT * FROM oncall.load_runbook($1)", &[&open]).unwrap();
    let alert = json!({"alertname": "InvoicesBloated", "severity": "warning", "message": "the invoices are bloated"});
    let incident = handle(&mut client, &alert);
    client.query("SELECT * FROM oncall.wait_for_incident($1)", &[&incident.id]).unwrap();
    let step = to_approve(&mut client)[0].0.clone();
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    let chosen =
        format!("SELECT * FROM oncall.approve_step('{}', '{step}', '{{\"scale_factor\": \"0.05\"}}')", incident.id);
    alice.batch_execute(&chosen).unwrap_or_else(|error| panic!("{chosen}: {}", told(&error)));
    let mut bob = cluster.client_as("bob", "postgres").unwrap();
    let (_, approve) = to_approve(&mut bob).into_iter().find(|(offered, _)| *offered == step).unwrap();
    bob.batch_execute(&approve).unwrap_or_else(|error| panic!("{approve}: {}", told(&error)));
    let sql = "SELECT count(*) FROM oncall.approval WHERE second_by = 'bob' AND parameters ->> 'scale_factor' = '0.05'";
    assert_eq!(number(&mut client, sql), 1);
}

#[test]
fn an_approval_expires_and_the_workers_do_not_take_it_any_more() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    client.batch_execute("INSERT INTO oncall.router_policy (approval_life) VALUES ('300 ms')").unwrap();
    let id = escalated(&mut client, "db-1");
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    assert_eq!(approve(&mut alice, &id).unwrap(), "approved");
    let expired = "SELECT count(*) FROM oncall.approval WHERE expires_at <= clock_timestamp()";
    until("the approval is too old", || number(&mut client, expired) == 1);
    let taken = client.query_one("SELECT oncall_internal.take_approval(max(approval_id)) FROM oncall.approval", &[]);
    assert_eq!(taken.unwrap().get::<_, Value>(0), json!({"state": "expired", "approval": null}));
    // It can be approved anew, and then it holds.
    assert_eq!(approve(&mut alice, &id).unwrap(), "approved");
    let taken = client.query_one("SELECT oncall_internal.take_approval(max(approval_id)) FROM oncall.approval", &[]);
    assert_eq!(taken.unwrap().get::<_, Value>(0)["state"], "used");
}

#[test]
fn an_approval_is_withdrawn_with_its_incident_whoever_closes_it() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    let id = escalated(&mut client, "db-1");
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    assert_eq!(approve(&mut alice, &id).unwrap(), "approved");
    let mut over = disk_alert("db-1");
    over["status"] = json!("resolved");
    assert_eq!(handle(&mut client, &over).state, "resolved");
    let taken = client.query_one("SELECT oncall_internal.take_approval(max(approval_id)) FROM oncall.approval", &[]);
    assert_eq!(taken.unwrap().get::<_, Value>(0), json!({"state": "withdrawn", "approval": null}));
}

#[test]
fn the_second_person_comes_in_time_or_is_the_first_of_two() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    let policy = "INSERT INTO oncall.router_policy (approvals_required, approval_life) VALUES (2, '300 ms')";
    client.batch_execute(policy).unwrap();
    let id = escalated(&mut client, "db-1");
    let [mut alice, mut bob] = ["alice", "bob"].map(|person| cluster.client_as(person, "postgres").unwrap());
    assert_eq!(approve(&mut alice, &id).unwrap(), "awaiting_second");
    let expired = "SELECT count(*) FROM oncall.approval WHERE expires_at <= clock_timestamp()";
    until("the first approval is too old", || number(&mut client, expired) == 1);
    assert_eq!(approve(&mut bob, &id).unwrap(), "awaiting_second");
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_work WHERE purpose = 'approved_step'"), 0);
}

#[test]
fn a_rolled_back_approval_asks_nobody_to_do_anything() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    let id = escalated(&mut client, "db-1");
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    alice.batch_execute("BEGIN").unwrap();
    assert_eq!(approve(&mut alice, &id).unwrap(), "approved");
    alice.batch_execute("ROLLBACK").unwrap();
    let left = "SELECT (SELECT count(*) FROM oncall.approval)
                     + (SELECT count(*) FROM oncall.incident_work WHERE purpose = 'approved_step')
                     + (SELECT count(approvals) FROM oncall.incident_audit)";
    assert_eq!(number(&mut client, left), 0);
}

#[test]
fn whoever_waits_for_an_incident_sees_what_the_workers_committed_and_can_be_cancelled() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    let id = escalated(&mut client, "db-1");
    let wait = |limit: &'static str| {
        let (mut client, id) = (cluster.client().unwrap(), id.clone());
        let (pid, token) = (backend_pid(&mut client), client.cancel_token());
        let waiting = background(move || {
            let sql = format!("SELECT state FROM oncall.wait_for_incident($1, '{limit}')");
            client.query_one(&sql, &[&id]).map(|row| row.get::<_, String>(0)).map_err(|error| code(&error).to_owned())
        });
        (pid, token, waiting)
    };
    let sleeps = |client: &mut Client, pid: i32| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
        client.query_one(sql, &[&pid]).unwrap().get::<_, i64>(0) == 1
    };
    // After the timeout the row as it is.
    let (_, _, waiting) = wait("50 ms");
    assert_eq!(waiting.result().as_deref(), Ok("routed"));
    let (pid, token, waiting) = wait("1 hour");
    until("it waits", || sleeps(&mut client, pid));
    cancel(&token);
    assert_eq!(waiting.result(), Err("57014".to_owned()));
    // What another session commits ends the wait.
    let (pid, _, waiting) = wait("1 hour");
    until("it waits", || sleeps(&mut client, pid));
    client.batch_execute("UPDATE oncall.incident_work SET state = 'done', done_at = now()").unwrap();
    assert_eq!(waiting.result().as_deref(), Ok("routed"));
    refused(
        &mut client,
        &format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT oncall.wait_for_incident('{id}')"),
        "55000",
    );
}

const VACUUM: &str = "---
id: RB-902
title: The orders are bloated
incident_type: TableBloat
severity: P2
alerts: [OrdersBloated]
---

For the test of an approval that is carried out.

## Vacuum the orders

At a quiet time: a person says when.

```yaml step
tool: vacuum_analyze
parameters: {table: public.orders}
destructive: true
```
";

#[test]
fn what_a_person_approved_is_carried_out_once_after_commit() {
    let cluster = staffed(&Options::default().workers().set("oncall.autonomy", "on"));
    let mut client = cluster.client().unwrap();
    client
        .batch_execute(
            "CREATE TABLE public.orders AS SELECT 1 AS id; ALTER TABLE public.orders OWNER TO oncall_executor",
        )
        .unwrap();
    client.query("SELECT * FROM oncall.load_runbook($1)", &[&VACUUM]).unwrap();
    let alert = json!({"alertname": "OrdersBloated", "severity": "warning", "message": "the orders are bloated"});
    let id = handle(&mut client, &alert).id;
    let wait = |client: &mut Client| {
        let row = client.query_one("SELECT to_jsonb(w) FROM oncall.wait_for_incident($1) AS w", &[&id]).unwrap();
        row.get::<_, Value>(0)
    };
    let paged = wait(&mut client);
    assert_eq!((&paged["state"], &paged["routing_decision"]), (&json!("handled"), &json!("escalate")), "{paged:#}");
    let vacuums = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'orders'";
    assert_eq!(number(&mut client, vacuums), 0);

    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    alice.batch_execute("BEGIN").unwrap();
    let step = "RB-902/vacuum-the-orders";
    alice.query("SELECT * FROM oncall.approve_step($1, $2)", &[&id, &step]).unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_work WHERE purpose = 'approved_step'"), 0);
    alice.batch_execute("COMMIT").unwrap();
    let done = wait(&mut client);
    until("it is vacuumed", || number(&mut client, vacuums) == 1);
    assert_eq!(
        (&done["approvals"][0]["by"], &done["approvals"][0]["step"]),
        (&json!("alice"), &json!(step)),
        "{done:#}"
    );
    assert!(done["remediation_action"].to_string().contains("vacuum"), "{done:#}");
    let row = client.query_one("SELECT state, used_at > decided_at FROM oncall.approval", &[]).unwrap();
    assert_eq!((row.get::<_, String>(0).as_str(), row.get::<_, bool>(1)), ("used", true));
    let again = alice.query("SELECT * FROM oncall.approve_step($1, $2)", &[&id, &step]).unwrap_err();
    assert!(told(&again).contains("was approved already, and begun"), "{}", told(&again));
    assert_eq!(number(&mut client, vacuums), 1);
}

const TWO_TRIES: &str = "---
id: RB-903
title: The invoices are bloated
incident_type: TableBloat
severity: P3
alerts: [InvoicesBloated]
---

## Vacuum them at night

When nobody is looking at invoices.

```yaml step
tool: vacuum_analyze
parameters: {table: public.invoices}
destructive: false
guard: SELECT false
verify: SELECT false
```

## Vacuum them now

It costs those who look at invoices some patience.

```yaml step
tool: vacuum_analyze
parameters: {table: public.invoices}
destructive: false
```
";

/// The steps that wait for a person's word, with what to type.
fn to_approve(client: &mut Client) -> Vec<(String, String)> {
    let rows = client.query("SELECT step_id, approve FROM oncall.steps_to_approve", &[]);
    rows.unwrap_or_else(|error| panic!("{}", told(&error))).iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn what_a_dry_run_offers_can_be_approved_and_is_then_done() {
    let cluster = staffed(&Options::default().workers().set("oncall.autonomy", "dry_run"));
    let mut client = cluster.client().unwrap();
    client
        .batch_execute(
            "CREATE TABLE public.invoices AS SELECT 1 AS id; ALTER TABLE public.invoices OWNER TO oncall_executor;
             INSERT INTO oncall.router_policy (confidence_threshold, note) VALUES (0.5, 'a drill')",
        )
        .unwrap();
    let runbook = TWO_TRIES.replace("SELECT false", "SELECT true");
    client.query("SELECT * FROM oncall.load_runbook($1)", &[&runbook]).unwrap();
    let alert = json!({"alertname": "InvoicesBloated", "severity": "warning", "message": "the invoices are bloated"});
    let incident = handle(&mut client, &alert);
    assert!(incident.is_autonomous(), "{incident:?}");
    let wait = "SELECT remediation_action FROM oncall.wait_for_incident($1)";
    let planned: Value = client.query_one(wait, &[&incident.id]).unwrap().get(0);
    assert_eq!(planned["outcome"], "planned", "{planned:#}");
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    let offered = to_approve(&mut alice);
    let (_, approve) = offered.iter().find(|(step, _)| step == "RB-903/vacuum-them-now").unwrap();
    alice.batch_execute(approve).unwrap_or_else(|error| panic!("{approve}: {}", told(&error)));
    let done: Value = client.query_one(wait, &[&incident.id]).unwrap().get(0);
    assert_eq!(done["outcome"], "done", "{done:#}");
    assert_eq!(done["actions"].as_array().unwrap().last().unwrap()["approved_by"], "alice");
}

#[test]
fn an_approved_step_stands_in_the_audit_row_beside_what_was_tried_before() {
    let cluster = staffed(&Options::default().workers().set("oncall.autonomy", "on"));
    let mut client = cluster.client().unwrap();
    client
        .batch_execute(
            "CREATE TABLE public.invoices AS SELECT 1 AS id; ALTER TABLE public.invoices OWNER TO oncall_executor;
             INSERT INTO oncall.router_policy (confidence_threshold, note) VALUES (0.5, 'a drill')",
        )
        .unwrap();
    client.query("SELECT * FROM oncall.load_runbook($1)", &[&TWO_TRIES]).unwrap();
    let alert = json!({"alertname": "InvoicesBloated", "severity": "warning", "message": "the invoices are bloated"});
    let incident = handle(&mut client, &alert);
    assert!(incident.is_autonomous(), "{incident:?}");
    let id = incident.id;
    let wait = |client: &mut Client| -> Value {
        let sql = "SELECT remediation_action FROM oncall.wait_for_incident($1)";
        client.query_one(sql, &[&id]).unwrap().get(0)
    };
    let ends = |action: &Value| -> Vec<Value> {
        let actions = action["actions"].as_array().unwrap();
        actions.iter().map(|action| json!([action["step"], action["end"]])).collect()
    };
    let (night, now) = ("RB-903/vacuum-them-at-night", "RB-903/vacuum-them-now");
    let before = wait(&mut client);
    assert_eq!(ends(&before), [json!([night, "refused"]), json!([now, "not_reached"])], "{before:#}");
    // Who has no page at hand sees by SQL what waits for a word, and what to type.
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    let offered = to_approve(&mut alice);
    assert!(offered.iter().any(|(step, _)| step == now), "{offered:?}");
    let (_, approve) = offered.iter().find(|(step, _)| step == now).unwrap();
    alice.batch_execute(approve).unwrap_or_else(|error| panic!("{approve}: {}", told(&error)));
    assert!(to_approve(&mut alice).iter().all(|(step, _)| step != now), "it is approved");
    let after = wait(&mut client);
    let all = [json!([night, "refused"]), json!([now, "not_reached"]), json!([now, "done"])];
    assert_eq!((ends(&after), &after["outcome"]), (all.to_vec(), &json!("done")), "{after:#}");
    assert_eq!(after["actions"][2]["approved_by"], "alice");
}

#[test]
fn an_incident_that_is_closed_while_its_page_is_being_queued_is_not_left_open_at_the_sink() {
    let cluster = staffed(&Options::default().workers());
    let sink = StubSink::start();
    let mut client = cluster.client().unwrap();
    client
        .execute("INSERT INTO oncall.sink (name, format, url) VALUES ('ops', 'generic', $1)", &[&sink.url()])
        .unwrap();
    // The workers are held up with a page in their open transaction, which nobody else sees.
    client
        .batch_execute(
            "CREATE TABLE public.go ();
             CREATE FUNCTION public.hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 WHILE NEW.kind = 'page' AND NOT EXISTS (SELECT FROM public.go) LOOP
                     PERFORM pg_sleep(0.01);
                 END LOOP;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER hold_up BEFORE INSERT ON oncall.incident_step FOR EACH ROW EXECUTE FUNCTION public.hold_up()",
        )
        .unwrap();
    let id = escalated(&mut client, "db-1");
    let held = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall pump' AND wait_event = 'PgSleep'";
    until("the workers are held up", || number(&mut client, held) == 1);
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    alice.execute("SELECT oncall.resolve_incident($1, 'a drill', NULL)", &[&id]).unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.delivery"), 0, "there is nothing to end yet");
    client.batch_execute("INSERT INTO public.go DEFAULT VALUES").unwrap();
    until("two pages have come", || sink.count() == 2);
    let pages: Vec<Value> = sink.received().iter().map(|received| received.request.json()["data"].clone()).collect();
    assert_eq!((&pages[0]["kind"], &pages[1]["kind"]), (&json!("escalation"), &json!("resolved")), "{pages:#?}");
    assert_eq!(pages[1]["done"][0], json!({"step_id": null, "summary": "alice", "outcome": "a drill"}));
}

#[test]
fn a_wait_ends_where_an_action_waits_for_it() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    let id = escalated(&mut client, "db-1");
    client
        .batch_execute(
            "ALTER ROLE oncall_executor LOGIN CONNECTION LIMIT -1;
             GRANT CREATE ON SCHEMA public TO oncall_executor;
             CREATE TABLE public.orders AS SELECT n AS id FROM generate_series(1, 1000) AS n;
             ALTER TABLE public.orders OWNER TO oncall_executor",
        )
        .unwrap();
    let mut waiter = cluster.client().unwrap();
    let pid = backend_pid(&mut waiter);
    let waiting = background(move || {
        let sql = "SELECT state FROM oncall.wait_for_incident($1, '1 hour')";
        waiter.query_one(sql, &[&id]).map(|row| row.get::<_, String>(0)).map_err(|error| told(&error))
    });
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
    until("it waits", || client.query_one(sleeps, &[&pid]).unwrap().get::<_, i64>(0) == 1);
    // It waits for every older snapshot, that of the statement that waits for the incident too.
    let mut executor = cluster.client_as("oncall_executor", "postgres").unwrap();
    let built = background(move || {
        executor
            .batch_execute("CREATE INDEX CONCURRENTLY orders_id ON public.orders (id)")
            .map_err(|error| told(&error))
    });
    assert_eq!(waiting.result().as_deref(), Ok("routed"));
    assert_eq!(built.result(), Ok(()));
}

#[test]
fn every_change_is_told_after_commit_in_its_order_and_nothing_of_what_was_rolled_back() {
    let cluster = staffed(&Options::default().workers());
    let mut listener = cluster.client_as("bob", "postgres").unwrap();
    listener.batch_execute("LISTEN oncall_incident").unwrap();
    let mut client = cluster.client().unwrap();
    client.batch_execute("BEGIN").unwrap();
    let lost = escalated(&mut client, "db-0");
    client.batch_execute("ROLLBACK").unwrap();
    let id = escalated(&mut client, "db-1");
    let mut alice = cluster.client_as("alice", "postgres").unwrap();
    alice.execute("SELECT oncall.acknowledge_incident($1)", &[&id]).unwrap();
    alice.execute("SELECT oncall.resolve_incident($1, 'done', true)", &[&id]).unwrap();
    let mut told: Vec<Value> = Vec::new();
    while told.last().is_none_or(|last| last["state"] != "resolved") {
        let next = heard(&mut listener).expect("the resolution is told");
        assert_ne!(next["incident_id"], lost.as_str(), "told of what was rolled back");
        assert_eq!(next["incident_id"], id.as_str());
        told.push(next);
    }
    let states: Vec<&str> = told.iter().filter_map(|change| change["state"].as_str()).collect();
    // What was triaged and routed in one breath was never only triaged.
    assert_eq!(states[..2], ["received", "routed"], "{told:#?}");
    let routed = &told[1];
    assert_eq!((&routed["severity"], &routed["route"]), (&json!("P1"), &json!("escalate")), "{told:#?}");
    assert!(told.iter().any(|change| change["acknowledged_by"] == "alice"), "{told:#?}");
    let times: Vec<&str> = told.iter().filter_map(|change| change["at"].as_str()).collect();
    assert!(times.len() == told.len() && times.is_sorted(), "{times:?}");
    until("nothing is left to tell", || number(&mut client, "SELECT count(*) FROM oncall.announcement") == 0);
}

#[test]
fn what_a_window_holds_is_given_back_when_it_ends_or_is_ended() {
    let cluster = staffed(&Options::default());
    let mut client = cluster.client().unwrap();
    let window = "INSERT INTO oncall.maintenance_window (during, labels)
                  VALUES (tstzrange(now(), now() + interval '1 hour'), '{\"instance\": \"db-1\"}')";
    cluster.client_as("alice", "postgres").unwrap().batch_execute(window).unwrap();
    let ids = ["db-1", "db-2"].map(|instance| escalated(&mut client, instance));
    // As the treatment holds it back.
    let hold =
        "UPDATE oncall.incident_work AS w SET state = 'held', not_before = oncall_internal.window_of(a.alert, now())
                FROM oncall.incident_audit AS a
                WHERE a.incident_id = w.incident_id AND oncall_internal.window_of(a.alert, now()) IS NOT NULL
                RETURNING w.incident_id";
    let held: Vec<String> = client.query(hold, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(held, ids[..1]);
    let held = "SELECT count(*) FROM oncall.incident_work WHERE state = 'held' AND not_before > now()";
    client.batch_execute("SELECT oncall_internal.release_held(false)").unwrap();
    assert_eq!(number(&mut client, held), 1, "the window still lasts");
    let longer =
        "UPDATE oncall.maintenance_window SET during = tstzrange(lower(during), upper(during) + interval '1 hour')";
    cluster.client_as("bob", "postgres").unwrap().batch_execute(longer).unwrap();
    let later = "SELECT count(*) FROM oncall.incident_work WHERE not_before > now() + interval '90 min'";
    assert_eq!(number(&mut client, later), 1, "a longer window holds it for longer");
    let end = "UPDATE oncall.maintenance_window SET during = tstzrange(lower(during), clock_timestamp())";
    cluster.client_as("bob", "postgres").unwrap().batch_execute(end).unwrap();
    assert_eq!(number(&mut client, held), 0);
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_work WHERE state = 'queued'"), 2);
}
