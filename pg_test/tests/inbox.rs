//! The inbox: alerts in through a table, incidents out of a background worker.

mod common;

use std::time::Duration;

use common::{bare, handle, number, refused, set, told, until};
use pg_test::stub_pod::{Behaviour, Recorded, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;
use serde_json::{Value, json};

/// A server whose worker looks by itself once an hour, so that what a test sees is the work of wake-ups.
fn cluster() -> Cluster {
    bare(&Options::default().workers().set("oncall.poll_interval", "1h"))
}

fn alert(name: &str) -> Value {
    json!({ "alertname": name, "severity": "warning", "message": format!("{name} hurts") })
}

fn resolved(name: &str) -> Value {
    json!({ "alertname": name, "status": "resolved", "message": format!("{name} is over") })
}

/// Insert these in one statement, so that one batch has them all; the id of the last.
fn hand_in(client: &mut Client, payloads: &[Value]) -> i64 {
    let sql = "INSERT INTO oncall.alert_inbox (source, payload)
               SELECT 'test', p.value FROM jsonb_array_elements($1) WITH ORDINALITY AS p (value, place) ORDER BY p.place
               RETURNING id";
    let rows = client.query(sql, &[&Value::from(payloads.to_vec())]).unwrap_or_else(|error| panic!("{}", told(&error)));
    rows.iter().map(|row| row.get(0)).max().expect("a payload was given")
}

const WAITING: &str = "SELECT count(*) FROM oncall.alert_inbox WHERE state = 'waiting'";

fn until_taken_in(client: &mut Client) {
    until("the inbox is empty", || number(client, WAITING) == 0);
}

/// State and incidents of each row, oldest first.
fn rows(client: &mut Client) -> Vec<(String, Vec<String>)> {
    let sql = "SELECT state, coalesce(incident_ids, '{}') FROM oncall.alert_inbox ORDER BY id";
    client.query(sql, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Name, count and whether it is closed, of each incident.
fn incidents(client: &mut Client) -> Vec<(String, i32, bool)> {
    let sql = "SELECT alert ->> 'name', alert_count, closed_at IS NOT NULL FROM oncall.incident_audit ORDER BY 1, incident_id";
    client.query(sql, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn incident(name: &str, count: i32, closed: bool) -> (String, i32, bool) {
    (name.to_owned(), count, closed)
}

#[test]
fn what_is_committed_becomes_an_incident_that_waits_for_treatment_and_what_is_rolled_back_never_was() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    let mut lost = client.transaction().unwrap();
    lost.execute("INSERT INTO oncall.alert_inbox (payload) VALUES ($1)", &[&alert("Lost")]).unwrap();
    lost.rollback().unwrap();
    hand_in(&mut client, &[alert("Kept")]);
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("Kept", 1, false)]);
    let rows = rows(&mut client);
    assert_eq!((rows.len(), rows[0].0.as_str(), rows[0].1.len()), (1, "done", 1));
    let queued = "SELECT count(*) FROM oncall.incident_work AS w JOIN oncall.incident_audit USING (incident_id) WHERE purpose = 'treat'";
    assert_eq!(number(&mut client, queued), 1);
    let wide = "SELECT count(*) FROM oncall.alert_inbox WHERE received_by = 'postgres' AND source = 'test' AND done_at >= received_at";
    assert_eq!(number(&mut client, wide), 1);
}

#[test]
fn who_may_only_hand_in_may_do_nothing_else() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    client.batch_execute("CREATE ROLE gateway LOGIN IN ROLE oncall_ingest").unwrap();
    let mut gateway = cluster.client_as("gateway", "postgres").unwrap();
    gateway
        .execute("INSERT INTO oncall.alert_inbox (source, payload) VALUES ('gateway', $1)", &[&alert("In")])
        .unwrap();
    for sql in [
        "SELECT * FROM oncall.alert_inbox",
        "SELECT * FROM oncall.malformed_alerts",
        "INSERT INTO oncall.alert_inbox (payload) VALUES ('{}') RETURNING id",
        "INSERT INTO oncall.alert_inbox (payload, received_by) VALUES ('{}', 'postgres')",
        "INSERT INTO oncall.alert_inbox (payload, received_at) VALUES ('{}', '2020-01-01')",
        "INSERT INTO oncall.alert_inbox (payload, state, done_at) VALUES ('{}', 'done', now())",
        "INSERT INTO oncall.alert_inbox (id, payload) OVERRIDING SYSTEM VALUE VALUES (1, '{}')",
        "UPDATE oncall.alert_inbox SET state = 'done'",
        "DELETE FROM oncall.alert_inbox",
        "TRUNCATE oncall.alert_inbox",
        "SELECT nextval('oncall.alert_inbox_id_seq')",
        "SELECT * FROM oncall.incident_audit",
        "SELECT * FROM oncall.triage_alert('x')",
        "SELECT * FROM oncall.explain_dedup('x')",
        "SELECT oncall_internal.wake()",
    ] {
        refused(&mut gateway, sql, "42501");
    }
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("In", 1, false)]);
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.alert_inbox WHERE received_by = 'gateway'"), 1);
}

