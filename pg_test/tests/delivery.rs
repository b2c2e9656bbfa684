//! Pages leave the database: after commit, at least once, in order for one incident, and only to where they may go.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use common::{bare, handle, number, refused, until};
use pg_test::stub_sink::{Answer, Received, StubSink};
use pg_test::{Cluster, Options};
use postgres::Client;
use serde_json::{Value, json};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn workers() -> Options {
    Options::default().workers()
}

/// An incident of the audit, as another test's triage would have left it.
fn incident(client: &mut Client, id: &str, severity: &str) {
    let sql =
        "INSERT INTO oncall.incident_audit (incident_id, alert_text, severity, fingerprint, state, classification)
               VALUES ($1, 'WAL volume at 94.7%', $2, $1, 'routed', 'DiskSpaceCritical')";
    client.execute(sql, &[&id, &severity]).unwrap();
}

fn page(client: &mut Client, incident: &str, note: &str) -> Vec<String> {
    let rows = client.query("SELECT * FROM oncall.page_incident($1, $2)", &[&incident, &note]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A generic sink without a secret.
fn sink(client: &mut Client, name: &str, url: &str) {
    client.execute("INSERT INTO oncall.sink (name, format, url) VALUES ($1, 'generic', $2)", &[&name, &url]).unwrap();
}

/// Put secrets where sinks find them.
fn secrets(cluster: &Cluster, client: &mut Client, files: &[(&str, &str)]) {
    let account = &cluster.tree().place.account;
    let directory = cluster.dir().join("secrets");
    fs::create_dir(&directory).unwrap();
    account.give(&directory).unwrap();
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, format!("{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        account.give(&path).unwrap();
    }
    configure(client, "oncall.secret_directory", &directory.display().to_string());
}

/// Set a parameter for the whole server, and wait until it holds.
fn configure(client: &mut Client, name: &str, value: &str) {
    client.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    until("the setting holds", || {
        client.query_one("SELECT current_setting($1)", &[&name]).unwrap().get::<_, String>(0) == value
    });
    // The server tells its processes one after the other: the workers may hear it a moment after this session.
    std::thread::sleep(Duration::from_millis(300));
}

fn state(client: &mut Client, id: i64) -> (String, Option<i32>, Option<String>) {
    let sql = "SELECT state, last_status, last_error FROM oncall.delivery WHERE id = $1";
    let row = client.query_one(sql, &[&id]).unwrap();
    (row.get(0), row.get(1), row.get(2))
}

fn test_page(client: &mut Client, sink: &str) -> i64 {
    client.query_one("SELECT oncall.send_test_page($1)", &[&sink]).unwrap().get(0)
}

const WAITING: &str = "SELECT count(*) FROM oncall.delivery WHERE state = 'waiting'";
const SENT: &str = "SELECT count(*) FROM oncall.delivery WHERE state = 'sent'";

fn pump(client: &mut Client) -> Option<u32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_oncall pump' AND datname = current_database()";
    client.query_opt(sql, &[]).unwrap().map(|row| row.get::<_, i32>(0) as u32)
}

/// The notes of each incident's pages in the order in which they were accepted.
fn accepted_notes(received: &[Received]) -> BTreeMap<String, Vec<String>> {
    let mut notes = BTreeMap::<String, Vec<String>>::new();
    for body in received.iter().filter(|r| r.is_accepted()).map(|r| r.request.json()) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        notes.entry(text(&body["subject"])).or_default().push(text(&body["data"]["title"]));
    }
    notes
}

