//! Whoever waits for a model can be interrupted, and holds up nobody else.
//!
//! The pod answers after longer than any guard of these tests: an interrupt that does not work is a failure, however
//! slow the machine. How soon one works is for the benchmark to say.

mod common;

use std::fs;
use std::time::Duration;

use common::{
    Background, GUARD, POOL_STEP, backend_pid, background, cancel, code, handle, number, pool_alert, server, session,
    set, told, try_handle, until,
};
use pg_test::stub_pod::{Behaviour, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;

const FOR_EVER: Behaviour = Behaviour::SlowHead(Duration::from_secs(600));

fn set_up() -> (Cluster, StubPod) {
    let cluster = server(&Options::default().set("oncall.request_timeout", "10min"));
    (cluster, StubPod::start(FOR_EVER))
}

/// A session that hands in an alert and waits; it comes back with what it got.
type Waiting = Background<(Client, Result<common::Incident, postgres::Error>)>;

/// Hand in an alert and come back once the pod has been asked, so that the session waits for certain.
fn wait_for_pod(mut client: Client, pod: &StubPod, instance: &str) -> Waiting {
    let before = pod.request_count();
    let alert = pool_alert(instance);
    let waiting = background(move || {
        let outcome = try_handle(&mut client, &alert);
        (client, outcome)
    });
    until("the pod is asked", || pod.request_count() > before);
    assert!(!waiting.is_over());
    waiting
}

fn assert_serves_again(client: &mut Client, pod: &StubPod) {
    pod.set(Behaviour::Ok);
    let incident = handle(client, &pool_alert("after the interrupt"));
    assert_eq!((incident.by(), incident.actions.as_slice()), ("stub", &[POOL_STEP.to_owned()][..]));
}

#[test]
fn a_cancel_from_the_client_ends_the_wait_and_the_session_goes_on() {
    let (cluster, pod) = set_up();
    let client = session(&cluster, &pod);
    let token = client.cancel_token();
    let waiting = wait_for_pod(client, &pod, "db-1");
    cancel(&token);
    let (mut client, outcome) = waiting.result();
    assert_eq!(code(&outcome.unwrap_err()), "57014");
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM oncall.incident_audit"),
        0,
        "a cancelled alert is as if not sent"
    );
    assert_serves_again(&mut client, &pod);
}

#[test]
fn pg_cancel_backend_ends_the_wait() {
    let (cluster, pod) = set_up();
    let mut client = session(&cluster, &pod);
    let pid = backend_pid(&mut client);
    let waiting = wait_for_pod(client, &pod, "db-1");
    cluster.client().unwrap().execute("SELECT pg_cancel_backend($1)", &[&pid]).unwrap();
    let (mut client, outcome) = waiting.result();
    assert_eq!(code(&outcome.unwrap_err()), "57014");
    assert_serves_again(&mut client, &pod);
}

#[test]
fn a_wait_for_the_body_ends_as_one_for_the_head_does() {
    let (cluster, pod) = set_up();
    pod.set(Behaviour::SlowBody(Duration::from_secs(600)));
    let client = session(&cluster, &pod);
    let token = client.cancel_token();
    let waiting = wait_for_pod(client, &pod, "db-1");
    cancel(&token);
    let (mut client, outcome) = waiting.result();
    assert_eq!(code(&outcome.unwrap_err()), "57014");
    assert_serves_again(&mut client, &pod);
}

#[test]
fn a_wait_for_an_embedding_ends_too() {
    let (cluster, pod) = set_up();
    let mut client = session(&cluster, &pod);
    set(&mut client, "oncall.embedding_model", "stub-embed");
    for statement in [
        "SELECT * FROM oncall.search_runbooks('pool exhausted')",
        "SELECT * FROM oncall.reembed_runbooks()",
        "UPDATE oncall.ops_runbooks SET content = content || '.'",
    ] {
        let (before, token) = (pod.request_count(), client.cancel_token());
        let waiting = background(move || {
            let outcome = client.batch_execute(statement);
            (client, outcome)
        });
        until("the pod is asked", || pod.request_count() > before);
        cancel(&token);
        let (returned, outcome) = waiting.result();
        assert_eq!(code(&outcome.unwrap_err()), "57014", "{statement}");
        client = returned;
    }
}

#[test]
fn a_statement_timeout_ends_the_wait() {
    let (cluster, pod) = set_up();
    let mut client = session(&cluster, &pod);
    client.batch_execute("BEGIN; SET LOCAL statement_timeout = '300ms'").unwrap();
    let error = told(&try_handle(&mut client, &pool_alert("db-1")).unwrap_err());
    assert!(error.starts_with("57014") && error.contains("statement timeout"), "{error}");
    client.batch_execute("ROLLBACK").unwrap();
    assert_serves_again(&mut client, &pod);
}

#[test]
fn an_exception_block_catches_the_cancel_and_the_transaction_goes_on() {
    let (cluster, pod) = set_up();
    let mut client = session(&cluster, &pod);
    client
        .batch_execute(
            "CREATE TABLE story (line text);
             CREATE FUNCTION careful(alert jsonb) RETURNS text LANGUAGE plpgsql AS $$
             BEGIN
                 INSERT INTO story VALUES ('before');
                 BEGIN
                     RETURN (SELECT routing_decision FROM oncall.handle_alert(alert));
                 EXCEPTION WHEN query_canceled THEN
                     INSERT INTO story VALUES ('cancelled');
                     RETURN 'cancelled';
                 END;
             END $$;",
        )
        .unwrap();
    let token = client.cancel_token();
    let before = pod.request_count();
    let waiting = background(move || {
        let said = client.query_one("SELECT careful($1)", &[&pool_alert("db-1")]).map(|row| row.get::<_, String>(0));
        (client, said)
    });
    until("the pod is asked", || pod.request_count() > before);
    cancel(&token);
    let (mut client, said) = waiting.result();
    assert_eq!(said.unwrap(), "cancelled");
    assert_eq!(number(&mut client, "SELECT count(*) FROM story"), 2, "the rest of the transaction committed");
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_audit"), 0);
    assert_serves_again(&mut client, &pod);
}