#[test]
fn what_cannot_be_read_is_kept_and_shown_and_raises_an_incident_and_holds_nobody_up() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    // What serde_json cannot read, no driver of this test could send either: it is made in the database.
    client
        .batch_execute(
            r#"INSERT INTO oncall.alert_inbox (source, payload) VALUES
                ('a', '{"alertname": "Before", "message": "x"}'), ('a', 'null'), ('a', '[]'), ('a', '{"colour": "blue"}'),
                ('a', '1e400'), ('a', ('{"text": "x", "n": 1e400}')::jsonb), ('a', (repeat('[', 200) || repeat(']', 200))::jsonb),
                ('b', to_jsonb(repeat('x', 3000000))), ('b', to_jsonb('password=hunter2 ' || repeat(' ', 3000000))),
                ('a', '{"alertname": "After", "message": "x"}')"#,
        )
        .unwrap();
    until_taken_in(&mut client);
    assert_eq!(
        incidents(&mut client),
        [
            incident("After", 1, false),
            incident("AlertUnreadable", 6, false),
            incident("AlertUnreadable", 2, false),
            incident("Before", 1, false)
        ],
        "one incident for each sender of what cannot be read"
    );
    let shown = client
        .query("SELECT source, error, incident_ids, bytes FROM oncall.malformed_alerts ORDER BY id", &[])
        .unwrap();
    let expected = [
        "not null",
        "empty",
        "no known format",
        "out of range",
        "out of range",
        "recursion limit",
        "3000002 bytes",
        "3000019 bytes",
    ];
    assert_eq!(shown.len(), expected.len());
    for (row, words) in shown.iter().zip(expected) {
        let (error, ids): (String, Vec<String>) = (row.get(1), row.get(2));
        assert!(error.contains(words), "{error}");
        assert_eq!(ids.len(), 1);
    }
    let told = "SELECT count(*) FROM oncall.incident_audit WHERE severity = 'P2' AND alert_text LIKE 'an alert could not be read: %'";
    assert_eq!(number(&mut client, told), 2);
}