/// HMAC-SHA256 by the server's own sha256(): an independent opinion on the signature.
fn hmac(client: &mut Client, key: &[u8], message: &[u8]) -> String {
    let mut sha256 = |data: Vec<u8>| client.query_one("SELECT sha256($1)", &[&data]).unwrap().get::<_, Vec<u8>>(0);
    let pad = |byte: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).unwrap_or(&0) ^ byte).collect() };
    let inner = sha256([pad(0x36), message.to_vec()].concat());
    let outer = sha256([pad(0x5c), inner].concat());
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_page_reaches_each_kind_of_sink_in_its_own_words() {
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    let (slack, teams) =
        (format!("{}/services/T0/B0/xyz", receiver.url()), format!("{}/workflows/abc", receiver.url()));
    secrets(
        &cluster,
        &mut client,
        &[("signing", KEY), ("routing", KEY), ("genie", KEY), ("slack", &slack), ("teams", &teams)],
    );
    let url = receiver.url();
    client
        .batch_execute(&format!(
            "INSERT INTO oncall.sink (name, format, url, secret_file) VALUES
                 ('generic', 'generic', '{url}/hook', 'signing'), ('slack', 'slack', NULL, 'slack'),
                 ('pagerduty', 'pagerduty', '{url}/v2/enqueue', 'routing'), ('teams', 'teams', NULL, 'teams'),
                 ('opsgenie', 'opsgenie', '{url}', 'genie')"
        ))
        .unwrap();
    incident(&mut client, "INC-9001", "P1");
    let sinks = page(&mut client, "INC-9001", "the standby is behind");
    assert_eq!(sinks, ["generic", "opsgenie", "pagerduty", "slack", "teams"]);
    until("all are sent", || number(&mut client, SENT) == 5);

    let received = receiver.received();
    assert_eq!(received.len(), 5);
    let by_path: BTreeMap<&str, &Received> = received.iter().map(|r| (r.request.path.as_str(), r)).collect();
    let body = |path: &str| -> Value { by_path[path].request.json() };
    for received in &received {
        assert_eq!(received.request.method, "POST");
        assert_eq!(received.request.header("content-type"), Some("application/json"));
        assert!(received.key().contains(".INC-9001."), "{}", received.key());
        assert!(String::from_utf8_lossy(&received.request.body).contains("the standby is behind"));
    }
    assert_eq!(body("/services/T0/B0/xyz")["blocks"][0]["type"], "header");
    assert_eq!(body("/workflows/abc")["attachments"][0]["content"]["type"], "AdaptiveCard");
    let pagerduty = body("/v2/enqueue");
    assert_eq!((&pagerduty["routing_key"], &pagerduty["event_action"]), (&Value::from(KEY), &Value::from("trigger")));
    let opsgenie = body("/v2/alerts");
    assert_eq!(opsgenie["alias"], pagerduty["dedup_key"], "one key of the incident in both");
    assert_eq!(by_path["/v2/alerts"].request.header("authorization"), Some(&*format!("GenieKey {KEY}")));

    // The receiver checks the signature over the bytes that came.
    let generic = &by_path["/hook"].request;
    let signature = generic.header("x-pgoncall-signature").unwrap();
    let (time, code) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).unwrap();
    let message = [format!("{time}.").as_bytes(), &generic.body].concat();
    assert_eq!(hmac(&mut client, KEY.as_bytes(), &message), code);
    assert_eq!(generic.json()["id"], by_path["/hook"].key());
}

/// What came to a path beyond the first requests.
fn since(receiver: &StubSink, first: usize, path: &str) -> Vec<Value> {
    let later = receiver.received().into_iter().skip(first);
    later.filter(|received| received.request.path == path).map(|received| received.request.json()).collect()
}