#[test]
fn pg_terminate_backend_ends_the_session_and_only_that() {
    let (cluster, pod) = set_up();
    let mut client = session(&cluster, &pod);
    let pid = backend_pid(&mut client);
    let waiting = wait_for_pod(client, &pod, "db-1");
    let mut other = session(&cluster, &pod);
    other.execute("SELECT pg_terminate_backend($1)", &[&pid]).unwrap();
    let (client, outcome) = waiting.result();
    let error = outcome.unwrap_err();
    assert!(code(&error) == "57P01" || error.is_closed(), "{error}");
    drop(client);
    until("the backend is gone", || !fs::exists(format!("/proc/{pid}")).unwrap());
    assert_serves_again(&mut other, &pod);
    assert!(!cluster.log().contains("terminated by signal"), "no process crashed:\n{}", cluster.log());
}

#[test]
fn a_fast_shutdown_does_not_wait_for_the_pod() {
    let (mut cluster, pod) = set_up();
    let waiting: Vec<_> =
        (0..3).map(|number| wait_for_pod(session(&cluster, &pod), &pod, &format!("db-{number}"))).collect();
    cluster.restart("INT").unwrap();
    for waiting in waiting {
        let (_, outcome) = waiting.result();
        let error = outcome.unwrap_err();
        assert!(code(&error) == "57P01" || error.is_closed(), "{error}");
    }
    assert!(!cluster.log().contains("terminated by signal"), "no process crashed:\n{}", cluster.log());
    let mut client = session(&cluster, &pod);
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_audit"), 0);
    assert_serves_again(&mut client, &pod);
}

#[test]
fn a_database_can_be_dropped_while_a_session_of_another_waits() {
    let (cluster, pod) = set_up();
    let client = session(&cluster, &pod);
    let token = client.cancel_token();
    let waiting = wait_for_pod(client, &pod, "db-1");
    let mut other = cluster.client().unwrap();
    // Each makes every backend of the server answer a signal; one that sleeps deaf holds it up for ever.
    set(&mut other, "statement_timeout", &format!("{}s", GUARD.as_secs()));
    other.batch_execute("CREATE DATABASE aside").unwrap();
    other.batch_execute("DROP DATABASE aside").expect("DROP DATABASE is not held up");
    assert!(!waiting.is_over(), "and the wait goes on undisturbed");
    cancel(&token);
    let (mut client, outcome) = waiting.result();
    assert_eq!(code(&outcome.unwrap_err()), "57014");
    assert_serves_again(&mut client, &pod);
}

#[test]
fn the_database_of_the_waiting_session_can_be_dropped_by_force() {
    let (cluster, pod) = set_up();
    cluster.client().unwrap().batch_execute("CREATE DATABASE shop").unwrap();
    let mut client = cluster.client_as("postgres", "shop").unwrap();
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE").unwrap();
    set(&mut client, "oncall.model_url", &pod.url());
    set(&mut client, "oncall.chat_model", "stub-chat");
    let waiting = wait_for_pod(client, &pod, "db-1");
    cluster.client().unwrap().batch_execute("DROP DATABASE shop WITH (FORCE)").unwrap();
    let (_, outcome) = waiting.result();
    let error = outcome.unwrap_err();
    assert!(code(&error) == "57P01" || error.is_closed(), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn fifty_cancels_leave_no_thread_and_no_file_behind() {
    let (cluster, pod) = set_up();
    let mut client = session(&cluster, &pod);
    let pid = backend_pid(&mut client);
    let count = |what: &str| {
        // The server's processes belong to another account when the tests run as root, who may look all the same.
        fs::read_dir(format!("/proc/{pid}/{what}")).expect("the backend is ours to look at").count()
    };
    // One whole call first: what a backend keeps for its life is there after it.
    pod.set(Behaviour::Ok);
    handle(&mut client, &pool_alert("warm"));
    let (threads, files) = (count("task"), count("fd"));
    pod.set(FOR_EVER);
    for round in 0..50 {
        let token = client.cancel_token();
        let waiting = wait_for_pod(client, &pod, &format!("db-{round}"));
        cancel(&token);
        let (returned, outcome) = waiting.result();
        assert_eq!(code(&outcome.unwrap_err()), "57014", "round {round}");
        client = returned;
    }
    // A helper that was left to itself ends as soon as its call is hung up.
    until("the helper threads end", || count("task") <= threads + 2);
    until("their files are closed", || count("fd") <= files + 4);
    assert_serves_again(&mut client, &pod);
}

#[test]
fn a_session_that_waits_for_another_ones_alert_can_be_cancelled() {
    let (cluster, pod) = set_up();
    let first_client = session(&cluster, &pod);
    let first_token = first_client.cancel_token();
    let first = wait_for_pod(first_client, &pod, "db-1");
    // The same alert: it waits for the first session to commit, not for the pod.
    let mut second = session(&cluster, &pod);
    second.batch_execute("BEGIN; SET LOCAL statement_timeout = '300ms'").unwrap();
    assert_eq!(code(&try_handle(&mut second, &pool_alert("db-1")).unwrap_err()), "57014");
    second.batch_execute("ROLLBACK").unwrap();
    cancel(&first_token);
    assert_eq!(code(&first.result().1.unwrap_err()), "57014");
    assert_serves_again(&mut second, &pod);
}