#[test]
fn any_table_becomes_an_inbox_by_a_trigger() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    client
        .batch_execute("CREATE ROLE app LOGIN; GRANT oncall_ingest TO app; CREATE SCHEMA app AUTHORIZATION app")
        .unwrap();
    let mut app = cluster.client_as("app", "postgres").unwrap();
    app.batch_execute(
        "CREATE TABLE app.events (id int, body text, note text);
         CREATE TRIGGER hand_in AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger('body', 'events');
         CREATE TABLE app.alarms (alertname text, severity text, message text);
         CREATE TRIGGER hand_in AFTER INSERT ON app.alarms FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger();
         CREATE TABLE app.hooks (body jsonb);
         CREATE TRIGGER hand_in AFTER INSERT ON app.hooks FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger('body');
         CREATE TABLE app.wrong (body jsonb);
         CREATE TRIGGER hand_in AFTER INSERT ON app.wrong FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger('payload');
         INSERT INTO app.events VALUES (1, '{\"alertname\": \"FromText\", \"message\": \"x\"}', 'n'), (2, 'the disk is full', 'n');
         INSERT INTO app.alarms VALUES ('FromRow', 'critical', 'it hurts');
         INSERT INTO app.hooks VALUES ('{\"alertname\": \"FromJson\", \"message\": \"x\"}'), (NULL)",
    )
    .unwrap();
    let mut lost = app.transaction().unwrap();
    lost.batch_execute("INSERT INTO app.alarms VALUES ('Lost', 'critical', 'x')").unwrap();
    lost.rollback().unwrap();
    let message = refused(&mut app, "INSERT INTO app.wrong VALUES ('{}')", "42703");
    assert!(message.contains("app.wrong has no column \"payload\""), "{message}");
    // Nor does it give its rights away: what it reads is the row it was fired for.
    refused(&mut app, "SELECT * FROM oncall.alert_inbox", "42501");
    until_taken_in(&mut client);
    let sql = "SELECT source, received_by::text, state, (SELECT alert_text FROM oncall.incident_audit AS a WHERE a.incident_id = i.incident_ids[1])
               FROM oncall.alert_inbox AS i ORDER BY id";
    let seen: Vec<(String, String, String, String)> =
        client.query(sql, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    let seen: Vec<_> =
        seen.iter().map(|(s, by, state, text)| (s.as_str(), by.as_str(), state.as_str(), text.as_str())).collect();
    assert_eq!(
        seen[..4],
        [
            ("events", "app", "done", "x"),
            ("events", "app", "done", "the disk is full"),
            ("app.alarms", "app", "done", "it hurts"),
            ("app.hooks", "app", "done", "x"),
        ]
    );
    assert_eq!(
        (seen.len(), seen[4].0, seen[4].2),
        (5, "app.hooks", "malformed"),
        "a NULL is no alert, and is not lost"
    );
}

#[test]
fn repeats_join_the_worst_severity_counts_and_a_resolution_parts_them_within_a_batch() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    let mut worse = alert("A");
    worse["severity"] = json!("critical");
    let mut better = alert("A");
    better["severity"] = json!("info");
    hand_in(
        &mut client,
        &[alert("A"), worse, better, alert("B"), resolved("A"), resolved("A"), alert("A"), resolved("C")],
    );
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("A", 3, true), incident("A", 1, false), incident("B", 1, false)]);
    let rows = rows(&mut client);
    let of = |place: usize| rows[place].1.as_slice();
    assert!(rows.iter().all(|(state, _)| state == "done"), "{rows:?}");
    assert_eq!((of(0), of(0), of(0)), (of(1), of(2), of(4)), "the resolution closes what the three before it opened");
    assert_ne!(of(0), of(6));
    assert!(of(5).is_empty() && of(7).is_empty(), "there was nothing left to close: {rows:?}");
    let worst = "SELECT count(*) FROM oncall.incident_audit WHERE severity = 'P1' AND state = 'resolved'";
    assert_eq!(number(&mut client, worst), 1);
    // A batch later it is the same incident still, and the next resolution is its end.
    hand_in(&mut client, &[alert("A")]);
    until_taken_in(&mut client);
    hand_in(&mut client, &[resolved("A")]);
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("A", 3, true), incident("A", 2, true), incident("B", 1, false)]);
}

