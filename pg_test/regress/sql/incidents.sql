-- Incidents: what an alert leaves behind, and that it is all in the caller's transaction.
\pset format unaligned
\getenv runbooks ONCALL_RUNBOOKS
SELECT count(*) FROM oncall.load_runbooks(:'runbooks');

-- The three alerts of the first seed.
SELECT runbook_retrieved, classification, severity, routing_decision, confidence >= 0.75 AS sure
FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "severity": "critical", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
SELECT runbook_retrieved, classification, severity, routing_decision, confidence >= 0.75 AS sure
FROM oncall.handle_alert('p95 latency 24 times the rolling baseline on the orders table');
SELECT runbook_retrieved, classification, routing_decision
FROM oncall.handle_alert('94.7 percent utilization on the write-ahead log (WAL) volume, with archiving lag rising and the checkpointer falling behind');
-- The evidence and the flags decided.
SELECT condition, pass, bound FROM oncall.explain_route((SELECT incident_id FROM oncall.incident_audit WHERE runbook_retrieved = 'RB-001'));
-- A loop: the same step on the same target, three times within the hour; elsewhere does not count.
BEGIN;
INSERT INTO oncall.incident_step (incident_id, agent, step_no, kind, request, status, outcome, started_at, latency_ms)
SELECT incident_id, 'test', n, 'action', jsonb_build_object('step', 'RB-001/raise-the-pool-size', 'target', CASE WHEN n > 2 THEN 'server a' ELSE 'server b' END),
       'done', '{}', now(), 1
FROM oncall.incident_audit, generate_series(1, 4) AS n WHERE runbook_retrieved = 'RB-001';
SELECT oncall_internal.conditions(incident_id) -> 11 AS now FROM oncall.incident_audit WHERE runbook_retrieved = 'RB-001';
INSERT INTO oncall.incident_step (incident_id, agent, step_no, kind, request, status, started_at)
SELECT incident_id, 'test', 5, 'action', '{"step": "RB-001/raise-the-pool-size", "target": "server a"}', 'intent', now()
FROM oncall.incident_audit WHERE runbook_retrieved = 'RB-001';
SELECT oncall_internal.conditions(incident_id) -> 11 AS now FROM oncall.incident_audit WHERE runbook_retrieved = 'RB-001';
ROLLBACK;
SELECT condition, pass, reason FROM oncall.explain_route((SELECT incident_id FROM oncall.incident_audit WHERE runbook_retrieved = 'RB-003')) WHERE NOT pass;
SELECT step, what FROM oncall.incident_timeline((SELECT incident_id FROM oncall.incident_audit WHERE runbook_retrieved = 'RB-001'));

-- A repeat joins, whatever severity it has by now; a resolution closes; after that the next one is a new incident.
SELECT count(*) AS before FROM oncall.incident_audit \gset
SELECT alert_count, state FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "severity": "critical", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
SELECT count(*) = :before AS joined FROM oncall.incident_audit;
SELECT state, closed_at IS NOT NULL AS closed FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "severity": "critical", "status": "resolved", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
SELECT state, alert_count FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "severity": "critical", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
-- A repeat may be worse than the first, never better.
BEGIN;
SELECT severity FROM oncall.handle_alert('{"alertname": "Worse", "severity": "warning", "message": "it hurts"}'::jsonb);
SELECT severity FROM oncall.handle_alert('{"alertname": "Worse", "severity": "critical", "message": "it hurts"}'::jsonb);
SELECT severity FROM oncall.handle_alert('{"alertname": "Worse", "severity": "info", "message": "it hurts"}'::jsonb);
ROLLBACK;
-- A resolution of what was never open is no incident.
SELECT count(*) FROM oncall.handle_alert('{"alertname": "NeverSeen", "status": "resolved", "message": "it is over"}'::jsonb);
-- After the window a repeat is a new incident, and the old one is closed as expired.
BEGIN;
SET LOCAL oncall.dedup_window = 0;
SELECT pg_sleep(0.01);
SELECT state FROM oncall.handle_alert('p95 latency 24 times the rolling baseline on the orders table');
ROLLBACK;

-- ROLLBACK leaves nothing: no incident, no journal, no inference.
SELECT (SELECT count(*) FROM oncall.incident_audit) AS incidents, (SELECT count(*) FROM oncall.incident_step) AS steps,
       (SELECT count(*) FROM oncall.inference_audit_log) AS inferences \gset