#[test]
fn whoever_was_paged_hears_once_and_after_commit_that_it_is_over_and_nobody_else_does() {
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    secrets(
        &cluster,
        &mut client,
        &[("routing", KEY), ("genie", KEY), ("slack", &format!("{}/slack", receiver.url()))],
    );
    let url = receiver.url();
    client
        .batch_execute(&format!(
            "INSERT INTO oncall.sink (name, format, url, secret_file, min_severity, kinds) VALUES
                 ('generic', 'generic', '{url}/hook', NULL, NULL, NULL), ('slack', 'slack', NULL, 'slack', NULL, NULL),
                 ('pagerduty', 'pagerduty', '{url}/v2/enqueue', 'routing', NULL, NULL),
                 ('opsgenie', 'opsgenie', '{url}', 'genie', NULL, NULL),
                 ('worst', 'generic', '{url}/worst', NULL, 'P1', NULL),
                 ('calls', 'generic', '{url}/calls', NULL, NULL, '{{escalation}}')"
        ))
        .unwrap();
    for id in ["INC-9001", "INC-9002", "INC-9003"] {
        incident(&mut client, id, "P2");
    }
    for id in ["INC-9001", "INC-9002"] {
        assert_eq!(page(&mut client, id, "come"), ["calls", "generic", "opsgenie", "pagerduty", "slack"]);
    }
    until("all are sent", || number(&mut client, SENT) == 10);
    let trigger = since(&receiver, 0, "/v2/enqueue").remove(0);

    // INC-9003 was never paged. Of INC-9002 the end is taken back.
    let resolve =
        |id: &str| format!("SELECT oncall.resolve_incident('{id}', 'a slot of a standby that is gone', NULL)");
    client.batch_execute(&resolve("INC-9003")).unwrap();
    client.batch_execute(&format!("BEGIN; {}; ROLLBACK", resolve("INC-9002"))).unwrap();
    client.batch_execute(&format!("BEGIN; {}", resolve("INC-9001"))).unwrap();
    // While the transaction is open another page goes out, and so the outbox is looked at.
    let mut other = cluster.client().unwrap();
    test_page(&mut other, "generic");
    until("it is sent", || number(&mut other, SENT) == 11);
    assert_eq!(receiver.count(), 11);
    // A sink that was switched off meanwhile hears of it when it is on again; one that is new hears nothing.
    let switch = |on: bool| format!("UPDATE oncall.sink SET enabled = {on} WHERE name = 'slack'");
    other.batch_execute(&switch(false)).unwrap();
    other
        .batch_execute(&format!("INSERT INTO oncall.sink (name, format, url) VALUES ('new', 'generic', '{url}/new')"))
        .unwrap();
    client.batch_execute("COMMIT").unwrap();
    until("three are sent", || number(&mut client, SENT) == 14);
    assert_eq!(since(&receiver, 11, "/slack"), [Value::Null; 0]);
    other.batch_execute(&switch(true)).unwrap();
    until("all are sent", || number(&mut client, WAITING) == 0);

    let ended = since(&receiver, 11, "/v2/enqueue");
    assert_eq!((ended.len(), &ended[0]["event_action"]), (1, &Value::from("resolve")));
    let triggered = since(&receiver, 0, "/v2/enqueue").iter().any(|event| event["dedup_key"] == ended[0]["dedup_key"]);
    assert!(triggered && trigger["event_action"] == "trigger", "what is resolved is what was triggered");
    let alias = ended[0]["dedup_key"].as_str().unwrap();
    assert!(alias.ends_with(".INC-9001"), "{alias}");
    assert_eq!(since(&receiver, 11, &format!("/v2/alerts/{alias}/close?identifierType=alias")).len(), 1);
    let told = since(&receiver, 11, "/hook");
    assert_eq!((told.len(), &told[0]["type"]), (1, &Value::from("pg_oncall.page.resolved")));
    let done = &told[0]["data"]["done"][0];
    assert_eq!((&done["summary"], &done["outcome"]), (&"postgres".into(), &"a slot of a standby that is gone".into()));
    let slack = since(&receiver, 11, "/slack");
    assert!(slack.len() == 1 && slack[0]["text"].as_str().unwrap().starts_with("Resolved: [P2] INC-9001"), "{slack:?}");
    assert_eq!(receiver.count(), 15, "and that is all");
}

#[test]
fn a_page_that_came_after_the_end_is_ended_by_the_next_pump() {
    let cluster = bare(&Options::default());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    sink(&mut client, "ops", &receiver.url());
    let alert = |status: &str| json!({"text": "Disk full", "severity": "critical", "status": status});
    let id = handle(&mut client, &alert("firing")).id;
    assert_eq!(handle(&mut client, &alert("resolved")).state, "resolved");
    // What a pump leaves that queued its page beside the end of the incident and died: the page, and work to be done.
    assert_eq!(page(&mut client, &id, "come"), ["ops"]);
    configure(&mut client, "oncall.workers", "on");
    until("both are sent", || number(&mut client, SENT) == 2);
    let kinds: Vec<Value> = receiver.received().iter().map(|r| r.request.json()["type"].take()).collect();
    assert_eq!(kinds, ["pg_oncall.page.escalation", "pg_oncall.page.resolved"]);
}

#[test]
fn a_sender_that_takes_its_alert_back_ends_the_pages_of_it_once() {
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    secrets(&cluster, &mut client, &[("routing", KEY)]);
    client
        .batch_execute(&format!(
            "INSERT INTO oncall.sink (name, format, url, secret_file)
             VALUES ('pagerduty', 'pagerduty', '{}/v2/enqueue', 'routing')",
            receiver.url()
        ))
        .unwrap();
    let alert = |instance: &str, status: &str| {
        serde_json::json!({"text": "the disk is full", "severity": "critical", "status": status,
                           "labels": {"alertname": "Disk", "instance": instance}})
    };
    let hand_in = |client: &mut Client, alert: &Value| {
        client.execute("INSERT INTO oncall.alert_inbox (source, payload) VALUES ('test', $1)", &[alert]).unwrap();
    };
    for instance in ["inbox", "called"] {
        hand_in(&mut client, &alert(instance, "firing"));
    }
    let handled = "SELECT count(*) FROM oncall.incident_audit WHERE state = 'handled'";
    until("both are paged", || number(&mut client, handled) == 2 && number(&mut client, SENT) == 2);
    // By the inbox, more than once, and by a call.
    hand_in(&mut client, &alert("inbox", "resolved"));
    hand_in(&mut client, &alert("inbox", "resolved"));
    client.query("SELECT oncall.handle_alert($1::jsonb)", &[&alert("called", "resolved")]).unwrap();
    let taken_in = "SELECT count(*) FROM oncall.alert_inbox WHERE state = 'done'";
    until("all were taken in", || number(&mut client, taken_in) == 4);
    until("all are sent", || number(&mut client, SENT) == 4);
    // A person who adds what it was ends nothing anew.
    let label = "SELECT oncall.resolve_incident(incident_id, 'a batch job', NULL) FROM oncall.incident_audit";
    client.batch_execute(label).unwrap();
    test_page(&mut client, "pagerduty");
    until("the outbox was looked at", || number(&mut client, SENT) == 5);
    let key = |event: &Value| event["dedup_key"].as_str().unwrap().to_owned();
    let actions = since(&receiver, 0, "/v2/enqueue");
    let of = |action: &str| -> BTreeSet<String> {
        actions.iter().filter(|event| event["event_action"] == action).map(key).collect()
    };
    assert_eq!(actions.len(), 5, "{actions:#?}");
    assert!(of("resolve").len() == 2 && of("resolve").is_subset(&of("trigger")), "{actions:#?}");
}