#[test]
fn payloads_of_several_alerts_belong_to_the_incident_of_each() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    let group = |alerts: &[(&str, &str)]| {
        let alerts: Vec<Value> = alerts
            .iter()
            .map(|(status, name)| json!({ "status": status, "labels": { "alertname": name }, "annotations": { "summary": name } }))
            .collect();
        json!({ "version": "4", "status": "firing", "alerts": alerts })
    };
    let first = group(&[("firing", "A"), ("firing", "B"), ("firing", "A")]);
    let second = group(&[("resolved", "B"), ("firing", "C"), ("firing", "A")]);
    hand_in(&mut client, &[first, second]);
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("A", 3, false), incident("B", 1, true), incident("C", 1, false)]);
    let rows = rows(&mut client);
    let (a, b) = (&rows[0].1[0], &rows[0].1[1]);
    assert_eq!(rows[0].1.len(), 2, "each incident once");
    assert_eq!((&rows[1].1[0], &rows[1].1[2]), (b, a), "in the order of the payload");
}

#[test]
fn ten_thousand_alerts_with_twenty_fingerprints_are_twenty_incidents_and_twenty_questions() {
    let pod = StubPod::start(Behaviour::Ok);
    let cluster = bare(&with_pod(&pod));
    let sessions: Vec<_> = (0..4)
        .map(|session| {
            let mut client = cluster.client().unwrap();
            common::background(move || {
                let alerts: Vec<Value> = (0..50).map(|n| alert(&format!("Storm{:02}", (n + session) % 20))).collect();
                for _ in 0..50 {
                    hand_in(&mut client, &alerts);
                }
            })
        })
        .collect();
    sessions.into_iter().for_each(common::Background::result);
    let mut client = cluster.client().unwrap();
    until_taken_in(&mut client);
    let all = incidents(&mut client);
    assert_eq!((all.len(), all.iter().map(|(_, count, _)| count).sum::<i32>()), (20, 10_000), "{all:?}");
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.alert_inbox WHERE state = 'done'"), 10_000);
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_work"), 20, "each is treated once");
    until_treated(&mut client);
    let is_triage = |request: &Recorded| request.json()["response_format"]["json_schema"]["name"] == "triage";
    assert_eq!(pod.requests().iter().filter(|request| is_triage(request)).count(), 20);
}

#[test]
fn what_cannot_be_read_escalates_even_where_a_model_would_act() {
    let pod = StubPod::start(Behaviour::Ok);
    let cluster = common::server(&with_pod(&pod).set("oncall.autonomy", "dry_run"));
    let mut client = cluster.client().unwrap();
    hand_in(&mut client, &[json!(null), common::pool_alert("db-1")]);
    until_taken_in(&mut client);
    until_treated(&mut client);
    let mut routes: Vec<(String, String, bool)> = client
        .query("SELECT alert ->> 'name', routing_decision, cardinality(recommended_actions) > 0 FROM oncall.incident_audit", &[])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    routes.sort();
    let route = |name: &str, route: &str| (name.to_owned(), route.to_owned(), true);
    assert_eq!(routes, [route("AlertUnreadable", "escalate"), route("PgBouncerPoolExhausted", "autonomous")]);
}

#[test]
fn with_no_worker_slot_free_alerts_are_still_taken_in() {
    let pod = StubPod::start(Behaviour::Ok);
    // One for the server's own launcher, one for ours, one for the pump.
    let cluster = bare(&with_pod(&pod).set("max_worker_processes", "3"));
    let mut client = cluster.client().unwrap();
    hand_in(&mut client, &[alert("First")]);
    let waits = "SELECT count(*) FROM oncall.worker_status() WHERE waiting_for LIKE '%a worker slot%'";
    until("its treatment waits for a worker slot", || number(&mut client, waits) == 1);
    hand_in(&mut client, &[alert("Second")]);
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("First", 1, false), incident("Second", 1, false)]);
}

fn with_pod(pod: &StubPod) -> Options {
    let options = Options::default().workers().set("oncall.poll_interval", "1h");
    options.set("oncall.model_url", &pod.url()).set("oncall.chat_model", "stub-chat")
}

fn until_treated(client: &mut Client) {
    let left = "SELECT count(*) FROM oncall.incident_work WHERE state <> 'done'";
    until("every incident is treated", || number(client, left) == 0);
}

