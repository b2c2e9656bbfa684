-- The inbox: what an alert would do, and what may be handed in. The workers are off: nobody takes anything in.
\pset format unaligned

-- By which rule alerts are the same: a key, the labels, or labels and story.
SELECT number, alert_text, fingerprint, made_from FROM oncall.explain_dedup('[
    {"text": "the pool is full", "dedup_key": "pool-7"},
    {"alertname": "PoolFull", "labels": {"database": "shop"}, "message": "16 clients wait"},
    {"text": "16 clients wait", "host": "pgb01"}]'::jsonb);
SELECT number, alert_text, fingerprint, made_from FROM oncall.explain_dedup('21 clients wait on pgb01');
-- What went in is shown without its secrets.
SELECT alert_text, made_from FROM oncall.explain_dedup('{"alertname": "Login", "labels": {"dsn": "postgres://app:hunter2@db/shop"}, "message": "password=hunter2"}'::jsonb);

-- Nothing is written by asking.
BEGIN;
SELECT outcome, incident_id, rule, reason FROM oncall.explain_dedup('{"alertname": "Dedup", "message": "x"}'::jsonb);
SELECT count(*) FROM oncall.incident_audit WHERE alert ->> 'name' = 'Dedup';
-- An open incident is joined, and closed by its sender; then the next one is new.
SELECT incident_id FROM oncall.triage_alert('{"alertname": "Dedup", "message": "x"}'::jsonb) \gset
SELECT outcome, incident_id = :'incident_id' AS that_one, rule, replace(reason, :'incident_id', '(id)') AS reason
FROM oncall.explain_dedup('[{"alertname": "Dedup", "message": "y"}, {"alertname": "Dedup", "status": "resolved", "message": "y"},
    {"alertname": "Dedup", "status": "resolved", "message": "y"}, {"alertname": "Dedup", "message": "y"}, {"alertname": "Dedup", "message": "y"},
    {"alertname": "Dedup", "status": "resolved", "message": "y"}]'::jsonb);
SELECT state FROM oncall.triage_alert('{"alertname": "Dedup", "status": "resolved", "message": "x"}'::jsonb);
SELECT outcome, incident_id, rule, regexp_replace(reason, '(INC-|20)[-0-9T:.Z]+', '(…)', 'g') AS reason
FROM oncall.explain_dedup('{"alertname": "Dedup", "message": "x"}'::jsonb);
SELECT outcome, rule, reason FROM oncall.explain_dedup('{"alertname": "Dedup", "status": "resolved", "message": "x"}'::jsonb);
ROLLBACK;
-- After the window it would be a new one.
SELECT incident_id FROM oncall.triage_alert('{"alertname": "Dedup", "message": "x"}'::jsonb) \gset
SELECT pg_sleep(0.01);
SET oncall.dedup_window = 0;
SELECT outcome, incident_id, rule, replace(reason, :'incident_id', '(id)') AS reason FROM oncall.explain_dedup('{"alertname": "Dedup", "message": "x"}'::jsonb);
RESET oncall.dedup_window;
SELECT count(*) FROM oncall.triage_alert('{"alertname": "Dedup", "status": "resolved", "message": "x"}'::jsonb);

-- What is no alert says so; NULL is none.
\set VERBOSITY terse
SELECT * FROM oncall.explain_dedup(NULL::jsonb);
SELECT * FROM oncall.explain_dedup(''::text);
SELECT * FROM oncall.explain_dedup('{"n": 1e400}'::jsonb);
SELECT * FROM oncall.explain_dedup('{"colour": "blue"}'::jsonb);

-- A row of the inbox waits until somebody takes it in, and is marked only in ways that make sense.
INSERT INTO oncall.alert_inbox (source, payload) VALUES ('regress', '{"alertname": "Inbox", "message": "x"}');
SELECT source, state, attempts, received_by = session_user AS by_me, incident_ids, done_at FROM oncall.alert_inbox;
INSERT INTO oncall.alert_inbox (payload) VALUES (NULL);
UPDATE oncall.alert_inbox SET state = 'done';
UPDATE oncall.alert_inbox SET received_at = 'infinity';
\set VERBOSITY default

-- Any table is an inbox.
CREATE TABLE alarms (alertname text, message text, body jsonb);
CREATE TRIGGER whole AFTER INSERT ON alarms FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger();
CREATE TRIGGER column_only AFTER INSERT OR UPDATE ON alarms FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger('body', 'alarms of ours');
INSERT INTO alarms VALUES ('Row', 'it hurts', '{"text": "in a column"}'), ('Row', 'it hurts', NULL);
UPDATE alarms SET body = '"again"' WHERE body IS NULL;
SELECT source, payload FROM oncall.alert_inbox WHERE source LIKE '%alarms%' ORDER BY id;
CREATE TRIGGER at_end AFTER DELETE ON alarms FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger();
DELETE FROM alarms;
DROP TRIGGER at_end ON alarms;
CREATE TRIGGER statement AFTER INSERT ON alarms EXECUTE FUNCTION oncall.triage_alert_trigger();
INSERT INTO alarms DEFAULT VALUES;
DROP TRIGGER statement ON alarms;
CREATE TRIGGER misnamed AFTER INSERT ON alarms FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger('payload');
INSERT INTO alarms DEFAULT VALUES;
DROP TABLE alarms;
DELETE FROM oncall.alert_inbox;

-- For an alert that nobody could read there is no step, whatever its triage recommends: the same incident, but for its source.
\getenv runbooks ONCALL_RUNBOOKS
BEGIN;
SELECT count(*) > 0 AS loaded FROM oncall.load_runbooks(:'runbooks');
SELECT incident_id FROM oncall.triage_alert('{"alertname": "PgBouncerPoolExhausted", "severity": "critical", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb) \gset
INSERT INTO oncall.incident_audit (incident_id, alert_text, runbook_retrieved, similarity, classification, severity, confidence, state, found_by, triage, recommended_actions, alert)
SELECT 'INC-unreadable', alert_text, runbook_retrieved, similarity, classification, severity, confidence, state, found_by, triage, recommended_actions, jsonb_set(alert, '{source}', '"pg_oncall"')
FROM oncall.incident_audit WHERE incident_id = :'incident_id';
INSERT INTO oncall.incident_step (incident_id, agent, step_no, kind, request, status, outcome, started_at, latency_ms)
SELECT 'INC-unreadable', agent, step_no, kind, request, status, outcome, started_at, latency_ms FROM oncall.incident_step WHERE incident_id = :'incident_id';
SELECT routing_decision FROM oncall.route_incident(:'incident_id');
SELECT routing_decision FROM oncall.route_incident('INC-unreadable');
SELECT condition FROM oncall.explain_route('INC-unreadable') WHERE NOT pass;
ROLLBACK;
