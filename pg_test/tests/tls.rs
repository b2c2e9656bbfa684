//! Model servers and sinks whose certificates the house signs itself: trusted by its file, and not before.

mod common;

use std::fs;

use common::{bare, handle, load_runbooks, objections, pool_alert, session, until};
use pg_test::Options;
use pg_test::stub_pod::{Behaviour, StubPod};
use pg_test::stub_sink::StubSink;
use pg_test::tls_front::TlsFront;
use postgres::Client;

/// Tell server and session of a file, and wait until this session goes by it.
fn trust(client: &mut Client, file: &str) {
    client.batch_execute(&format!("ALTER SYSTEM SET oncall.ca_file = '{file}'")).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    until("the setting holds", || client.query_one("SHOW oncall.ca_file", &[]).unwrap().get::<_, String>(0) == file);
}

#[test]
fn a_certificate_that_the_house_signed_counts_by_its_file_and_not_before() {
    let (pod, sink) = (StubPod::start(Behaviour::Ok), StubSink::start());
    let (pod_front, sink_front) = (TlsFront::before(pod.port()), TlsFront::before(sink.port()));
    let cluster = bare(&Options::default().workers());
    let mut client = session(&cluster, &pod);
    load_runbooks(&cluster, &mut client);
    common::set(&mut client, "oncall.model_url", &pod_front.url("/v1"));
    client
        .execute("INSERT INTO oncall.sink (name, format, url) VALUES ('ops', 'generic', $1)", &[&sink_front.url("/")])
        .unwrap();

    // The public authorities have not signed it: nothing is said to whoever answers there.
    let stranger = handle(&mut client, &pool_alert("db-1"));
    let why = format!("{:?}", objections(&mut client, &stranger.id));
    assert!(why.contains("certificate"), "{why}");
    let page: i64 = client.query_one("SELECT oncall.send_test_page('ops')", &[]).unwrap().get(0);
    let mut state = || {
        let sql = "SELECT state, coalesce(last_error, '') FROM oncall.delivery WHERE id = $1";
        let row = client.query_one(sql, &[&page]).unwrap();
        (row.get::<_, String>(0), row.get::<_, String>(1))
    };
    until("the page was tried", || !state().1.is_empty());
    let (waits, said) = state();
    assert!(waits == "waiting" && said.contains("certificate"), "{waits}: {said}");
    assert_eq!((pod.request_count(), sink.count()), (0, 0));

    // One file for both, with a certificate for each.
    let file = cluster.dir().join("house.pem");
    fs::write(&file, format!("{}{}", pod_front.authority(), sink_front.authority())).unwrap();
    cluster.tree().place.account.give(&file).unwrap();
    trust(&mut client, &file.display().to_string());
    let known = handle(&mut client, &pool_alert("db-2"));
    assert_eq!(known.by(), "stub", "{known:?}");
    until("a page arrives", || {
        client.execute("SELECT oncall.send_test_page('ops')", &[]).unwrap();
        sink.accepted() > 0
    });

    // A file that is none is said, and contacts nobody.
    let asked = pod.request_count();
    trust(&mut client, "/nonexistent/house.pem");
    let lost = handle(&mut client, &pool_alert("db-3"));
    let why = format!("{:?}", objections(&mut client, &lost.id));
    assert!(why.contains("oncall.ca_file"), "{why}");
    fs::write(&file, "no certificate").unwrap();
    trust(&mut client, &file.display().to_string());
    let empty = handle(&mut client, &pool_alert("db-4"));
    let why = format!("{:?}", objections(&mut client, &empty.id));
    assert!(why.contains("PEM"), "{why}");
    assert_eq!(pod.request_count(), asked);
}