#[test]
fn an_alert_that_fails_each_time_is_given_up_after_three_tries_and_the_others_are_not() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    poison(&mut client, "RAISE EXCEPTION 'it hurts to write this' USING ERRCODE = 'data_exception';");
    hand_in(&mut client, &[alert("Before"), alert("Poison"), alert("After")]);
    until_taken_in(&mut client);
    assert_given_up(&mut client, "it was given up after 3 tries: it hurts to write this");
}

#[test]
fn an_alert_that_ends_the_worker_is_given_up_after_three_tries_and_the_others_are_not() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    poison(&mut client, "PERFORM pg_terminate_backend(pg_backend_pid());");
    hand_in(&mut client, &[alert("Before"), alert("Poison"), alert("After")]);
    until_taken_in(&mut client);
    assert_given_up(&mut client, "the worker that read it ended each time");
}

#[test]
fn an_alert_that_crashes_the_server_is_given_up_after_a_few_tries_and_the_others_are_not() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    hand_in(&mut client, &[alert("Quiet")]);
    until_taken_in(&mut client);
    poison(&mut client, "EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid());");
    // The server may be down before it has answered.
    let sql = "INSERT INTO oncall.alert_inbox (source, payload) SELECT 'test', value FROM jsonb_array_elements($1)";
    let _ = client.execute(sql, &[&json!([alert("Before"), alert("Poison"), alert("After")])]);
    until("the inbox is empty", || {
        let sessions = cluster.client();
        sessions.is_ok_and(|mut client| client.query_one(WAITING, &[]).is_ok_and(|row| row.get::<_, i64>(0) == 0))
    });
    let mut client = cluster.client().unwrap();
    let states: Vec<String> = rows(&mut client).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["done", "done", "given_up", "done"]);
    let all = ["After", "AlertUnreadable", "Before", "Quiet"].map(|name| incident(name, 1, false));
    assert_eq!(incidents(&mut client), all);
}

/// Let this happen to whoever writes an incident of the name `Poison`.
fn poison(client: &mut Client, what: &str) {
    client
        .batch_execute(&format!(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.alert ->> 'name' = 'Poison' THEN {what} END IF; RETURN NEW;
             END $$;
             CREATE TRIGGER poison BEFORE INSERT ON oncall.incident_audit FOR EACH ROW EXECUTE FUNCTION poison()"
        ))
        .unwrap();
}

fn assert_given_up(client: &mut Client, why: &str) {
    let states: Vec<String> = rows(client).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["done", "given_up", "done"]);
    assert_eq!(
        incidents(client),
        [incident("After", 1, false), incident("AlertUnreadable", 1, false), incident("Before", 1, false)]
    );
    let shown = client.query_one("SELECT error FROM oncall.malformed_alerts", &[]).unwrap();
    assert!(shown.get::<_, &str>(0).contains(why), "{shown:?}");
}

#[test]
fn a_session_that_holds_an_incident_holds_up_its_own_fingerprint_only_and_in_order() {
    let cluster = cluster();
    let mut client = cluster.client().unwrap();
    let mut slow = cluster.client().unwrap();
    slow.batch_execute("BEGIN").unwrap();
    let held = handle(&mut slow, &alert("Held"));
    hand_in(&mut client, &[alert("Held"), resolved("Held"), alert("Free"), alert("Held")]);
    until("the free one is taken in", || number(&mut client, WAITING) == 3);
    assert_eq!(incidents(&mut client), [incident("Free", 1, false)]);
    slow.batch_execute("COMMIT").unwrap();
    until_taken_in(&mut client);
    // The alert that waited joined what the slow session opened, then its resolution closed that.
    assert_eq!(
        incidents(&mut client),
        [incident("Free", 1, false), incident("Held", 2, true), incident("Held", 1, false)]
    );
    assert_eq!(rows(&mut client)[0].1, [held.id]);
    let tries = "SELECT max(attempts)::bigint FROM oncall.alert_inbox";
    assert!(number(&mut client, tries) <= 1, "to wait is no try");
}

