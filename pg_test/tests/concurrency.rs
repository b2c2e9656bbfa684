//! Every accepted alert ends in exactly one audit row or joins an open one, however many sessions send it at once.

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use common::{
    Background, background, code, handle, incidents, number, outline, pool_alert, refused, server, session, told,
    try_handle, until,
};
use pg_test::stub_pod::{Behaviour, StubPod};
use pg_test::{Cluster, Options};
use serde_json::{Value, json};

/// Let each of these many sessions do its part, all from the same moment on.
fn at_once<T: Send + 'static>(
    cluster: &Cluster,
    sessions: usize,
    part: impl Fn(usize, &mut postgres::Client) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let (start, part) = (Arc::new(Barrier::new(sessions)), Arc::new(part));
    let parts: Vec<Background<T>> = (0..sessions)
        .map(|number| {
            let (mut client, start, part) = (cluster.client().unwrap(), start.clone(), part.clone());
            background(move || {
                start.wait();
                part(number, &mut client)
            })
        })
        .collect();
    parts.into_iter().map(Background::result).collect()
}

#[test]
fn the_same_alert_from_eight_sessions_is_one_incident_that_counts_eight() {
    let cluster = server(&Options::default());
    for round in 0..10 {
        let alert = pool_alert(&format!("db-{round}"));
        let ids: BTreeSet<String> =
            at_once(&cluster, 8, move |_, client| handle(client, &alert).id).into_iter().collect();
        assert_eq!(ids.len(), 1, "all sessions are told the same incident");
    }
    let mut client = cluster.client().unwrap();
    let incidents = incidents(&mut client);
    assert_eq!(incidents.len(), 10);
    for incident in incidents {
        assert_eq!((incident.count, incident.state.as_str()), (8, "routed"), "{incident:?}");
        assert_eq!(
            outline(&mut client, &incident.id),
            ["retrieve done", "metrics done", "triage done", "route done"],
            "it was triaged and routed once"
        );
    }
}

#[test]
fn the_same_alert_from_eight_sessions_asks_the_pod_once() {
    let pod = StubPod::start(Behaviour::SlowHead(Duration::from_millis(300)));
    let cluster = server(&Options::default().set("oncall.model_url", &pod.url()).set("oncall.chat_model", "stub-chat"));
    at_once(&cluster, 8, |_, client| handle(client, &pool_alert("db-1")));
    let all = incidents(&mut cluster.client().unwrap());
    assert_eq!((all.len(), all[0].count), (1, 8));
    assert_eq!(pod.request_count(), 1);
}

