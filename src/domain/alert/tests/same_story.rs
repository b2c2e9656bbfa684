//! One story through every format: fingerprint, severity, times and labels come out the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::only;
use crate::alert::{Alert, Severity, Status};

const NAME: &str = "PgBouncerPoolExhausted";
const TEXT: &str = "PgBouncer pool shop has 16 waiting clients";
const START: &str = "2026-11-20T08:18:45Z";
/// What Alertmanager computes for the labels below.
const FINGERPRINT: &str = "3ba839572220620e";

fn labels() -> Value {
    json!({"alertname": NAME, "database": "shop", "host": "pgb01", "service": "checkout", "severity": "critical"})
}

fn alertmanager(version: &str) -> Value {
    json!({"version": version, "status": "firing", "alerts": [{
        "status": "firing", "labels": labels(), "annotations": {"summary": TEXT}, "startsAt": START,
        "endsAt": "0001-01-01T00:00:00Z", "fingerprint": FINGERPRINT,
    }]})
}

fn generic() -> Value {
    json!({"name": NAME, "text": TEXT, "severity": "critical", "time": START, "host": "pgb01",
           "labels": {"database": "shop", "service": "checkout", "severity": "critical"}})
}

fn datadog() -> Value {
    json!({"source": "datadog", "title": format!("[Triggered on {{database:shop}}] {NAME}"), "alert_title": TEXT,
           "transition": "Triggered", "type": "error", "priority": "P1", "scope": "database:shop,service:checkout",
           "tags": "service:checkout,database:shop,severity:critical", "hostname": "pgb01", "date": "1795162725000"})
}

fn zabbix() -> Value {
    json!({"trigger_id": "23177", "event_value": "1", "event_nseverity": "5", "event_name": TEXT, "host": "pgb01",
           "event_date": "2026.11.20", "event_time": "08:18:45", "event_tags": json!([
               {"tag": "alertname", "value": NAME}, {"tag": "database", "value": "shop"},
               {"tag": "service", "value": "checkout"}, {"tag": "severity", "value": "critical"}]).to_string()})
}

fn pagerduty() -> Value {
    json!({"routing_key": "k", "event_action": "trigger", "dedup_key": FINGERPRINT, "payload": {
        "summary": TEXT, "severity": "critical", "timestamp": "2026-11-20T08:18:45.000+0000",
        "custom_details": {"labels": labels()}}})
}

fn opsgenie() -> Value {
    json!({"action": "Create", "alert": {"alias": FINGERPRINT, "message": TEXT, "priority": "P1", "details": labels(),
           "createdAt": 1795162725000_i64}})
}

fn cloudwatch() -> Value {
    let message = json!({"AlarmName": NAME, "AlarmDescription": TEXT, "NewStateValue": "ALARM", "AlarmArn": "arn:x",
        "StateChangeTime": "2026-11-20T08:18:45.000+0000", "Trigger": {"Dimensions": [
            {"name": "database", "value": "shop"}, {"name": "host", "value": "pgb01"},
            {"name": "service", "value": "checkout"}, {"name": "severity", "value": "critical"}]}});
    json!({"Type": "Notification", "TopicArn": "arn:t", "Message": message.to_string()})
}

fn told() -> Vec<Alert> {
    let mut told = vec![only(&alertmanager("4")), only(&alertmanager("1"))];
    told.extend([generic(), datadog(), zabbix(), pagerduty(), opsgenie(), cloudwatch()].iter().map(only));
    told
}

#[test]
fn every_format_that_carries_labels_tells_the_same_story() {
    let sources = ["alertmanager", "grafana", "generic", "datadog", "zabbix", "pagerduty", "opsgenie", "cloudwatch"];
    let expected: BTreeMap<String, String> = serde_json::from_value(labels()).expect("a map of texts");
    for (alert, source) in told().iter().zip(sources) {
        assert_eq!(alert.source, source);
        assert_eq!(alert.name.as_deref(), Some(NAME), "{source}");
        assert_eq!(alert.text, TEXT, "{source}");
        assert_eq!(alert.severity, Some(Severity::P1), "{source}");
        assert_eq!(alert.status, Status::Firing, "{source}");
        assert_eq!(alert.labels, expected, "{source}");
        assert_eq!(alert.starts_at.map(|at| at.to_string()).as_deref(), Some(START), "{source}");
        assert_eq!(alert.ends_at, None, "{source}");
    }
}

#[test]
fn the_fingerprint_is_the_same_where_the_format_has_no_key_of_its_own() {
    for alert in told() {
        let has_own_key = matches!(alert.source.as_str(), "zabbix" | "cloudwatch");
        assert_eq!(alert.fingerprint == FINGERPRINT, !has_own_key, "{}", alert.source);
    }
}

#[test]
fn nagios_tells_what_it_can() {
    let alert = only(&json!({"notification_type": "PROBLEM", "host": "pgb01", "service": NAME, "state": "CRITICAL",
                             "output": TEXT, "time": "1795162725"}));
    assert_eq!((alert.name.as_deref(), alert.text.as_str()), (Some(NAME), TEXT));
    assert_eq!(alert.severity, Some(Severity::P1));
    assert_eq!(alert.starts_at.map(|at| at.to_string()).as_deref(), Some(START));
    assert_eq!(alert.labels["host"], "pgb01");
}

#[test]
fn a_text_and_a_payload_with_nothing_but_that_text_are_the_same_alert() {
    let text = only(&json!("CRITICAL: 16 clients wait for pool shop"));
    let payload = only(&json!({"message": "CRITICAL: 16 clients wait for pool shop"}));
    assert_eq!(text.fingerprint, payload.fingerprint);
    assert_eq!((text.severity, payload.severity), (Some(Severity::P1), Some(Severity::P1)));
}
