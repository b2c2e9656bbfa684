//! The patient is the doctor: what the workers do when the very server that they look after is short of everything, and
//! what one incident that cannot be treated costs the others.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{GUARD, bare, handle, journal, load_runbooks, number, pool_alert, until};
use pg_test::stub_pod::{Behaviour, Replies, StubPod};
use pg_test::stub_sink::StubSink;
use pg_test::{Cluster, Options};
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::{Value, json};

/// A safe step, whose tool counts its runs, and one that only a person may order.
const RUNBOOKS: [&str; 2] = [
    "---
id: RB-951
title: The queue is behind
incident_type: QueueBehind
severity: P3
alerts: [QueueBehind]
---

## Give it a push

One push, and it goes on.

```yaml step
tool: push
parameters: {key: once}
destructive: false
guard: SELECT true
verify: SELECT EXISTS (SELECT FROM ward.push)
```
",
    "---
id: RB-952
title: The queue is stuck
incident_type: QueueStuck
severity: P2
alerts: [QueueStuck]
---

## Empty it

What is in it is lost.

```yaml step
tool: push
parameters: {key: emptied}
destructive: true
```
",
];

/// A server whose workers may act, with a sink for its pages.
struct Ward {
    cluster: Cluster,
    client: Client,
    sink: StubSink,
}