#[test]
fn when_the_session_that_was_first_rolls_back_the_others_still_get_their_incident() {
    let cluster = server(&Options::default());
    let mut first = cluster.client().unwrap();
    first.batch_execute("BEGIN").unwrap();
    let abandoned = handle(&mut first, &pool_alert("db-1"));
    let others: Vec<_> = (0..4)
        .map(|_| {
            let mut client = cluster.client().unwrap();
            background(move || handle(&mut client, &pool_alert("db-1")))
        })
        .collect();
    let mut watch = cluster.client().unwrap();
    until("the others wait for the first", || {
        number(&mut watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 4
    });
    first.batch_execute("ROLLBACK").unwrap();
    let ids: BTreeSet<String> = others.into_iter().map(|other| other.result().id).collect();
    assert_eq!(ids.len(), 1);
    assert!(!ids.contains(&abandoned.id));
    let all = incidents(&mut watch);
    assert_eq!((all.len(), all[0].count, all[0].state.as_str()), (1, 4, "routed"));
}

#[test]
fn when_a_session_dies_in_the_middle_the_others_still_get_their_incident() {
    let pod = StubPod::start(Behaviour::Ok);
    pod.first([Behaviour::SlowHead(Duration::from_secs(600))]);
    let cluster = server(&Options::default().set("oncall.model_url", &pod.url()).set("oncall.chat_model", "stub-chat"));
    let mut first = cluster.client().unwrap();
    let pid = common::backend_pid(&mut first);
    let dying = background(move || try_handle(&mut first, &pool_alert("db-1")).map(|incident| incident.id));
    until("the pod is asked", || pod.request_count() == 1);
    let mut second = cluster.client().unwrap();
    let surviving = background(move || handle(&mut second, &pool_alert("db-1")));
    let mut watch = cluster.client().unwrap();
    until("the second waits for the first", || {
        number(&mut watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1
    });
    watch.execute("SELECT pg_terminate_backend($1)", &[&pid]).unwrap();
    assert!(dying.result().is_err());
    let incident = surviving.result();
    assert_eq!((incident.count, incident.by()), (1, "stub"));
    assert_eq!(incidents(&mut watch).len(), 1);
}

#[test]
fn rollback_leaves_nothing() {
    let cluster = server(&Options::default());
    let pod = StubPod::start(Behaviour::Ok);
    let mut client = session(&cluster, &pod);
    client.batch_execute("BEGIN").unwrap();
    assert!(handle(&mut client, &pool_alert("db-1")).is_autonomous());
    client.batch_execute("SAVEPOINT here").unwrap();
    assert!(handle(&mut client, &pool_alert("db-2")).is_autonomous());
    client.batch_execute("ROLLBACK TO here").unwrap();
    assert_eq!(incidents(&mut client).len(), 1, "a savepoint takes back what came after it");
    client.batch_execute("ROLLBACK").unwrap();
    for table in ["incident_audit", "incident_step", "inference_audit_log"] {
        assert_eq!(number(&mut client, &format!("SELECT count(*) FROM oncall.{table}")), 0, "{table}");
    }
    // The very alert that was taken back is new when it comes again.
    assert_eq!(handle(&mut client, &pool_alert("db-1")).count, 1);
}

#[test]
fn a_budget_is_not_spent_by_what_was_rolled_back() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    client.batch_execute("INSERT INTO oncall.router_policy (max_actions_per_hour) VALUES (2)").unwrap();
    client.batch_execute("BEGIN").unwrap();
    assert!(handle(&mut client, &pool_alert("db-1")).is_autonomous(), "two actions");
    assert!(!handle(&mut client, &pool_alert("db-2")).is_autonomous(), "the budget is used up");
    client.batch_execute("ROLLBACK").unwrap();
    assert!(handle(&mut client, &pool_alert("db-3")).is_autonomous());
}

#[test]
fn the_alerts_of_one_payload_share_the_budget() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    let names: Vec<String> = (0..8).map(|n| format!("db-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    client.query("SELECT * FROM oncall.handle_alert($1::jsonb)", &[&group(&names, "firing")]).unwrap();
    let approved: usize = incidents(&mut client)
        .iter()
        .filter(|incident| incident.is_autonomous())
        .map(|incident| incident.actions.len())
        .sum();
    assert_eq!(approved, 10, "two actions each, until the ten of an hour are spent");
}

#[test]
fn sessions_at_once_share_the_budget() {
    let cluster = server(&Options::default());
    at_once(&cluster, 8, |session, client| {
        client.batch_execute("BEGIN").unwrap();
        handle(client, &pool_alert(&format!("db-{session}")));
        // Nobody sees yet what the others decided.
        std::thread::sleep(Duration::from_millis(200));
        client.batch_execute("COMMIT").unwrap();
    });
    let approved: usize = incidents(&mut cluster.client().unwrap())
        .iter()
        .filter(|incident| incident.is_autonomous())
        .map(|incident| incident.actions.len())
        .sum();
    assert_eq!(approved, 10);
}

#[test]
fn ids_are_unique_and_no_alert_is_lost_under_load() {
    let cluster = server(&Options::default());
    let ids: Vec<String> = at_once(&cluster, 8, |session, client| {
        (0..20).map(|n| handle(client, &pool_alert(&format!("db-{session}-{n}"))).id).collect::<Vec<_>>()
    })
    .concat();
    assert_eq!(ids.len(), 160);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 160);
    assert!(ids.iter().all(|id| id.strip_prefix("INC-").is_some_and(|n| n.len() >= 4)), "{ids:?}");
    let mut client = cluster.client().unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_audit WHERE state = 'routed'"), 160);
    assert_eq!(number(&mut client, "SELECT count(DISTINCT incident_id) FROM oncall.inference_audit_log"), 160);
}

#[test]
fn of_two_sessions_that_route_an_incident_one_decides_and_the_other_is_told() {
    let cluster = server(&Options::default());
    let mut first = cluster.client().unwrap();
    let triaged = first.query_one("SELECT incident_id FROM oncall.triage_alert($1::jsonb)", &[&pool_alert("db-1")]);
    let id: String = triaged.unwrap().get(0);
    first.batch_execute("BEGIN").unwrap();
    first.query("SELECT * FROM oncall.route_incident($1)", &[&id]).unwrap();
    let (mut second, route) = (cluster.client().unwrap(), id.clone());
    let waiting = background(move || {
        second.query("SELECT * FROM oncall.route_incident($1)", &[&route]).map(drop).map_err(|error| told(&error))
    });
    let mut watch = cluster.client().unwrap();
    until("the second waits for the first", || {
        number(&mut watch, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1
    });
    first.batch_execute("COMMIT").unwrap();
    let said = waiting.result().unwrap_err();
    assert!(said.starts_with("55000") && said.contains(&format!("incident {id} cannot be routed")), "{said}");
    assert!(said.contains("oncall.explain_route"), "the hint says where to look: {said}");
    assert_eq!(outline(&mut watch, &id).iter().filter(|step| *step == "route done").count(), 1);
}

#[test]
fn routing_again_or_what_is_not_there_is_a_clear_error() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    let incident = handle(&mut client, &pool_alert("db-1"));
    let again = format!("SELECT * FROM oncall.route_incident('{}')", incident.id);
    assert!(refused(&mut client, &again, "55000").contains("cannot be routed"));
    let said = refused(&mut client, "SELECT * FROM oncall.route_incident('INC-9999')", "P0002");
    assert!(said.contains("there is no incident \"INC-9999\"") && said.contains("HINT"), "{said}");
}

/// An Alertmanager payload of these instances, in this order.
fn group(instances: &[&str], status: &str) -> Value {
    let alerts: Vec<Value> = instances
        .iter()
        .map(|instance| {
            json!({"status": status, "labels": {"alertname": "PgBouncerPoolExhausted", "instance": instance},
                   "annotations": {"summary": "Pool exhausted"}, "startsAt": "2026-07-01T02:14:00Z"})
        })
        .collect();
    json!({"version": "4", "groupKey": "{}", "status": status, "receiver": "r", "alerts": alerts,
           "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://a"})
}

#[test]
fn groups_of_the_same_alerts_in_different_orders_do_not_lock_each_other_out() {
    let cluster = server(&Options::default());
    let names: Vec<String> = (0..12).map(|n| format!("db-{n}")).collect();
    let outcomes = at_once(&cluster, 6, move |session, client| {
        let mut order: Vec<&str> = names.iter().map(String::as_str).collect();
        if session % 2 == 1 {
            order.reverse();
        }
        order.rotate_left(session);
        client
            .query("SELECT incident_id, alert ->> 'source', alert #>> '{labels,instance}' FROM oncall.handle_alert($1::jsonb)", &[
                &group(&order, "firing"),
            ])
            .map(|rows| {
                let told: Vec<String> = rows.iter().map(|row| row.get(2)).collect();
                assert_eq!(told, order, "the answer is in the order of the payload");
            })
            .map_err(|error| told(&error))
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let all = incidents(&mut cluster.client().unwrap());
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|incident| incident.count == 6), "{all:?}");
}

#[test]
fn alerts_that_fire_and_resolve_at_once_leave_at_most_one_open_incident_each() {
    let cluster = server(&Options::default());
    let outcomes = at_once(&cluster, 6, |session, client| {
        for _ in 0..10 {
            let status = if session % 2 == 0 { "firing" } else { "resolved" };
            client
                .query("SELECT * FROM oncall.handle_alert($1::jsonb)", &[&group(&["db-1"], status)])
                .map_err(|error| (code(&error).to_owned(), told(&error)))?;
        }
        Ok::<(), (String, String)>(())
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let mut client = cluster.client().unwrap();
    assert!(number(&mut client, "SELECT count(*) FROM oncall.incident_audit WHERE state <> 'resolved'") <= 1);
    // Three sessions fired ten times each: all of it is counted, none twice.
    assert_eq!(number(&mut client, "SELECT sum(alert_count) FROM oncall.incident_audit"), 30);
}
