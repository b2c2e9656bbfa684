-- The story of `cargo demo`: everything shown is read from the database.
-- psql sets :runbooks to the directory of the runbooks.
\pset footer off
\pset null '-'
SET client_min_messages = warning;

CREATE EXTENSION pg_oncall CASCADE;
ALTER DATABASE postgres SET search_path = oncall, public;
SELECT count(*) AS months FROM oncall.ensure_log_partitions() \gset

\echo
\echo '1. The runbooks are loaded: each section is one row, searched by meaning.'
\echo
SELECT count(*) AS loaded FROM oncall.load_runbooks(:'runbooks') \gset
SELECT runbook_id, title, count(*) AS sections, count(step) AS steps,
       count(*) FILTER (WHERE destructive) AS destructive
FROM oncall.ops_runbooks GROUP BY runbook_id, title ORDER BY runbook_id;

\echo
\echo '2. Three alerts arrive, as three monitoring systems send them.'
\echo
SELECT incident_id, left(alert_text, 58) AS alert, severity, routing_decision FROM oncall.handle_alert($$
{
  "text": "Connection pool exhaustion: pool_size=50, active=198",
  "severity": "critical",
  "source": "pgbouncer-exporter",
  "labels": {"alertname": "PgBouncerPoolExhausted", "instance": "pgbouncer-1:6432", "database": "production"}
}
$$::jsonb);

SELECT incident_id, left(alert_text, 58) AS alert, severity, routing_decision FROM oncall.handle_alert($$
{
  "version": "4",
  "groupKey": "{}:{alertname=\"QueryLatencySpike\"}",
  "status": "firing",
  "receiver": "pg_oncall",
  "groupLabels": {"alertname": "QueryLatencySpike"},
  "commonLabels": {"alertname": "QueryLatencySpike", "severity": "warning"},
  "commonAnnotations": {},
  "externalURL": "http://alertmanager.example:9093",
  "alerts": [{
    "status": "firing",
    "labels": {"alertname": "QueryLatencySpike", "severity": "warning", "instance": "db-1:5432",
               "datname": "production", "relation": "orders"},
    "annotations": {"summary": "Query latency: p95 is 24 times the rolling baseline on the orders table",
                    "description": "Sequential scans on orders are rising, the last ANALYZE is 9 days old."},
    "startsAt": "2026-07-01T02:14:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.example:9090/graph",
    "fingerprint": "5f3c1c2a7d9e4b10"
  }]
}
$$::jsonb);

SELECT incident_id, left(alert_text, 58) AS alert, severity, routing_decision FROM oncall.handle_alert($$
{
  "version": "4",
  "groupKey": "{}:{alertname=\"WalVolumeAlmostFull\"}",
  "status": "firing",
  "receiver": "pg_oncall",
  "groupLabels": {"alertname": "WalVolumeAlmostFull"},
  "commonLabels": {"alertname": "WalVolumeAlmostFull", "severity": "critical"},
  "commonAnnotations": {},
  "externalURL": "http://alertmanager.example:9093",
  "alerts": [{
    "status": "firing",
    "labels": {"alertname": "WalVolumeAlmostFull", "severity": "critical", "instance": "db-1:9100",
               "mountpoint": "/var/lib/postgresql/wal"},
    "annotations": {"summary": "Disk space critical: 94.7 percent utilization on the WAL volume",
                    "description": "Archiving lag is rising and the checkpointer is falling behind."},
    "startsAt": "2026-07-01T02:20:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.example:9090/graph",
    "fingerprint": "c0a41b7e52f6d893"
  }]
}
$$::jsonb);

\echo
\echo '3. Each left one audit row.'
\echo
SELECT incident_id, severity, runbook_retrieved AS runbook, similarity, confidence, classification, routing_decision
FROM oncall.incident_audit ORDER BY incident_id;

\echo
\echo '4. Why INC-0003 was not left to itself: every condition of the policy, and which of them failed.'
\echo
SELECT condition, left(value, 10) AS value, bound, CASE WHEN pass THEN 'pass' ELSE 'FAIL' END AS verdict
FROM oncall.explain_route('INC-0003');

\echo
\pset format wrapped
\pset columns 100
SELECT reason AS "the reason in words" FROM oncall.explain_route('INC-0003') WHERE NOT pass;

\echo
\echo '5. What happened to INC-0001, step by step.'
\echo
SELECT to_char(at, 'HH24:MI:SS.MS') AS at, what, outcome, took_ms FROM oncall.incident_timeline('INC-0001');
\echo