impl Ward {
    fn open(options: Options) -> Self {
        let cluster = bare(&options.workers().set("oncall.autonomy", "on"));
        let (mut client, sink) = (cluster.client().unwrap(), StubSink::start());
        client
            .batch_execute(
                "CREATE SCHEMA ward;
                 CREATE TABLE ward.push (key text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
                 CREATE FUNCTION ward.push(key text) RETURNS text LANGUAGE sql
                     AS 'INSERT INTO ward.push (key) VALUES (key) RETURNING key';
                 GRANT USAGE ON SCHEMA ward TO oncall_executor, oncall_observer;
                 GRANT INSERT, SELECT ON ward.push TO oncall_executor;
                 GRANT SELECT ON ward.push TO oncall_observer;
                 INSERT INTO oncall.tool (name, kind, summary, template, parameters) VALUES
                     ('push', 'remediation', 'Pushes', 'SELECT ward.push({key:literal})', '{\"key\": {\"type\": \"identifier\"}}');
                 INSERT INTO oncall.router_policy (confidence_threshold, note) VALUES (0.5, 'a ward');",
            )
            .unwrap();
        client
            .execute("INSERT INTO oncall.sink (name, format, url) VALUES ('ward', 'generic', $1)", &[&sink.url()])
            .unwrap();
        for runbook in RUNBOOKS {
            client.query("SELECT * FROM oncall.load_runbook($1)", &[&runbook]).unwrap();
        }
        Self { cluster, client, sink }
    }

    fn hand_in(&mut self, payload: &Value) {
        hand_in(&mut self.client, payload);
    }

    /// The audit row of the one incident of this instance.
    fn audit(&mut self, instance: &str) -> Value {
        let sql = "SELECT to_jsonb(a) FROM oncall.incident_audit AS a WHERE a.alert -> 'labels' ->> 'instance' = $1";
        self.client.query_opt(sql, &[&instance]).unwrap().map_or(Value::Null, |row| row.get(0))
    }

    fn until_handled(&mut self, instance: &str) -> Value {
        let mut audit = Value::Null;
        until(&format!("{instance} is handled"), || {
            audit = self.audit(instance);
            audit["state"] == "handled"
        });
        audit
    }

    /// The pages of an incident, as soon as there is one.
    fn pages(&self, incident: &Value) -> Vec<Value> {
        let mut pages = Vec::new();
        until(&format!("{} is paged", incident["incident_id"]), || {
            pages = self.pages_so_far(incident);
            !pages.is_empty()
        });
        pages
    }

    fn pages_so_far(&self, incident: &Value) -> Vec<Value> {
        let pages = self.sink.received().into_iter().map(|received| received.request.json()["data"].clone());
        pages.filter(|page| page["incident_id"] == incident["incident_id"]).collect()
    }

    /// State and error of the work at an incident.
    fn work(&mut self, incident: &Value) -> (String, String) {
        let sql = "SELECT state, coalesce(error, '') FROM oncall.incident_work WHERE incident_id = $1";
        let row = self.client.query_one(sql, &[&incident["incident_id"].as_str()]).unwrap();
        (row.get(0), row.get(1))
    }

    fn pump(&mut self) -> i64 {
        let mut pump = 0;
        until("there is a pump", || {
            let sql = "SELECT coalesce(max(pid), 0)::bigint FROM oncall.worker_status() WHERE kind = 'pump'";
            pump = number(&mut self.client, sql);
            pump != 0
        });
        pump
    }

    fn pushes(&mut self) -> i64 {
        number(&mut self.client, "SELECT count(*) FROM ward.push")
    }
}

fn hand_in(client: &mut Client, payload: &Value) {
    client.execute("INSERT INTO oncall.alert_inbox (source, payload) VALUES ('ward', $1)", &[payload]).unwrap();
}

fn alert(name: &str, instance: &str) -> Value {
    json!({"text": format!("{name} on {instance}"), "severity": "warning",
           "labels": {"alertname": name, "instance": instance}})
}

fn resolved(name: &str, instance: &str) -> Value {
    let mut alert = alert(name, instance);
    alert["status"] = json!("resolved");
    alert
}

/// With a model that recommends what a runbook says, whether it is safe or not.
fn with_pod(pod: &StubPod) -> Options {
    pod.replies(Replies { destructive: true, ..Replies::default() });
    Options::default().set("oncall.model_url", &pod.url()).set("oncall.chat_model", "stub-chat")
}

#[test]
fn with_every_connection_taken_an_alert_in_the_inbox_is_still_acted_on_and_paged() {
    let pod = StubPod::start(Behaviour::Ok);
    let mut ward = Ward::open(with_pod(&pod).set("max_connections", "8").set("superuser_reserved_connections", "3"));
    ward.client.batch_execute("BEGIN").unwrap();
    ward.hand_in(&alert("QueueBehind", "acts"));
    ward.hand_in(&alert("QueueStuck", "pages"));
    // The reserved ones, too.
    let mut taken = Vec::new();
    let refusal = loop {
        match ward.cluster.client() {
            Ok(client) => taken.push(client),
            Err(refusal) => break refusal.to_string(),
        }
    };
    assert!(refusal.contains("53300") && taken.len() == 7, "{refusal}, {}", taken.len());
    ward.client.batch_execute("COMMIT").unwrap();

    let paged = ward.until_handled("pages");
    assert_eq!(paged["routing_decision"], "escalate", "{paged:#}");
    assert_eq!(ward.pages(&paged)[0]["kind"], "escalation");
    let acted = ward.until_handled("acts");
    assert_eq!((&acted["routing_decision"], ward.pushes()), (&json!("autonomous"), 1), "{acted:#}");
    assert_eq!(acted["escalation"], Value::Null, "{acted:#}");
    assert_eq!(ward.pages(&acted)[0]["kind"], "notice");
    assert!(ward.cluster.client().is_err(), "they were taken all the time");
    drop(taken);
}

#[test]
fn with_the_pod_gone_or_hanging_it_pages_with_what_it_has() {
    let gone = StubPod::start(Behaviour::Ok).url();
    let hanging = StubPod::start(Behaviour::SlowHead(Duration::from_secs(600)));
    for (url, words) in [(gone, "cannot be reached"), (hanging.url(), "did not answer in time")] {
        let options = Options::default().set("oncall.model_url", &url).set("oncall.chat_model", "stub-chat");
        let mut ward = Ward::open(options.set("oncall.request_timeout", "1s"));
        load_runbooks(&ward.cluster, &mut ward.client);
        ward.hand_in(&pool_alert("db-1"));
        let incident = ward.until_handled("db-1");
        assert_eq!(incident["routing_decision"], "escalate", "{incident:#}");
        let pages = ward.pages(&incident);
        let page = &pages[0];
        assert_eq!((pages.len(), &page["kind"]), (1, &json!("escalation")), "{page:#}");
        assert!(page["reasons"].to_string().contains(words), "{page:#}");
        // What needs no model.
        assert_eq!(page["classification"], "ConnectionPoolExhaustion");
        assert_eq!(page["runbook"]["runbook_id"], "RB-001");
        assert_eq!(page["recommended"][0]["step_id"], common::POOL_STEP);
        assert!(!page["evidence"].as_array().unwrap().is_empty(), "{page:#}");
    }
}

#[test]
fn with_every_place_at_a_model_that_hangs_taken_what_is_decided_already_is_paged() {
    let hanging = StubPod::start(Behaviour::SlowHead(Duration::from_secs(600)));
    let mut ward = Ward::open(with_pod(&hanging).set("oncall.max_model_calls", "2"));
    let queued = "SELECT count(*) FROM oncall.incident_work WHERE state = 'queued'";
    ward.client.batch_execute("BEGIN").unwrap();
    for number in 0..10 {
        ward.hand_in(&alert("QueueBehind", &format!("waits-{number}")));
    }
    ward.client.batch_execute("COMMIT").unwrap();
    // What could only stand in line at the model is not begun.
    until("both places are taken", || number(&mut ward.client, queued) == 8);

    ward.client.batch_execute("SET oncall.model_url = 'builtin'").unwrap();
    let decided = handle(&mut ward.client, &alert("QueueStuck", "decided")).id;
    let paged = ward.until_handled("decided");
    assert_eq!(paged["incident_id"], decided.as_str());
    assert_eq!(ward.pages(&paged)[0]["kind"], "escalation");
    assert_eq!(number(&mut ward.client, queued), 8);
}

#[test]
fn with_the_disk_of_the_log_full_it_acts_and_pages() {
    let logs = std::env::temp_dir().join(format!("ward-{}", std::process::id()));
    fs::create_dir_all(&logs).unwrap();
    // A device that is always full.
    let log = logs.join("full.log");
    let _ = fs::remove_file(&log);
    symlink("/dev/full", &log).unwrap();
    let pod = StubPod::start(Behaviour::Ok);
    let options = with_pod(&pod)
        .set("logging_collector", "on")
        .set("log_directory", &logs.display().to_string())
        .set("log_filename", "full.log")
        .set("log_statement", "all")
        .set("log_min_messages", "debug1");
    let mut ward = Ward::open(options);
    ward.hand_in(&alert("QueueBehind", "acts"));
    ward.hand_in(&alert("QueueStuck", "pages"));
    let paged = ward.until_handled("pages");
    assert_eq!(ward.pages(&paged)[0]["kind"], "escalation");
    ward.until_handled("acts");
    assert_eq!(ward.pushes(), 1);
    let complaint = "could not write to log file: No space left on device";
    assert!(ward.cluster.log().contains(complaint), "{}", ward.cluster.log());
    drop(ward);
    fs::remove_dir_all(&logs).unwrap();
}

#[test]
fn an_incident_that_cannot_be_treated_is_given_up_and_paged_and_costs_the_others_nothing() {
    // So that nothing but its being due begins a second try.
    let mut ward = Ward::open(Options::default().set("oncall.poll_interval", "1h"));
    ward.client
        .batch_execute(
            "CREATE TABLE ward.cursed (incident_id text);
             CREATE FUNCTION ward.fail() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.agent = 'escalation' AND EXISTS (SELECT FROM ward.cursed AS c WHERE c.incident_id = NEW.incident_id) THEN
                     RAISE EXCEPTION 'the curse' USING ERRCODE = 'data_corrupted';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER fail BEFORE INSERT ON oncall.incident_step FOR EACH ROW EXECUTE FUNCTION ward.fail();
             BEGIN",
        )
        .unwrap();
    let instances = ["first", "diverged", "unreadable", "cursed", "last"];
    let ids = instances.map(|instance| handle(&mut ward.client, &alert("QueueStuck", instance)).id);
    let forge =
        "INSERT INTO oncall.incident_step (incident_id, agent, step_no, kind, request, status, outcome, started_at)
                 VALUES ($1, 'escalation', 1, $2, '{}', 'done', $3, now())";
    ward.client.execute(forge, &[&ids[1], &"chat", &json!("Hello.")]).unwrap();
    ward.client.execute(forge, &[&ids[2], &"now", &json!("the day before")]).unwrap();
    ward.client.execute("INSERT INTO ward.cursed VALUES ($1)", &[&ids[3]]).unwrap();
    ward.client.batch_execute("COMMIT").unwrap();

    let expected = [
        ("done", ""),
        ("given_up", "step 1 of escalation was a chat when the incident was begun and is a now now"),
        ("given_up", "the journal of escalation cannot be read at step 1"),
        ("given_up", "the curse"),
        ("done", ""),
    ];
    for (instance, (state, error)) in instances.into_iter().zip(expected) {
        let incident = ward.until_handled(instance);
        let (was, why) = ward.work(&incident);
        assert!(was == state && why.contains(error), "{instance}: {was} {why}");
        let pages = ward.pages(&incident);
        assert_eq!((pages.len(), &pages[0]["kind"]), (1, &json!("escalation")), "{instance}: {pages:#?}");
        assert!(incident["escalation"].as_str().is_some_and(|text| text.contains(error)), "{incident:#}");
        let steps = journal(&mut ward.client, incident["incident_id"].as_str().unwrap());
        let end = steps.iter().find(|step| step.kind == "end").map(|step| step.status.clone());
        assert_eq!(end.as_deref(), Some(if state == "done" { "done" } else { "failed" }), "{instance}");
    }
    let attempts = "SELECT max(attempts)::bigint FROM oncall.incident_work";
    assert_eq!(number(&mut ward.client, attempts), 3, "what may pass is tried again, what cannot is not");
    let restarted = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall pump'
                     AND backend_start > (SELECT min(created_at) FROM oncall.incident_audit)";
    assert_eq!(number(&mut ward.client, restarted), 0, "it is still the same pump");
}

/// With a library that makes a call fail where `name` and `value` say, so that Rust panics there.
#[cfg(target_os = "linux")]
fn with_fault(options: Options, library: &Path, name: &str, value: &str) -> Options {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/fault.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source).status().unwrap();
    assert!(built.success(), "cc cannot build the library");
    options.environment("LD_PRELOAD", &library.display().to_string()).environment(name, value)
}