BEGIN;
SELECT count(*) FROM oncall.handle_alert('the moon is out of order');
ROLLBACK;
SELECT (SELECT count(*) FROM oncall.incident_audit) = :incidents AS incidents, (SELECT count(*) FROM oncall.incident_step) = :steps AS steps,
       (SELECT count(*) FROM oncall.inference_audit_log) = :inferences AS inferences;

-- Autonomy off escalates everything; under dry_run the decision stands; the open breaker escalates, too.
BEGIN;
SET LOCAL oncall.autonomy = 'off';
SELECT routing_decision, autonomy FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "database": "off", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
ROLLBACK;
BEGIN;
UPDATE oncall.circuit_breaker SET state = 'open', reason = 'a drill';
SELECT routing_decision FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "database": "open", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
ROLLBACK;
-- A transaction that cannot see whether the breaker was opened escalates.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT routing_decision FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "database": "old snapshot", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
ROLLBACK;
-- A step that its tool no longer allows is no step.
BEGIN;
UPDATE oncall.tool SET parameters = jsonb_set(parameters, '{value,max}', '1') WHERE name = 'pgbouncer_set';
SELECT routing_decision FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "database": "bounds", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
ROLLBACK;
-- A measurement that is no number costs no alert.
BEGIN;
INSERT INTO oncall.metric_sample (metric, value) VALUES ('x', 'NaN'), ('y', 'Infinity'), ('z', 1);
SELECT count(*) FROM oncall.handle_alert('there is a metric that is no number');
ROLLBACK;
-- A stricter policy decides from its insertion on; the incident says which one it was.
BEGIN;
INSERT INTO oncall.router_policy (incident_type, confidence_threshold, note) VALUES ('ConnectionPoolExhaustion', 1, 'never without a person');
SELECT routing_decision, policy_version = (SELECT max(version) FROM oncall.router_policy) AS newest
FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "database": "strict", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
ROLLBACK;
-- A budget of no actions is spent.
BEGIN;
INSERT INTO oncall.router_policy (max_actions_per_hour) VALUES (0);
SELECT routing_decision FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "database": "spent", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
ROLLBACK;
-- A flag that was raised between triage and route counts.
BEGIN;
SELECT incident_id FROM oncall.triage_alert('{"alertname": "PgBouncerPoolExhausted", "database": "raised", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb) \gset
SELECT bool_and(pass) AS would_pass FROM oncall.explain_route(:'incident_id');
UPDATE oncall.ops_runbooks SET destructive = true WHERE runbook_id = 'RB-001' AND step IS NOT NULL;
SELECT routing_decision FROM oncall.route_incident(:'incident_id');
ROLLBACK;

-- The audit is append-only, for superusers too, and whatever the session's replication role.
UPDATE oncall.incident_audit SET confidence = 1;
DELETE FROM oncall.incident_step;
DELETE FROM oncall.inference_audit_log;
TRUNCATE oncall.incident_audit CASCADE;
UPDATE oncall.router_policy SET confidence_threshold = 0;
SET session_replication_role = replica;
UPDATE oncall.incident_audit SET confidence = 1;
RESET session_replication_role;

-- Roles: an operator handles but does not write; a reader reads; nobody else gets in.
SET ROLE oncall_operator;
SELECT routing_decision FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "database": "operator", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb);
INSERT INTO oncall.incident_audit (alert_text) VALUES ('forged');
UPDATE oncall.incident_audit SET routing_decision = 'autonomous';
SELECT oncall_internal.route('INC-0001');
RESET ROLE;
SET ROLE oncall_reader;
SELECT count(*) > 0 AS reads FROM oncall.incident_audit;
SELECT * FROM oncall.handle_alert('x');
INSERT INTO oncall.router_policy (confidence_threshold) VALUES (0);
RESET ROLE;
SET ROLE oncall_ingest;
SELECT * FROM oncall.incident_audit;
RESET ROLE;

-- A sample that is no number, or is dated in another age, costs no alert; the others are told.
BEGIN;
INSERT INTO oncall.metric_sample (metric, value, sampled_at) VALUES
    ('pgbouncer_cl_waiting', 16, now()), ('pgbouncer_maxwait', 'NaN', now()), ('disk_growth', 'Infinity', now()),
    ('clock_one', 1, 'infinity'), ('clock_two', 1, now() + interval '90 centuries');
SELECT incident_id FROM oncall.handle_alert('the stars are out of order') \gset
SELECT m.name FROM oncall.incident_step, jsonb_to_recordset(outcome) AS m (name text)
WHERE incident_id = :'incident_id' AND kind = 'metrics';
ROLLBACK;