#[test]
fn a_sink_gets_the_pages_that_its_row_asks_for() {
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    for (name, more) in [
        ("all", "NULL, NULL, true"),
        ("worst", "'P1', NULL, true"),
        ("escalations", "NULL, '{escalation}', true"),
        ("notices", "NULL, '{notice}', true"),
        ("off", "NULL, NULL, false"),
    ] {
        let sql = format!(
            "INSERT INTO oncall.sink (name, format, url, min_severity, kinds, enabled)
             VALUES ('{name}', 'generic', '{}/{name}', {more})",
            receiver.url()
        );
        client.batch_execute(&sql).unwrap();
    }
    incident(&mut client, "INC-9001", "P1");
    incident(&mut client, "INC-9003", "P3");
    assert_eq!(page(&mut client, "INC-9001", ""), ["all", "escalations", "worst"]);
    assert_eq!(page(&mut client, "INC-9003", ""), ["all", "escalations"]);
    let said = refused(&mut client, "SELECT oncall.send_test_page('off')", "P0002");
    assert!(said.contains("there is no enabled sink"), "{said}");
    until("all are sent", || number(&mut client, SENT) == 5);
}

#[test]
fn a_rolled_back_page_never_leaves() {
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    sink(&mut client, "ops", &receiver.url());
    incident(&mut client, "INC-9001", "P1");
    let mut transaction = client.transaction().unwrap();
    transaction.execute("SELECT oncall.page_incident('INC-9001', 'never')", &[]).unwrap();
    // While the transaction is open another page goes out, and so the outbox is looked at.
    let mut other = cluster.client().unwrap();
    page(&mut other, "INC-9001", "before");
    until("the other page is sent", || number(&mut other, SENT) == 1);
    transaction.rollback().unwrap();
    page(&mut client, "INC-9001", "after");
    until("the page after it is sent", || number(&mut client, SENT) == 2);
    assert_eq!(accepted_notes(&receiver.received())["INC-9001"], ["before", "after"]);
}

#[test]
fn two_thousand_pages_arrive_once_each_and_in_order_at_a_slow_sink_that_stumbles() {
    const INCIDENTS: i64 = 100;
    const PAGES: i64 = 20;
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    receiver.delay(Duration::from_millis(200));
    receiver.answer(|n, _| if n % 10 == 3 { Answer::Status(503, "later".to_owned()) } else { Answer::accepted() });
    sink(&mut client, "slow", &receiver.url());
    client
        .batch_execute(&format!(
            "INSERT INTO oncall.incident_audit (incident_id, alert_text, fingerprint, state)
             SELECT 'INC-9' || i, 'alert', i, 'routed' FROM generate_series(1, {INCIDENTS}) AS i;
             SELECT oncall.page_incident('INC-9' || i, n::text)
             FROM generate_series(1, {PAGES}) AS n, generate_series(1, {INCIDENTS}) AS i"
        ))
        .unwrap();
    let all = (INCIDENTS * PAGES) as usize;
    let (began, mut in_transaction, mut looks) = (Instant::now(), 0, 0);
    while number(&mut client, WAITING) > 0 {
        assert!(began.elapsed() < Duration::from_secs(600), "{} of {all} are sent", number(&mut client, SENT));
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall pump' AND backend_xmin IS NOT NULL";
        in_transaction += number(&mut client, sql);
        looks += 1;
        thread::sleep(Duration::from_millis(100));
    }
    let received = receiver.received();
    let accepted: Vec<&Received> = received.iter().filter(|r| r.is_accepted()).collect();
    let keys: BTreeSet<&str> = accepted.iter().map(|r| r.key()).collect();
    assert_eq!((accepted.len(), keys.len()), (all, all), "each accepted once");
    assert_eq!(number(&mut client, SENT), INCIDENTS * PAGES);
    let (notes, expected) = (accepted_notes(&received), (1..=PAGES).map(|n| n.to_string()).collect::<Vec<_>>());
    for i in 1..=INCIDENTS {
        assert_eq!(notes[&format!("INC-9{i}")], expected);
    }
    assert!(receiver.most_at_once() <= 8, "{} at once", receiver.most_at_once());
    assert!(in_transaction * 2 < looks, "in a transaction at {in_transaction} of {looks} looks");
}