#[test]
fn a_row_that_somebody_has_locked_is_passed_over_until_it_is_free() {
    let cluster = bare(&Options::default().set("oncall.poll_interval", "1h"));
    let mut client = cluster.client().unwrap();
    hand_in(&mut client, &[alert("Locked"), alert("Free")]);
    let mut other = cluster.client().unwrap();
    other.batch_execute("BEGIN; SELECT FROM oncall.alert_inbox ORDER BY id LIMIT 1 FOR UPDATE").unwrap();
    client.batch_execute("ALTER SYSTEM SET oncall.workers = on").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    until("the free one is taken in", || number(&mut client, WAITING) == 1);
    assert_eq!(incidents(&mut client), [incident("Free", 1, false)]);
    other.batch_execute("ROLLBACK").unwrap();
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("Free", 1, false), incident("Locked", 1, false)]);
}

#[test]
fn what_a_prepared_transaction_hands_in_is_found_by_the_poll() {
    let options =
        Options::default().workers().set("max_prepared_transactions", "2").set("oncall.poll_interval", "200ms");
    let cluster = bare(&options);
    let mut client = cluster.client().unwrap();
    client.batch_execute("BEGIN").unwrap();
    hand_in(&mut client, &[alert("Prepared")]);
    client.batch_execute("PREPARE TRANSACTION 'p'").unwrap();
    client.batch_execute("COMMIT PREPARED 'p'").unwrap();
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("Prepared", 1, false)]);
}

#[test]
fn what_came_in_while_no_worker_was_there_is_taken_in_by_the_next() {
    let mut cluster = bare(&Options::default().set("oncall.poll_interval", "1h"));
    let mut client = cluster.client().unwrap();
    hand_in(&mut client, &[alert("Early"), alert("Early")]);
    client.batch_execute("ALTER SYSTEM SET oncall.workers = on").unwrap();
    drop(client);
    cluster.restart("QUIT").unwrap();
    let mut client = cluster.client().unwrap();
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("Early", 2, false)]);
}

#[test]
fn with_every_connection_taken_an_alert_is_still_taken_in() {
    let cluster =
        bare(&Options::default().workers().set("max_connections", "6").set("superuser_reserved_connections", "0"));
    let mut sessions: Vec<Client> = Vec::new();
    while let Ok(session) = cluster.client() {
        sessions.push(session);
    }
    assert!(cluster.client().is_err(), "the server is full");
    let client = sessions.last_mut().expect("there was room for some");
    hand_in(client, &[alert("Full")]);
    until_taken_in(client);
    assert_eq!(incidents(client), [incident("Full", 1, false)]);
}

#[test]
fn a_repeat_that_waited_long_counts_by_when_it_came_in() {
    let cluster =
        bare(&Options::default().workers().set("oncall.poll_interval", "1h").set("oncall.dedup_window", "1s"));
    let mut client = cluster.client().unwrap();
    hand_in(&mut client, &[alert("A")]);
    until_taken_in(&mut client);
    client.batch_execute("ALTER SYSTEM SET oncall.workers = off").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    set(&mut client, "oncall.dedup_window", "1h");
    let explain = "SELECT rule FROM oncall.explain_dedup($1::jsonb)";
    let rule = |client: &mut Client| client.query_one(explain, &[&alert("A")]).unwrap().get::<_, String>(0);
    assert_eq!(rule(&mut client), "open_incident");
    set(&mut client, "oncall.dedup_window", "0");
    assert_eq!(rule(&mut client), "window_passed");
    until("the worker is gone", || {
        number(&mut client, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE '%oncall%pump%'") == 0
    });
    hand_in(&mut client, &[alert("A")]);
    std::thread::sleep(Duration::from_millis(1500));
    client.batch_execute("ALTER SYSTEM SET oncall.workers = on").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    until_taken_in(&mut client);
    assert_eq!(incidents(&mut client), [incident("A", 2, false)], "it came in within the second");
}