#[cfg(target_os = "linux")]
#[test]
fn a_panic_in_an_agent_or_a_branch_of_it_costs_that_incident_only() {
    let library = std::env::temp_dir().join(format!("oncall-fault-{}-agent.so", std::process::id()));
    for by_inbox in [false, true] {
        let pod = StubPod::start(Behaviour::Ok);
        let options = with_pod(&pod).set("oncall.poll_interval", "1h");
        let mut ward = Ward::open(with_fault(options, &library, "ONCALL_FAULT_WORK", "2"));
        let pump = ward.pump();
        let instances = ["first", "cursed", "last"];
        for (before, instance) in instances.into_iter().enumerate() {
            let alert = alert("QueueBehind", instance);
            // By a call it is triaged there, and the first thing that a worker does is a branch's; by the inbox it is
            // the triage.
            if by_inbox {
                ward.hand_in(&alert)
            } else {
                drop(handle(&mut ward.client, &alert))
            }
            // They are numbered in this order.
            let queued = "SELECT count(*) FROM oncall.incident_work";
            until("it is queued", || number(&mut ward.client, queued) == before as i64 + 1);
        }
        for (instance, state) in instances.into_iter().zip(["done", "given_up", "done"]) {
            let incident = ward.until_handled(instance);
            let (was, why) = ward.work(&incident);
            assert_eq!(was, state, "{instance}: {why}");
            let (kind, panicked) = if state == "done" { ("notice", false) } else { ("escalation", true) };
            assert_eq!(why.contains("Result::unwrap()"), panicked, "{instance}: {why}");
            let pages = ward.pages(&incident);
            assert_eq!((pages.len(), &pages[0]["kind"]), (1, &json!(kind)), "{instance}: {pages:#?}");
        }
        let attempts = "SELECT max(attempts)::bigint FROM oncall.incident_work";
        assert_eq!(number(&mut ward.client, attempts), 3);
        assert_eq!((ward.pump(), ward.pushes()), (pump, 2), "it is still the same pump");
    }
    fs::remove_file(library).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_panic_on_a_helper_thread_costs_one_answer_and_the_next_incident_has_its_model() {
    let library = std::env::temp_dir().join(format!("oncall-fault-{}-helper.so", std::process::id()));
    let pod = StubPod::start(Behaviour::Ok);
    let mut ward = Ward::open(with_fault(with_pod(&pod), &library, "ONCALL_FAULT_PORT", &pod.port().to_string()));
    let pump = ward.pump();
    ward.hand_in(&alert("QueueBehind", "first"));
    let first = ward.until_handled("first");
    assert_eq!(first["routing_decision"], "escalate", "{first:#}");
    let page = ward.pages(&first).remove(0);
    assert!(page["evidence"].to_string().contains("its work panicked"), "{page:#}");
    ward.hand_in(&alert("QueueBehind", "second"));
    let second = ward.until_handled("second");
    assert_eq!((&second["triage"]["by"], &second["routing_decision"]), (&json!("stub"), &json!("autonomous")));
    assert_eq!((ward.pump(), ward.pushes()), (pump, 1), "it is still the same pump");
    fs::remove_file(library).unwrap();
}

#[test]
fn a_policy_that_was_changed_while_an_incident_waited_does_not_turn_its_journal_against_it() {
    let pod = StubPod::start(Behaviour::Ok);
    let mut ward = Ward::open(with_pod(&pod));
    let pump = ward.pump();
    pod.hold();
    ward.hand_in(&alert("QueueBehind", "db-1"));
    until("the triage is asked", || pod.held() == 1);
    // What was retrieved for it stands in the journal. The next pump finds other weights, and a model that answers.
    let other =
        "INSERT INTO oncall.router_policy (confidence_threshold, builtin_weight, pod_weight) VALUES (0.5, 0.4, 0.6)";
    ward.client.batch_execute(other).unwrap();
    ward.client.batch_execute(&format!("SELECT pg_terminate_backend({pump})")).unwrap();
    pod.let_go();
    let incident = ward.until_handled("db-1");
    let (state, why) = ward.work(&incident);
    assert_eq!((state.as_str(), ward.pushes()), ("done", 1), "{why}");
    assert_ne!(ward.pump(), pump);
}

#[test]
fn what_cannot_be_written_down_for_a_lock_is_written_down_later_with_its_own_reason() {
    // Nothing but the desk itself wakes it.
    let mut ward = Ward::open(Options::default().set("oncall.poll_interval", "1h"));
    ward.client
        .batch_execute(
            "CREATE TABLE ward.go ();
             CREATE FUNCTION ward.hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.agent = 'escalation' AND NEW.kind <> 'chat' AND NOT EXISTS (SELECT FROM ward.go) THEN
                     WHILE NOT EXISTS (SELECT FROM ward.go) LOOP
                         PERFORM pg_sleep(0.01);
                     END LOOP;
                     RAISE EXCEPTION 'the curse' USING ERRCODE = 'data_corrupted';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER hold_up BEFORE INSERT ON oncall.incident_step FOR EACH ROW EXECUTE FUNCTION ward.hold_up();
             BEGIN",
        )
        .unwrap();
    let instances = ["cursed", "diverged"];
    let ids = instances.map(|instance| handle(&mut ward.client, &alert("QueueStuck", instance)).id);
    let forge =
        "INSERT INTO oncall.incident_step (incident_id, agent, step_no, kind, request, status, outcome, started_at)
                 VALUES ($1, 'escalation', 1, 'chat', '{}', 'done', '\"Hello.\"', now())";
    ward.client.execute(forge, &[&ids[1]]).unwrap();
    ward.client.batch_execute("COMMIT").unwrap();
    let held = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall pump' AND wait_event = 'PgSleep'";
    until("the workers are held up", || number(&mut ward.client, held) == 1);
    let mut holder = ward.cluster.client().unwrap();
    holder.batch_execute("BEGIN; SELECT FROM oncall.incident_work FOR UPDATE").unwrap();
    ward.client.batch_execute("INSERT INTO ward.go DEFAULT VALUES").unwrap();
    // Neither can be written, nor at the next try.
    until("it was tried twice", || ward.cluster.log().matches("lock timeout").count() >= 4);
    holder.batch_execute("COMMIT").unwrap();

    let cursed = ward.until_handled("cursed");
    assert_eq!(ward.work(&cursed).0, "done", "the second try was better");
    let diverged = ward.until_handled("diverged");
    let (state, why) = ward.work(&diverged);
    assert!(state == "given_up" && why.contains("was a chat when the incident was begun"), "{state}: {why}");
    let attempts = "SELECT jsonb_object_agg(incident_id, attempts) FROM oncall.incident_work";
    let attempts: Value = ward.client.query_one(attempts, &[]).unwrap().get(0);
    assert_eq!((&attempts[&ids[0]], &attempts[&ids[1]]), (&json!(2), &json!(1)), "given up is given up");
    let log = ward.cluster.log();
    assert!(log.contains("set back:") && log.contains("rolled back: the curse"), "{log}");
    assert!(!log.contains("left a transaction open"), "{log}");
}

#[test]
fn an_incident_that_ends_the_pump_is_given_up_after_three_attempts_and_paged_and_costs_the_others_nothing() {
    let mut ward = Ward::open(Options::default());
    ward.client
        .batch_execute(
            "CREATE TABLE ward.deadly (incident_id text);
             CREATE SEQUENCE ward.death;
             CREATE FUNCTION ward.kill() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.agent = 'escalation' AND EXISTS (SELECT FROM ward.deadly AS d WHERE d.incident_id = NEW.incident_id) THEN
                     PERFORM nextval('ward.death'), pg_terminate_backend(pg_backend_pid());
                     PERFORM pg_sleep(60);
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER kill BEFORE INSERT ON oncall.incident_step FOR EACH ROW EXECUTE FUNCTION ward.kill();
             BEGIN",
        )
        .unwrap();
    // They are begun in this order, so those behind it never get anywhere beside it.
    let instances = ["deadly", "harmless", "as harmless"];
    let ids = instances.map(|instance| handle(&mut ward.client, &alert("QueueStuck", instance)).id);
    ward.client.execute("INSERT INTO ward.deadly VALUES ($1)", &[&ids[0]]).unwrap();
    ward.client.batch_execute("COMMIT").unwrap();
    for (instance, state) in instances.into_iter().zip(["given_up", "done", "done"]) {
        let incident = ward.until_handled(instance);
        let (was, why) = ward.work(&incident);
        assert_eq!(was, state, "{instance}: {why}");
        let pages = ward.pages(&incident);
        assert_eq!((pages.len(), &pages[0]["kind"]), (1, &json!("escalation")), "{instance}: {pages:#?}");
    }
    assert_eq!(number(&mut ward.client, "SELECT last_value FROM ward.death"), 3);
}

#[test]
fn a_maintenance_window_holds_action_and_page_and_at_its_end_each_is_decided_anew_once() {
    let pod = StubPod::start(Behaviour::Ok);
    let mut ward = Ward::open(with_pod(&pod));
    ward.client
        .batch_execute(
            "INSERT INTO oncall.maintenance_window (during, labels)
             SELECT tstzrange(now(), now() + interval '1 hour'), jsonb_build_object('instance', i)
             FROM unnest(ARRAY['acts', 'pages', 'over', 'called']) AS i",
        )
        .unwrap();
    for (name, instance) in
        [("QueueBehind", "acts"), ("QueueStuck", "pages"), ("QueueBehind", "over"), ("QueueStuck", "free")]
    {
        ward.hand_in(&alert(name, instance));
    }
    // This one was decided by who handed it in: by what was true then.
    let called = handle(&mut ward.client, &alert("QueueBehind", "called"));
    assert_eq!(called.route.as_deref(), Some("autonomous"));
    let held = "SELECT count(*) FROM oncall.incident_work WHERE state = 'held' AND not_before > now()";
    until("four are held", || number(&mut ward.client, held) == 4);
    let free = ward.until_handled("free");
    assert_eq!(ward.pages(&free).len(), 1, "no window is about this one");
    ward.hand_in(&resolved("QueueBehind", "over"));
    until("it is over", || ward.audit("over")["state"] == "resolved");
    assert_eq!((ward.sink.count(), ward.pushes()), (1, 0), "nothing is done or told meanwhile");

    // What is true at the end decides.
    let distrust =
        "INSERT INTO oncall.router_policy (incident_type, confidence_threshold) VALUES ('QueueBehind', 0.99)";
    ward.client.batch_execute(distrust).unwrap();
    let shorten = |ward: &mut Ward, instances: &str| {
        let sql = format!(
            "UPDATE oncall.maintenance_window SET during = tstzrange(lower(during), clock_timestamp() + interval '2 s')
             WHERE labels ->> 'instance' IN ({instances})"
        );
        ward.client.batch_execute(&sql).unwrap();
    };
    shorten(&mut ward, "'called'");
    let called = ward.until_handled("called");
    assert_eq!((&called["routing_decision"], ward.pushes()), (&json!("escalate"), 0), "{called:#}");
    assert_eq!(ward.pages(&called)[0]["kind"], "escalation");

    let trust = "INSERT INTO oncall.router_policy (incident_type, confidence_threshold) VALUES ('QueueBehind', 0.5)";
    ward.client.batch_execute(trust).unwrap();
    shorten(&mut ward, "'acts', 'pages', 'over'");
    let (acted, paged) = (ward.until_handled("acts"), ward.until_handled("pages"));
    let open = "SELECT count(*) FROM oncall.incident_work WHERE state <> 'done'";
    until("nothing is left to do", || number(&mut ward.client, open) == 0);
    assert_eq!((&acted["routing_decision"], ward.pushes()), (&json!("autonomous"), 1), "{acted:#}");
    assert_eq!((ward.pages(&acted).len(), ward.pages(&paged).len()), (1, 1));
    let over = ward.audit("over");
    assert_eq!((&over["state"], &over["remediation_action"]), (&json!("resolved"), &Value::Null), "{over:#}");
    assert_eq!(ward.pages_so_far(&over), [Value::Null; 0]);
    let early = "SELECT count(*) FROM oncall.incident_audit AS a
                 JOIN oncall.maintenance_window AS w ON w.labels <@ (a.alert -> 'labels')
                 WHERE a.routed_at < upper(w.during) OR a.handled_at < upper(w.during)";
    assert_eq!(number(&mut ward.client, early), 0);
    let once = "SELECT count(*) FROM oncall.incident_step AS s JOIN oncall.incident_audit AS a USING (incident_id)
                JOIN oncall.maintenance_window AS w ON w.labels <@ (a.alert -> 'labels')
                WHERE s.kind = 'route' AND s.started_at >= upper(w.during)";
    assert_eq!(number(&mut ward.client, once), 3, "one decision each, and none for what was over");
}

#[test]
fn whoever_listens_hears_of_each_state_of_an_incident_from_the_inbox() {
    let mut ward = Ward::open(Options::default());
    let mut listener = ward.cluster.client().unwrap();
    listener.batch_execute("LISTEN oncall_incident").unwrap();
    ward.hand_in(&alert("QueueStuck", "db-1"));
    let mut states = Vec::new();
    while states.last().is_none_or(|last| last != "handled") {
        let next = listener.notifications().timeout_iter(GUARD).next().unwrap().expect("its end is told");
        let told: Value = serde_json::from_str(next.payload()).unwrap();
        states.push(told["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(states, ["received", "triaged", "routed", "handled"]);
    let incident = ward.until_handled("db-1");
    assert_eq!(ward.pages(&incident).len(), 1);
}
