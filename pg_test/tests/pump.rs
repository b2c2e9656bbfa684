//! What a pump does with what it is told: woken by commits, stopped by nothing that befalls one of its desks.
//!
//! The desk that announces changes stands for all of them: a row of `oncall.announcement` is gone when it was told.

mod common;

use std::time::{Duration, Instant};

use common::{GUARD, bare, number, until};
use pg_test::stub_pod::{Behaviour, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;

/// A server with a pump at work. Only a commit wakes it: by itself it would look an hour later.
fn set_up(options: Options) -> (Cluster, Client) {
    let cluster = bare(&options.workers().set("oncall.poll_interval", "1h"));
    let mut client = cluster.client().unwrap();
    until("the pump is there", || pump(&mut client).is_some());
    (cluster, client)
}

fn pump(client: &mut Client) -> Option<i32> {
    let sql = "SELECT pid FROM oncall.worker_status() WHERE kind = 'pump'";
    client.query_opt(sql, &[]).unwrap().map(|row| row.get(0))
}

const ANNOUNCE: &str = "INSERT INTO oncall.announcement (incident_id, state) VALUES ('INC-0001', 'triaged')";

fn untold(client: &mut Client) -> i64 {
    number(client, "SELECT count(*) FROM oncall.announcement")
}

fn until_told(client: &mut Client) {
    until("everything was told", || untold(client) == 0);
}

#[test]
fn a_commit_wakes_the_pump_and_a_rollback_leaves_nothing() {
    let (_cluster, mut client) = set_up(Options::default());
    client.batch_execute("LISTEN oncall_incident").unwrap();
    client.batch_execute(&format!("BEGIN; {ANNOUNCE}; ROLLBACK")).unwrap();
    client.batch_execute(&format!("BEGIN; SAVEPOINT s; {ANNOUNCE}; ROLLBACK TO s; COMMIT")).unwrap();
    let mut took: Vec<_> = (0..50)
        .map(|_| {
            let began = Instant::now();
            client.batch_execute(ANNOUNCE).unwrap();
            let told = client.notifications().timeout_iter(GUARD).next().unwrap().expect("it is told in time");
            assert!(told.payload().contains("INC-0001"), "{}", told.payload());
            began.elapsed()
        })
        .collect();
    took.sort();
    println!("from INSERT to NOTIFY: median {} us, worst {} us", took[25].as_micros(), took[49].as_micros());
    assert_eq!(untold(&mut client), 0);
}

#[test]
fn what_a_prepared_transaction_queued_is_found_when_it_is_committed() {
    let (_cluster, mut client) = set_up(Options::default().set("max_prepared_transactions", "5"));
    client.batch_execute(&format!("BEGIN; {ANNOUNCE}; PREPARE TRANSACTION 'later'")).unwrap();
    // Other commits of the session, and of others, have nothing to do with it.
    client.batch_execute("CREATE TABLE t ()").unwrap();
    assert_eq!(untold(&mut client), 0);
    client.batch_execute("COMMIT PREPARED 'later'").unwrap();
    until_told(&mut client);
}

#[test]
fn a_lock_on_its_tables_costs_the_pump_some_patience_and_nothing_else() {
    let (cluster, mut client) = set_up(Options::default());
    let before = pump(&mut client);
    let mut holder = cluster.client().unwrap();
    holder
        .batch_execute(&format!("BEGIN; LOCK TABLE oncall.announcement IN ACCESS EXCLUSIVE MODE; {ANNOUNCE}"))
        .unwrap();
    client.batch_execute("SELECT oncall_internal.wake()").unwrap();
    until("the pump has given up waiting", || cluster.log().contains("lock timeout"));
    // Meanwhile it stays at its latch: it can be asked and told.
    assert_eq!(pump(&mut client), before);
    holder.batch_execute("COMMIT").unwrap();
    until_told(&mut client);
    assert_eq!(pump(&mut client), before);
}

#[test]
fn an_error_in_a_statement_of_a_desk_does_not_end_the_pump() {
    let (cluster, mut client) = set_up(Options::default());
    let before = pump(&mut client);
    client
        .batch_execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'spoilt % times', 1/0; END $$;
             CREATE TRIGGER spoil BEFORE DELETE ON oncall.announcement FOR EACH ROW EXECUTE FUNCTION spoil()",
        )
        .unwrap();
    for _ in 0..5 {
        client.batch_execute(ANNOUNCE).unwrap();
    }
    until("the error is told", || cluster.log().contains("division by zero"));
    assert_eq!(untold(&mut client), 5);
    client.batch_execute("DROP TRIGGER spoil ON oncall.announcement; SELECT oncall_internal.wake()").unwrap();
    until_told(&mut client);
    assert_eq!(pump(&mut client), before);
}