#[test]
fn a_sink_that_hangs_or_is_gone_delays_no_other() {
    let cluster = bare(&workers().set("oncall.delivery_timeout", "5min"));
    let mut client = cluster.client().unwrap();
    let (good, hanging) = (StubSink::start(), StubSink::start());
    hanging.answer(|_, _| Answer::Hang);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    sink(&mut client, "a-hanging", &hanging.url());
    sink(&mut client, "b-gone", &format!("http://{gone}"));
    sink(&mut client, "c-good", &good.url());
    client
        .batch_execute(
            "INSERT INTO oncall.incident_audit (incident_id, alert_text, fingerprint, state)
             SELECT 'INC-9' || i, 'alert', i, 'routed' FROM generate_series(1, 300) AS i;
             SELECT oncall.page_incident('INC-9' || i, 'page') FROM generate_series(1, 300) AS i",
        )
        .unwrap();
    // Not one request to the hanging sink ends before the good one has everything.
    until("the good sink has all its pages", || number(&mut client, SENT) == 300);
    assert_eq!(good.accepted(), 300);
    assert!((1..=8).contains(&hanging.count()), "{} requests hang", hanging.count());
    let sql = "SELECT count(*) FROM oncall.delivery WHERE sink <> 'c-good' AND state = 'waiting'";
    assert_eq!(number(&mut client, sql), 600);
    // A new page is not behind the old ones either.
    page(&mut client, "INC-91", "one more");
    until("the new page is there", || good.accepted() == 301);
    // One that is gone is asked by one page at a time, and not by 300.
    let sql = "SELECT count(*) FROM oncall.delivery WHERE sink = 'b-gone' AND attempts > 0";
    assert!(number(&mut client, sql) < 100);
}

#[test]
fn a_sink_that_comes_back_gets_what_waited_for_it() {
    let cluster = bare(&workers().set("oncall.delivery_timeout", "2s"));
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    receiver.answer(|n, _| match n {
        0 | 1 => Answer::Close,
        2 => Answer::Hang,
        3 => Answer::Status(500, "oops".to_owned()),
        _ => Answer::accepted(),
    });
    sink(&mut client, "ops", &receiver.url());
    incident(&mut client, "INC-9001", "P1");
    page(&mut client, "INC-9001", "first");
    page(&mut client, "INC-9001", "second");
    until("both are sent", || number(&mut client, SENT) == 2);
    let received = receiver.received();
    assert_eq!(accepted_notes(&received)["INC-9001"], ["first", "second"]);
    let keys: BTreeSet<&str> = received[..5].iter().map(Received::key).collect();
    assert_eq!(keys.len(), 1, "each attempt has the same key");
    assert_eq!(number(&mut client, "SELECT max(attempts)::bigint FROM oncall.delivery"), 5);
}

#[test]
fn a_busy_sink_is_asked_again_when_it_wants_to_be() {
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    receiver.answer(|n, _| match n {
        0 => Answer::RetryAfter(429, "3".to_owned()),
        _ => Answer::accepted(),
    });
    sink(&mut client, "ops", &receiver.url());
    let first = test_page(&mut client, "ops");
    until("the first was refused", || state(&mut client, first).1 == Some(429));
    // The sink is busy for every page, not for this one alone.
    test_page(&mut client, "ops");
    until("both are sent", || number(&mut client, SENT) == 2);
    let received = receiver.received();
    for again in &received[1..] {
        let waited = again.at.duration_since(received[0].at);
        assert!(waited >= Duration::from_millis(2900), "asked again after {waited:?}");
    }
}

