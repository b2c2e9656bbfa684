//! Each source by its fixtures: firing, acknowledged, resolved, and what is no alert.

use serde_json::{Value, json};

use super::{alert, only, payload};
use crate::alert::{AlertError, MAX_TEXT, Severity, Status, normalise, normalise_text};

fn error(payload: &Value) -> AlertError {
    normalise(payload).expect_err("this is no alert")
}

fn time(at: Option<jiff::Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

#[test]
fn alertmanager_says_all_there_is_to_say() {
    let firing = alert("alertmanager_0.25_captured_firing");
    assert_eq!(firing.source, "alertmanager");
    assert_eq!(firing.status, Status::Firing);
    assert_eq!(firing.severity, Some(Severity::P1));
    assert_eq!(firing.name.as_deref(), Some("PgBouncerPoolExhausted"));
    assert_eq!(firing.text, "PgBouncer pool shop has 16 waiting clients");
    assert_eq!(firing.fingerprint, "3aeb795bcb356e22");
    assert_eq!(firing.labels.len(), 12);
    assert_eq!(firing.annotations["runbook_url"], "https://runbooks.example/pgbouncer-pool");
    assert_eq!(time(firing.starts_at), "2026-11-20T08:18:45.82Z");
    assert_eq!(firing.ends_at, None, "year 1 is no time");
    assert!(firing.url.is_some_and(|url| url.starts_with("http://prometheus.example:19090/graph")));
    assert_eq!(firing.extra["group"]["receiver"], "pg_oncall");

    let resolved = alert("alertmanager_0.25_captured_resolved");
    assert_eq!(resolved.status, Status::Resolved);
    assert_eq!(resolved.fingerprint, firing.fingerprint);
    assert_eq!(time(resolved.ends_at), "2026-11-20T08:19:07.82Z");
}

#[test]
fn the_fingerprint_that_alertmanager_sends_is_the_one_that_its_labels_have() {
    for name in ["alertmanager_0.25_captured_firing", "alertmanager_0.25_captured_mixed"] {
        let mut without = payload(name);
        for alert in without["alerts"].as_array_mut().expect("a list") {
            alert.as_object_mut().expect("an object").remove("fingerprint");
        }
        let fingerprints = |payload: &Value| -> Vec<String> {
            normalise(payload).expect(name).into_iter().map(|alert| alert.fingerprint).collect()
        };
        assert_eq!(fingerprints(&without), fingerprints(&payload(name)));
    }
}

#[test]
fn a_resolved_alert_in_a_firing_group_keeps_its_own_status() {
    let alerts = normalise(&payload("alertmanager_0.25_captured_mixed")).expect("two alerts");
    assert_eq!(alerts.len(), 2);
    assert_eq!((alerts[0].status, alerts[1].status), (Status::Firing, Status::Resolved));
    assert_eq!((alerts[0].severity, alerts[1].severity), (Some(Severity::P3), Some(Severity::P1)));
    assert_eq!(alerts[0].text, "p99 2.4s — größer als 2s ☠");
    assert_eq!(alerts[1].text, "HighCheckoutLatency", "a resolution without a summary has its name as text");
    assert_eq!(alerts[0].ends_at, None);
    assert_eq!(time(alerts[1].ends_at), "2026-11-20T08:19:46Z");
    assert_eq!(time(alerts[0].starts_at), "2026-11-20T08:19:43.396802691Z");
}

#[test]
fn keys_that_newer_alertmanagers_send_are_kept() {
    let alert = alert("alertmanager_0.34_firing");
    assert_eq!(alert.extra["group"]["notification_reason"], "first notification");
    assert_eq!(alert.extra["group"]["routeLabels"], json!({"tier": "1"}));
    assert_eq!(alert.extra["group"].get("commonLabels"), None, "the alert has these labels itself");
}

#[test]
fn the_keys_of_a_large_group_are_kept_once() {
    let alerts: Vec<Value> = (0..100).map(|n| json!({"labels": {"alertname": "A", "n": n.to_string()}})).collect();
    let large = json!({"version": "4", "alerts": alerts, "groupKey": "k", "receiver": "x".repeat(10_000)});
    let alerts = normalise(&large).expect("100 alerts");
    assert_eq!(alerts[0].extra["group"]["receiver"].as_str().map(str::len), Some(10_000));
    assert_eq!(alerts[99].extra["group"], json!({"groupKey": "k"}));
}

#[test]
fn an_end_announced_for_a_firing_alert_is_kept_and_not_believed() {
    let end = "2026-11-20T08:22:45Z";
    let alert = only(&json!({"alerts": [{"status": "firing", "labels": {"alertname": "A"}, "endsAt": end}]}));
    assert_eq!((alert.ends_at, &alert.extra["endsAt"]), (None, &json!(end)));
}

#[test]
fn a_group_with_an_alert_that_is_none_is_an_error_and_says_which() {
    let broken = json!({"version": "4", "alerts": [{"labels": {"alertname": "A"}}, "B"]});
    assert!(error(&broken).to_string().contains("alerts[1]"), "{}", error(&broken));
    assert!(error(&json!({"version": "4", "alerts": []})).to_string().contains("empty"));
}

#[test]
fn grafana_is_told_from_alertmanager_and_keeps_its_own_keys() {
    let alert = alert("grafana_firing");
    assert_eq!(alert.source, "grafana");
    assert_eq!(alert.fingerprint, "3aeb795bcb356e22");
    assert_eq!(alert.severity, Some(Severity::P1));
    assert_eq!(alert.extra["values"], json!({"A": 16, "C": 1}));
    assert_eq!(alert.extra["ruleUID"], "cdzk3h1q");
    assert_eq!(alert.extra["group"]["title"], "[FIRING:1] PgBouncerPoolExhausted (shop critical)");
}

#[test]
fn a_pagerduty_event_is_followed_from_trigger_to_resolve() {
    let trigger = alert("pagerduty_event_trigger");
    assert_eq!(trigger.source, "pagerduty");
    assert_eq!((trigger.status, trigger.severity), (Status::Firing, Some(Severity::P1)));
    assert_eq!(trigger.text, "PgBouncer pool shop has 16 waiting clients");
    assert_eq!(trigger.labels["source"], "pgb01");
    assert_eq!(trigger.labels["component"], "pgbouncer");
    assert_eq!(trigger.annotations["cl_waiting"], "16");
    assert_eq!(time(trigger.starts_at), "2026-11-20T08:18:45.82Z");
    assert_eq!(trigger.url.as_deref(), Some("https://oncall.example/i/42"));

    let acknowledge = alert("pagerduty_event_acknowledge");
    let resolve = alert("pagerduty_event_resolve");
    assert_eq!((acknowledge.status, resolve.status), (Status::Acknowledged, Status::Resolved));
    assert_eq!((&acknowledge.fingerprint, &resolve.fingerprint), (&trigger.fingerprint, &trigger.fingerprint));
    assert_eq!(resolve.text, "PagerDuty alert pgb/shop, resolved");
}

#[test]
fn a_pagerduty_routing_key_is_not_kept() {
    let alert = alert("pagerduty_event_trigger");
    assert_eq!(alert.extra["routing_key"], "(withheld)");
    assert!(!format!("{alert:?}").contains("0123456789abcdef0123456789abcdef"));
}

#[test]
fn what_alertmanager_sends_to_pagerduty_and_to_opsgenie_is_one_alert() {
    let fingerprint = alert("pagerduty_event_captured_trigger").fingerprint;
    assert_eq!(alert("pagerduty_event_captured_resolve").fingerprint, fingerprint);
    let opsgenie = alert("opsgenie_alert_captured");
    assert_eq!(opsgenie.fingerprint, fingerprint);
    assert_eq!(opsgenie.name.as_deref(), Some("PgBouncerPoolExhausted"), "Alertmanager puts the labels into details");
}

#[test]
fn a_pagerduty_event_that_leads_nowhere_is_an_error() {
    assert!(error(&json!({"event_action": "resolve", "routing_key": "k"})).to_string().contains("dedup_key"));
    assert!(error(&json!({"event_action": "trigger", "dedup_key": "k"})).to_string().contains("summary"));
    assert!(error(&json!({"event_action": "snooze", "dedup_key": "k"})).to_string().contains("event_action"));
}

#[test]
fn a_pagerduty_incident_is_followed_through_its_webhooks() {
    let triggered = alert("pagerduty_webhook_triggered");
    assert_eq!(triggered.severity, Some(Severity::P2), "by its urgency, because it has no priority");
    assert_eq!(triggered.labels["service"], "checkout");
    assert_eq!(time(triggered.starts_at), "2026-11-20T08:18:47Z");
    assert_eq!(triggered.fingerprint, alert("pagerduty_event_trigger").fingerprint);
    let resolved = alert("pagerduty_webhook_resolved");
    assert_eq!(alert("pagerduty_webhook_acknowledged").status, Status::Acknowledged);
    assert_eq!(resolved.status, Status::Resolved);
    assert_eq!(time(resolved.ends_at), "2026-11-20T08:18:47.25Z");
    assert_eq!(resolved.fingerprint, triggered.fingerprint);
    assert_eq!(resolved.extra["event"]["data"]["number"], 1423);
}

#[test]
fn an_escalated_incident_stands_where_it_stood() {
    let mut escalated = payload("pagerduty_webhook_acknowledged");
    escalated["event"]["event_type"] = json!("incident.escalated");
    escalated["event"]["data"]["priority"] = json!({"id": "P", "summary": "P1"});
    let alert = only(&escalated);
    assert_eq!((alert.status, alert.severity), (Status::Acknowledged, Some(Severity::P1)));
}

#[test]
fn a_pagerduty_webhook_about_something_else_is_no_alert() {
    let mut note = payload("pagerduty_webhook_triggered");
    for kind in ["incident.annotated", "pagey.ping", "service.updated"] {
        note["event"]["event_type"] = json!(kind);
        assert!(error(&note).to_string().contains(kind));
        assert!(error(&note).hint().contains("incident.triggered"));
    }
}

#[test]
fn datadog_says_it_all_in_texts() {
    let alert = alert("datadog_triggered");
    assert_eq!((alert.status, alert.severity), (Status::Firing, Some(Severity::P1)));
    assert_eq!(alert.name.as_deref(), Some("PgBouncer pool exhausted"));
    assert_eq!(alert.text, "PgBouncer pool exhausted on database:shop");
    assert_eq!(alert.annotations["description"], "cl_waiting over 0 for 5m");
    assert_eq!((alert.labels["database"].as_str(), alert.labels["host"].as_str()), ("shop", "pgb01"));
    assert_eq!(alert.extra["tags"], "monitor", "a tag without a value is no label");
    assert_eq!(alert.extra["alert_cycle_key"], "3001234567890123456");
    assert_eq!(time(alert.starts_at), "2026-11-20T08:18:45.82Z");
}

#[test]
fn a_datadog_monitor_recovers_under_the_fingerprint_of_its_trigger() {
    let triggered = alert("datadog_triggered");
    let mut recovered = payload("datadog_triggered");
    recovered["transition"] = json!("Recovered");
    recovered["type"] = json!("success");
    recovered["alert_cycle_key"] = json!("4");
    recovered["scope"] = json!("service:checkout, database:shop");
    let recovered = only(&recovered);
    assert_eq!((recovered.status, recovered.starts_at), (Status::Resolved, None));
    assert!(recovered.ends_at.is_some());
    assert_eq!(recovered.fingerprint, triggered.fingerprint);

    let mut other = payload("datadog_triggered");
    other["scope"] = json!("database:blog,service:checkout");
    assert_ne!(only(&other).fingerprint, triggered.fingerprint, "another group of the same monitor");
}

#[test]
fn a_datadog_variable_that_was_not_filled_says_nothing() {
    let mut event = payload("datadog_triggered");
    event["priority"] = json!("$ALERT_PRIORITY");
    event["transition"] = json!("Warn");
    event["hostname"] = json!("$HOSTNAME");
    let alert = only(&event);
    assert_eq!(alert.severity, Some(Severity::P3));
    assert!(!alert.labels.contains_key("host"));
    let mut reminder = payload("datadog_triggered");
    reminder["transition"] = json!("Re-Triggered");
    assert_eq!(only(&reminder).starts_at, None, "a reminder does not say when it began");
    let template = json!({"source": "datadog", "title": "$EVENT_TITLE", "body": "$TEXT_ONLY_MSG"});
    assert!(error(&template).to_string().contains("not filled in"));
}

#[test]
fn an_opsgenie_alert_is_followed_through_its_webhooks() {
    let created = alert("opsgenie_webhook_create");
    assert_eq!((created.status, created.severity), (Status::Firing, Some(Severity::P2)));
    assert_eq!(created.labels["entity"], "checkout");
    assert_eq!(time(created.starts_at), "2026-11-20T08:18:47Z");
    assert_eq!(created.ends_at, None);
    assert_eq!(created.extra["alert"]["tags"], json!(["db", "checkout"]));
    assert_eq!(created.fingerprint, alert("opsgenie_alert").fingerprint);
    assert_eq!(alert("opsgenie_alert").annotations["description"], "cl_waiting=16 on pgb01");
    assert_eq!(alert("opsgenie_webhook_acknowledge").status, Status::Acknowledged);
    let closed = alert("opsgenie_webhook_close");
    assert_eq!((closed.status, &closed.fingerprint), (Status::Resolved, &created.fingerprint));
    assert_eq!(time(closed.ends_at), "2026-11-20T08:18:47Z", "updatedAt counts nanoseconds");
    let mut note = payload("opsgenie_webhook_create");
    note["action"] = json!("AddNote");
    assert!(error(&note).to_string().contains("AddNote"));
}

#[test]
fn a_cloudwatch_alarm_is_read_out_of_its_sns_envelope() {
    let alarm = alert("sns_cloudwatch_alarm");
    assert_eq!(alarm.source, "cloudwatch");
    assert_eq!((alarm.status, alarm.severity), (Status::Firing, None));
    assert_eq!(alarm.name.as_deref(), Some("rds-shop-connections"));
    assert_eq!(alarm.text, "DatabaseConnections >= 90% of max");
    assert_eq!(alarm.labels["DBInstanceIdentifier"], "shop-1");
    assert_eq!(time(alarm.starts_at), "2026-11-20T08:18:45.82Z");
    assert_eq!(alarm.extra["sns"]["MessageId"], "e288882d-0000-5be4-8fde-dccc11c8cb01");
    assert_eq!(alarm.extra["Trigger"]["Threshold"], 170.0);
    let ok = alert("sns_cloudwatch_ok");
    assert_eq!((ok.status, &ok.fingerprint), (Status::Resolved, &alarm.fingerprint));
    assert_eq!((time(ok.ends_at), ok.starts_at), ("2026-11-20T08:18:45.82Z".to_owned(), None));
}

#[test]
fn sns_posts_json_as_text_and_it_is_read_all_the_same() {
    let body = payload("sns_cloudwatch_alarm").to_string();
    assert_eq!(normalise_text(&body).expect("an alarm"), vec![alert("sns_cloudwatch_alarm")]);
}

#[test]
fn an_sns_message_that_is_no_alarm_is_the_text_or_the_payload_that_it_is() {
    let envelope = |message: &str| only(&json!({"Type": "Notification", "TopicArn": "t", "Message": message}));
    let text = envelope("the disk is full");
    assert_eq!((text.source.as_str(), text.text.as_str()), ("text", "the disk is full"));
    assert_eq!(text.extra["sns"]["TopicArn"], "t");
    assert_eq!(envelope("{\"name\": \"Disk\"}").name.as_deref(), Some("Disk"));
}

#[test]
fn a_subscription_is_left_to_a_person() {
    let error = error(&payload("sns_subscription_confirmation"));
    assert!(error.to_string().contains("SubscriptionConfirmation"));
    assert!(error.hint().contains("SubscribeURL") && error.hint().contains("never calls"));
}

#[test]
fn a_zabbix_problem_is_read_and_its_recovery_meets_it() {
    let problem = alert("zabbix_problem");
    assert_eq!((problem.status, problem.severity), (Status::Firing, Some(Severity::P2)));
    assert_eq!(problem.name.as_deref(), Some("PgBouncer pool shop exhausted"));
    assert_eq!(problem.annotations["description"], "cl_waiting=16");
    assert_eq!((problem.labels["service"].as_str(), problem.labels["host"].as_str()), ("checkout", "pgb01"));
    assert_eq!(time(problem.starts_at), "2026-11-20T08:18:45Z");
    assert_eq!(problem.extra["event_recovery_date"], Value::Null, "a macro that was not resolved");
    assert!(problem.extra["_notes"][0].as_str().is_some_and(|note| note.contains("UTC")));

    let mut event = payload("zabbix_problem");
    event["event_ack_status"] = json!("Yes");
    assert_eq!(only(&event).status, Status::Acknowledged);
    event["event_value"] = json!("0");
    event["event_name"] = json!("PgBouncer pool shop fine");
    event["event_recovery_date"] = json!("2026.11.20");
    event["event_recovery_time"] = json!("08:19:07");
    let recovery = only(&event);
    assert_eq!((recovery.status, &recovery.fingerprint), (Status::Resolved, &problem.fingerprint));
    assert_eq!(time(recovery.ends_at), "2026-11-20T08:19:07Z");
}

#[test]
fn a_nagios_problem_is_followed_to_its_recovery() {
    let problem = alert("nagios_problem");
    assert_eq!((problem.status, problem.severity), (Status::Firing, Some(Severity::P1)));
    assert_eq!(problem.name.as_deref(), Some("pgbouncer_pool_shop"));
    assert_eq!(problem.text, "CRITICAL - cl_waiting 16");
    assert_eq!(time(problem.starts_at), "2026-11-20T08:18:45Z");
    assert_eq!(problem.extra["problem_id"], "1187");

    let mut event = payload("nagios_problem");
    event["notification_type"] = json!("ACKNOWLEDGEMENT");
    assert_eq!(only(&event).status, Status::Acknowledged);
    event["notification_type"] = json!("RECOVERY");
    event["state"] = json!("OK");
    event["problem_id"] = json!("0");
    let recovery = only(&event);
    assert_eq!((recovery.status, recovery.severity), (Status::Resolved, None));
    assert_eq!(recovery.fingerprint, problem.fingerprint);
    assert!(recovery.starts_at.is_none() && recovery.ends_at.is_some());
    event["notification_type"] = json!("DOWNTIMESTART");
    assert!(error(&event).to_string().contains("DOWNTIMESTART"));
}

#[test]
fn a_nagios_host_has_no_service_and_its_own_severities() {
    let down = only(&json!({"notification_type": "PROBLEM", "host": "pg01", "state": "DOWN", "output": "no ping"}));
    assert_eq!((down.name, down.severity), (None, Some(Severity::P1)));
    assert_eq!(down.text, "pg01 is down: no ping");
    let up = only(&json!({"notification_type": "RECOVERY", "host": "pg01", "state": "UP", "output": "0.1 ms"}));
    assert_eq!(up.fingerprint, down.fingerprint);
    let other = only(&json!({"notification_type": "PROBLEM", "host": "pg02", "state": "DOWN", "output": "no ping"}));
    assert_ne!(other.fingerprint, down.fingerprint);
}

#[test]
fn a_generic_payload_is_read_by_any_of_its_usual_keys() {
    let alert = only(&json!({
        "title": "Connection pool exhaustion", "message": "pool_size=50, active=198", "priority": "P1",
        "source": "pagerduty", "timestamp": 1795162725, "pool_size": 50, "url": "https://x.example", "db": "shop",
        "annotations": {"runbook_url": "https://r.example"},
    }));
    assert_eq!(alert.source, "generic");
    assert_eq!(alert.text, "Connection pool exhaustion");
    assert_eq!(alert.annotations["description"], "pool_size=50, active=198");
    assert_eq!(alert.severity, Some(Severity::P1));
    assert_eq!((alert.labels["source"].as_str(), alert.labels["database"].as_str()), ("pagerduty", "shop"));
    assert_eq!(time(alert.starts_at), "2026-11-20T08:18:45Z");
    assert_eq!(alert.extra, json!({"pool_size": 50}).as_object().cloned().unwrap_or_default());
}

#[test]
fn a_generic_resolution_meets_its_trigger_though_it_says_less() {
    let trigger = only(&json!({"name": "Disk", "host": "pg01", "text": "94.7% full", "severity": "critical"}));
    let resolved = only(&json!({"name": "Disk", "host": "pg01", "status": "resolved", "time": "2026-11-20T09:00:00Z"}));
    assert_eq!((resolved.status, &resolved.fingerprint), (Status::Resolved, &trigger.fingerprint));
    assert_eq!((resolved.starts_at, time(resolved.ends_at)), (None, "2026-11-20T09:00:00Z".to_owned()));
    let keyed = only(&json!({"text": "the disk is full", "dedup_key": "disk-pg01"}));
    let closed = only(&json!({"dedup_key": "disk-pg01", "status": "resolved"}));
    assert_eq!(closed.fingerprint, keyed.fingerprint);
}

#[test]
fn a_value_of_the_wrong_kind_is_kept_and_does_no_harm() {
    let odd =
        json!({"text": "x", "severity": {"a": 1}, "labels": ["db"], "status": 7, "time": "soon", "resolved": "no"});
    let alert = only(&odd);
    assert_eq!((alert.severity, alert.status, alert.starts_at), (None, Status::Firing, None));
    let mut rest = odd;
    rest.as_object_mut().expect("an object").remove("text");
    assert_eq!(Value::Object(alert.extra), rest);
}

#[test]
fn labels_that_contradict_each_other_are_both_kept() {
    let alert = only(&json!({"text": "x", "labels": {"host": "a"}, "tags": ["host:b", "env:test"], "hostname": "c"}));
    assert_eq!((alert.labels["host"].as_str(), alert.labels["env"].as_str()), ("a", "test"));
    assert_eq!((&alert.extra["tags"], &alert.extra["hostname"]), (&json!(["host:b", "env:test"]), &json!("c")));
}

#[test]
fn a_list_is_read_one_by_one_and_an_error_says_which() {
    let alerts = normalise(&json!([{"text": "a"}, {"text": "b"}])).expect("two alerts");
    assert_eq!(alerts.len(), 2);
    let error = error(&json!([{"text": "a"}, 5]));
    assert_eq!(
        error.to_string(),
        "number 2 of the list: an alert is a text, an object, or a list of objects, not a number"
    );
}

#[test]
fn a_payload_of_no_format_is_an_error_that_says_what_was_looked_for() {
    let error = error(&json!({"result": "Request will be processed", "took": 0.3}));
    assert!(error.to_string().contains("\"result\", \"took\""), "{error}");
    let detail = error.detail().unwrap();
    for format in
        ["alertmanager", "grafana", "pagerduty", "datadog", "opsgenie", "cloudwatch", "zabbix", "nagios", "generic"]
    {
        assert!(detail.contains(format), "{detail}");
    }
    assert!(detail.contains("nagios (\"notification_type\" with \"host\")"), "{detail}");
}

#[test]
fn nothing_is_no_alert() {
    for empty in [json!(""), json!(" \n\t"), json!([]), json!("\u{feff}")] {
        assert_eq!(error(&empty), AlertError::Empty, "{empty}");
    }
    for other in [json!(null), json!(true), json!(1), json!({})] {
        assert!(matches!(error(&other), AlertError::NotAnObject { .. } | AlertError::UnknownFormat { .. }), "{other}");
    }
    assert_eq!(normalise_text(" \u{a0} "), Err(AlertError::Empty));
}

#[test]
fn the_first_line_of_a_text_is_its_story() {
    let alert = only(&json!("\n[P1] pool shop is exhausted: 16 clients wait\nsince 08:18\n"));
    assert_eq!((alert.source.as_str(), alert.severity), ("text", Some(Severity::P1)));
    assert_eq!(alert.headline(), "[P1] pool shop is exhausted: 16 clients wait");
    let later = only(&json!("[RESOLVED] pool shop is exhausted: 0 clients wait"));
    assert_eq!((later.status, later.fingerprint), (Status::Resolved, alert.fingerprint));
}

#[test]
fn json_that_was_cut_off_is_a_text() {
    let alerts = normalise_text("{\"text\": \"disk fu").expect("a text");
    assert_eq!((alerts[0].source.as_str(), alerts[0].text.as_str()), ("text", "{\"text\": \"disk fu"));
}

#[test]
fn a_megabyte_is_accepted_cut_and_noted() {
    let text = format!("disk full\n{}", "ä".repeat(512 * 1024));
    for alert in
        [normalise_text(&text), normalise(&json!({"text": text}))].map(|read| read.expect("an alert").remove(0))
    {
        assert!(alert.text.len() <= MAX_TEXT && alert.text.starts_with("disk full\nä"));
        assert!(alert.extra["_notes"][0].as_str().is_some_and(|note| note.contains("1048586 bytes")));
    }
}

#[test]
fn a_character_that_postgres_cannot_store_is_replaced() {
    let alert = only(&json!({"text": "a\0b", "k\0": ["c\0"], "labels": {"x\0": "\0"}}));
    assert_eq!(alert.labels["x\u{fffd}"], "\u{fffd}");
    assert_eq!(alert.extra["k\u{fffd}"], json!(["c\u{fffd}"]));
    assert_eq!(alert.text, "a\u{fffd}b");
    assert_eq!(only(&json!("a\0b")).text, "a\u{fffd}b");
}