#[test]
fn a_storm_of_commits_is_answered_in_a_few_looks() {
    let (_cluster, mut client) = set_up(Options::default().set("synchronous_commit", "off"));
    let pid = pump(&mut client).unwrap();
    let before = cpu_ticks(pid);
    let began = Instant::now();
    for _ in 0..3000 {
        client.batch_execute("SELECT oncall_internal.wake()").unwrap();
    }
    let ticks = cpu_ticks(pid) - before;
    println!("3000 wakes in {} ms cost the pump {} ms", began.elapsed().as_millis(), ticks * 10);
    client.batch_execute(ANNOUNCE).unwrap();
    until_told(&mut client);
}

/// User and system time of a process, in hundredths of a second.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn its_own_statements_stay_out_of_the_statistics_that_it_reports() {
    let (_cluster, mut client) = set_up(Options::default().preload("pg_stat_statements,pg_oncall"));
    client.batch_execute("CREATE EXTENSION pg_stat_statements").unwrap();
    client.batch_execute(ANNOUNCE).unwrap();
    until_told(&mut client);
    let of = |client: &mut Client, what: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%{what}%' AND query NOT LIKE '%count(%'"
        );
        number(client, &sql)
    };
    assert_eq!(of(&mut client, "INSERT INTO oncall.announcement"), 1, "a session's statement is counted");
    assert_eq!(of(&mut client, "tell_announcements"), 0);
}

/// A runbook whose one step leaves a value open, so that its remediation asks a model as the other two agents do.
const OPEN_STEP: &str = "---
id: RB-961
title: The queue is behind
incident_type: QueueBehind
severity: P3
alerts: [QueueBehind]
---

## Give it a push

And it goes on.

```yaml step
tool: push
parameters: {amount: {min: 1, max: 9}}
destructive: false
```
";

#[test]
fn no_transaction_is_open_while_it_waits_for_one_agent_or_for_three() {
    let pod = StubPod::start(Behaviour::Ok);
    let options = Options::default().set("oncall.model_url", &pod.url()).set("oncall.chat_model", "stub-chat");
    let (_cluster, mut client) = set_up(options.set("oncall.request_timeout", "10min"));
    client
        .batch_execute(
            "INSERT INTO oncall.tool (name, kind, summary, template, parameters) VALUES
                 ('push', 'remediation', 'Pushes', 'SELECT {amount}', '{\"amount\": {\"type\": \"integer\", \"min\": 1, \"max\": 9}}')",
        )
        .unwrap();
    client.query("SELECT * FROM oncall.load_runbook($1)", &[&OPEN_STEP]).unwrap();
    pod.hold();
    let hand_in = "INSERT INTO oncall.alert_inbox (source, payload)
                   VALUES ('test', '{\"text\": \"behind\", \"labels\": {\"alertname\": \"QueueBehind\"}}')";
    client.batch_execute(hand_in).unwrap();
    until("the triage is asked", || pod.held() == 1);
    look_for_transactions(&mut client, &pod, 1);

    // The answer to the triage lets the three begin, and theirs are held again.
    let asked = pod.request_count();
    pod.pass();
    until("three agents are asked", || pod.held() == 3);
    assert_eq!(pod.request_count(), asked + 3);
    look_for_transactions(&mut client, &pod, 3);
    pod.let_go();
    until("it is handled", || {
        number(&mut client, "SELECT count(*) FROM oncall.incident_audit WHERE state = 'handled'") == 1
    });
}

/// Look at the pump again and again while this many answers are outstanding: each look is within the wait.
///
/// The other desks of the pump go on meanwhile, with short transactions of their own: one look in a hundred may meet one.
fn look_for_transactions(client: &mut Client, pod: &StubPod, waiting: usize) {
    let sql = "SELECT xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity
               WHERE backend_type = 'pg_oncall pump'";
    let mut quiet = || client.query_one(sql, &[]).unwrap().get::<_, bool>(0);
    // What led to the question may still be told to listeners: that is a transaction of its own.
    until("the pump has nothing else to do", &mut quiet);
    std::thread::sleep(Duration::from_millis(200));
    let mut met = 0;
    for _ in 0..300 {
        met += u32::from(!quiet());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(met <= 3, "{met} of 300 looks met a transaction");
    assert_eq!(pod.held(), waiting, "all that was within the wait");
}