#[test]
fn a_refused_page_is_a_dead_letter_until_somebody_sends_it_again() {
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    receiver.answer(|n, _| if n == 0 { Answer::Status(404, "no_service".to_owned()) } else { Answer::accepted() });
    sink(&mut client, "ops", &receiver.url());
    incident(&mut client, "INC-9001", "P1");
    page(&mut client, "INC-9001", "hello");
    page(&mut client, "INC-9001", "after it");
    // What is behind a dead letter does not wait for it.
    until("the second is sent", || number(&mut client, SENT) == 1);
    let row = client.query_one("SELECT id, title, last_status, last_error FROM oncall.dead_letters", &[]).unwrap();
    let id: i64 = row.get(0);
    assert_eq!((row.get::<_, &str>(1), row.get::<_, i32>(2)), ("hello", 404));
    assert_eq!(row.get::<_, &str>(3), "it answered 404: no_service");
    let warning = "WARNING:  pg_oncall: a page of INC-9001 did not arrive at the sink ops: it answered 404: no_service";
    until("the log says so", || cluster.log().contains(warning));
    client.execute("SELECT oncall.redeliver($1)", &[&id]).unwrap();
    until("it is sent", || number(&mut client, SENT) == 2);
    let received = receiver.received();
    assert_eq!(received[0].key(), received[2].key());
    let said = refused(&mut client, &format!("SELECT oncall.redeliver({id})"), "P0002");
    assert!(said.contains("dead_letters"), "{said}");
}

#[test]
fn a_page_is_given_up_after_a_day_or_with_its_sink() {
    let cluster = bare(&Options::default());
    let mut client = cluster.client().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for name in ["down", "deleted"] {
        sink(&mut client, name, &format!("http://{gone}"));
    }
    let (old, orphan) = (test_page(&mut client, "down"), test_page(&mut client, "deleted"));
    client
        .batch_execute(
            "UPDATE oncall.delivery SET give_up_at = now(), attempts = 7, last_error = 'refused' WHERE sink = 'down'",
        )
        .unwrap();
    client.batch_execute("DELETE FROM oncall.sink WHERE name = 'deleted'").unwrap();
    configure(&mut client, "oncall.workers", "on");
    until("both are given up", || number(&mut client, "SELECT count(*) FROM oncall.dead_letters") == 2);
    assert_eq!(state(&mut client, old).2.as_deref(), Some("given up after 7 attempts; the last: refused"));
    assert_eq!(state(&mut client, orphan).2.as_deref(), Some("the sink is gone"));
}

#[test]
fn after_a_crash_everything_arrives_and_nothing_that_was_written_down_is_repeated() {
    const PAGES: i64 = 300;
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    receiver.delay(Duration::from_millis(40));
    sink(&mut client, "ops", &receiver.url());
    client
        .batch_execute(&format!(
            "INSERT INTO oncall.incident_audit (incident_id, alert_text, fingerprint, state)
             SELECT 'INC-9' || i, 'alert', i, 'routed' FROM generate_series(1, 30) AS i;
             SELECT oncall.page_incident('INC-9' || (i % 30 + 1), i::text) FROM generate_series(1, {PAGES}) AS i"
        ))
        .unwrap();
    let mut kills = Vec::new();
    for kill_at in [60, 150] {
        until("some are sent", || number(&mut client, SENT) >= kill_at);
        let rows = client.query("SELECT idempotency_key FROM oncall.delivery WHERE state = 'sent'", &[]).unwrap();
        let written_down: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let pid = pump(&mut client).expect("a pump is at work");
        kills.push((Instant::now(), written_down));
        cluster.signal("KILL", pid).unwrap();
        // The server hears of it in its own time, and lets sessions in until then.
        until("the server ends its sessions", || client.simple_query("SELECT 1").is_err());
        until("the server is back", || match cluster.client() {
            Ok(back) => {
                client = back;
                client.simple_query("SELECT 1").is_ok()
            }
            Err(_) => false,
        });
    }
    until("all are sent", || number(&mut client, SENT) == PAGES);
    let rows = client.query("SELECT idempotency_key FROM oncall.delivery", &[]).unwrap();
    let queued: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let received = receiver.received();
    let keys: BTreeSet<String> = received.iter().map(|r| r.key().to_owned()).collect();
    assert_eq!(keys, queued, "the keys are those that were queued");
    for (killed, written_down) in &kills {
        let later = received.iter().filter(|r| r.at > *killed);
        let repeated: Vec<&str> = later.map(Received::key).filter(|key| written_down.contains(*key)).collect();
        assert!(repeated.is_empty(), "sent again though it was written down: {repeated:?}");
    }
    let repeated = received.len() - keys.len();
    assert!(repeated <= kills.len() * 16, "no more are repeated than were on their way: {repeated}");
}

#[test]
fn a_sink_where_nothing_may_go_is_refused_when_it_is_written() {
    let cluster = bare(&Options::default());
    let mut client = cluster.client().unwrap();
    secrets(
        &cluster,
        &mut client,
        &[("slack", "https://hooks.slack.com/services/T0/B0/verysecret"), ("open", KEY), ("short", "abc")],
    );
    fs::set_permissions(cluster.dir().join("secrets/open"), fs::Permissions::from_mode(0o644)).unwrap();
    for (row, says) in [
        ("'a', 'generic', 'https://evil.example/hook', NULL", "evil.example is not allowed"),
        ("'a', 'generic', 'http://127.0.0.1@evil.example/', NULL", "not allowed"),
        ("'a', 'generic', 'http://169.254.169.254/latest', NULL", "169.254.169.254 is not allowed"),
        ("'a', 'generic', 'ftp://127.0.0.1/', NULL", "scheme"),
        ("'a', 'generic', 'nonsense', NULL", "not allowed"),
        ("'a', 'generic', NULL, NULL", "needs a url"),
        ("'a', 'slack', NULL, 'slack'", "hooks.slack.com is not allowed"),
        ("'a', 'slack', NULL, NULL", "needs a secret_file, which holds its URL"),
        ("'a', 'slack', 'http://127.0.0.1/x', 'slack'", "not in both"),
        ("'a', 'pagerduty', 'http://127.0.0.1/v2/enqueue', NULL", "needs a secret_file with its key"),
        ("'a', 'generic', 'http://127.0.0.1/', '../data/PG_VERSION'", "without its path"),
        ("'a', 'generic', 'http://127.0.0.1/', '/etc/passwd'", "without its path"),
        ("'a', 'generic', 'http://127.0.0.1/', 'absent'", "cannot be read: entity not found"),
        ("'a', 'generic', 'http://127.0.0.1/', 'open'", "open to others: chmod 0600"),
        ("'a', 'generic', 'http://127.0.0.1/', 'short'", "is no secret"),
    ] {
        let sql = format!("INSERT INTO oncall.sink (name, format, url, secret_file) VALUES ({row})");
        let said = refused(&mut client, &sql, "22023");
        assert!(said.contains(says), "{row}: {said}");
        assert!(said.contains("HINT"), "{row}: {said}");
        assert!(!said.contains("verysecret") && !said.contains(KEY), "{said}");
    }
}

#[test]
fn what_is_not_allowed_is_never_contacted_by_whatever_way() {
    let (trap, receiver) = (TcpListener::bind("127.0.0.1:0").unwrap(), StubSink::start());
    trap.set_nonblocking(true).unwrap();
    let trapped = format!("http://127.0.0.1:{}/", trap.local_addr().unwrap().port());
    let cluster = bare(&workers().set("oncall.allowed_hosts", "localhost, 127.0.0.0/8"));
    let mut client = cluster.client().unwrap();
    sink(&mut client, "moved", &receiver.url());
    sink(&mut client, "trapped", &trapped);
    sink(&mut client, "named", &trapped.replace("127.0.0.1", "localhost"));

    // A redirect is not followed, not even where it may lead.
    let to = trapped.clone();
    receiver.answer(move |_, _| Answer::Redirect(to.clone()));
    let moved = test_page(&mut client, "moved");
    until("the redirect is a dead letter", || state(&mut client, moved).0 == "dead");
    let said = state(&mut client, moved).2.unwrap();
    assert_eq!(said, "it answered 307: a redirect to 127.0.0.1 is not followed; set the final address");

    // The list got shorter since the rows were written: of the name's addresses none is left.
    configure(&mut client, "oncall.allowed_hosts", "localhost, 127.0.0.2");
    until("the workers go by the new list", || {
        let page = test_page(&mut client, "moved");
        until("it was tried", || state(&mut client, page).2.is_some());
        state(&mut client, page).0 == "waiting"
    });
    let pages = ["trapped", "named"].map(|name| test_page(&mut client, name));
    until("both were tried", || pages.iter().all(|id| state(&mut client, *id).2.is_some()));
    for id in pages {
        let (state, _, said) = state(&mut client, id);
        assert_eq!(state, "waiting", "an administrator may put it right");
        let said = said.unwrap();
        assert!(said.contains("not allowed") || said.contains("is not among oncall.allowed_hosts"), "{said}");
    }
    until("the log says so", || cluster.log().contains("WARNING:  pg_oncall: the sink trapped takes no pages"));
    assert!(trap.accept().is_err(), "nobody came");
}

#[test]
fn no_secret_of_a_sink_is_in_a_table_an_error_or_the_log() {
    let cluster = bare(&workers().set("log_statement", "all").set("log_min_messages", "debug2"));
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    // A receiver that quotes all that it was sent.
    receiver.answer(|_, request| {
        let said = format!("bad: {} {:?} {}", request.path, request.headers, String::from_utf8_lossy(&request.body));
        Answer::Status(400, said)
    });
    let address = format!("{}/services/{KEY}", receiver.url());
    secrets(&cluster, &mut client, &[("key", KEY), ("address", &address)]);
    let url = receiver.url();
    client
        .batch_execute(&format!(
            "INSERT INTO oncall.sink (name, format, url, secret_file) VALUES
                 ('generic', 'generic', '{url}/hook', 'key'), ('slack', 'slack', NULL, 'address'),
                 ('pagerduty', 'pagerduty', '{url}/v2/enqueue', 'key'), ('teams', 'teams', NULL, 'address'),
                 ('opsgenie', 'opsgenie', '{url}', 'key')"
        ))
        .unwrap();
    for name in ["generic", "slack", "pagerduty", "teams", "opsgenie"] {
        test_page(&mut client, name);
    }
    until("all are dead letters", || number(&mut client, "SELECT count(*) FROM oncall.dead_letters") == 5);
    assert_eq!(receiver.count(), 5);
    for table in ["delivery", "sink", "incident_step"] {
        for row in client.query(&format!("SELECT t::text FROM oncall.{table} AS t"), &[]).unwrap() {
            assert!(!row.get::<_, &str>(0).contains(KEY), "{table}: {}", row.get::<_, &str>(0));
        }
    }
    assert!(!cluster.log().contains(KEY), "the log shows it");
}

#[test]
fn a_secret_that_is_put_right_is_used_at_the_next_attempt() {
    let cluster = bare(&workers());
    let mut client = cluster.client().unwrap();
    let receiver = StubSink::start();
    secrets(&cluster, &mut client, &[("key", KEY)]);
    let file = cluster.dir().join("secrets/key");
    let sql = format!(
        "INSERT INTO oncall.sink (name, format, url, secret_file) VALUES ('ops', 'opsgenie', '{}', 'key')",
        receiver.url()
    );
    client.batch_execute(&sql).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let id = test_page(&mut client, "ops");
    until("it was tried", || state(&mut client, id).2.is_some());
    let said = state(&mut client, id);
    assert_eq!(
        (said.0.as_str(), said.2.as_deref()),
        ("waiting", Some("the secret_file \"key\" is open to others: chmod 0600"))
    );
    assert_eq!(receiver.count(), 0);
    replace(&cluster, &file, "another-key-than-before");
    until("it is sent", || number(&mut client, SENT) == 1);
    assert_eq!(receiver.received()[0].request.header("authorization"), Some("GenieKey another-key-than-before"));
}

fn replace(cluster: &Cluster, file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    cluster.tree().place.account.give(&new).unwrap();
    fs::rename(&new, file).unwrap();
}

#[test]
fn sinks_are_the_admins_and_their_addresses_nobody_elses() {
    let cluster = bare(&Options::default());
    let mut client = cluster.client().unwrap();
    sink(&mut client, "ops", "http://127.0.0.1:9/a");
    let as_role = |role: &str| {
        let mut client = cluster.client().unwrap();
        client.batch_execute(&format!("SET ROLE {role}")).unwrap();
        client
    };
    for role in ["oncall_reader", "oncall_operator"] {
        let mut client = as_role(role);
        client.batch_execute("SELECT name, format, enabled FROM oncall.sink; SELECT * FROM oncall.delivery").unwrap();
        refused(&mut client, "SELECT url FROM oncall.sink", "42501");
        refused(&mut client, "UPDATE oncall.sink SET enabled = false", "42501");
        refused(&mut client, "UPDATE oncall.delivery SET state = 'sent'", "42501");
        refused(
            &mut client,
            "INSERT INTO oncall.delivery (page_no, sink, incident_key, idempotency_key, page) VALUES (1, 'ops', 'x', 'x', '{}')",
            "42501",
        );
    }
    for role in ["oncall_ingest", "oncall_executor", "oncall_observer"] {
        let mut client = as_role(role);
        for sql in
            ["SELECT name FROM oncall.sink", "SELECT id FROM oncall.delivery", "SELECT oncall.send_test_page('ops')"]
        {
            refused(&mut client, sql, "42501");
        }
    }
    let mut admin = as_role("oncall_admin");
    admin.batch_execute("UPDATE oncall.sink SET url = 'http://127.0.0.1:9/b'; DELETE FROM oncall.sink").unwrap();
    admin
        .batch_execute("INSERT INTO oncall.sink (name, format, url) VALUES ('new', 'generic', 'http://127.0.0.1:9/')")
        .unwrap();
    // What a restore brings along is not for an admin to claim.
    refused(
        &mut admin,
        "INSERT INTO oncall.sink (name, format, url, checked_at) VALUES ('evil', 'generic', 'http://evil.example/', now())",
        "42501",
    );
    as_role("oncall_operator").batch_execute("SELECT oncall.send_test_page('new')").unwrap();
}
