-- People: who has an incident, what they decide on its steps, how it ends. All in one transaction, which leaves nothing.
\pset format unaligned
SET datestyle = 'ISO';
SET timezone = 'UTC';
\getenv runbooks ONCALL_RUNBOOKS
BEGIN;
SELECT count(*) > 1 AS loaded FROM oncall.load_runbooks(:'runbooks');
CREATE ROLE alice LOGIN IN ROLE oncall_operator;
CREATE ROLE bob LOGIN IN ROLE oncall_operator;
CREATE ROLE eve LOGIN IN ROLE oncall_reader;
CREATE SCHEMA told;
-- Without what differs from run to run.
CREATE FUNCTION told.plain(words text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(words, 'window \d+', 'window <n>', 'g'), '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.0-9]*\+00', '<time>', 'g'), 'INC-\d+', '<id>', 'g'), '[0-9a-f]{64}', '<hash>', 'g')
$$;
CREATE FUNCTION told.error_of(command text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN QUERY SELECT '00000', 'no error', '', '';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    message := told.plain(message);
    detail := told.plain(detail);
    hint := told.plain(hint);
    RETURN NEXT;
END
$$;
GRANT USAGE ON SCHEMA told TO PUBLIC;

SELECT steps FROM oncall.load_runbook($md$---
id: RB-901
title: The people's runbook
incident_type: PeopleTest
severity: P1
alerts: [PeopleTest]
---

For the tests of what people decide.

## Raise the pool size

By how much is for a person to say.

```yaml step
tool: pgbouncer_set
parameters: {server: pgbouncer, setting: default_pool_size, value: {min: 60, max: 120}}
destructive: true
```

## End the sessions

All of them that were idle in a transaction for an hour.

```yaml step
tool: terminate_idle_in_transaction
parameters: {min_idle: 1 h, max_sessions: 10}
destructive: true
```
$md$);

CREATE FUNCTION told.incident(instance text) RETURNS text LANGUAGE sql AS $$
    SELECT incident_id FROM oncall.handle_alert(jsonb_build_object('text', 'People are asked', 'severity', 'critical', 'source', 'test',
        'labels', jsonb_build_object('alertname', 'PeopleTest', 'instance', instance)))
$$;
SELECT told.incident('one') AS one \gset
SELECT routing_decision, state, runbook_retrieved FROM oncall.incident_audit WHERE incident_id = :'one';

-- I have it.
SET SESSION AUTHORIZATION eve;
SELECT * FROM told.error_of(format('SELECT oncall.acknowledge_incident(%L)', :'one'));
SET SESSION AUTHORIZATION alice;
SELECT acknowledged_by, acknowledged_at IS NOT NULL AS dated FROM oncall.acknowledge_incident(:'one');
SELECT acknowledged_at AS at FROM oncall.incident_audit WHERE incident_id = :'one' \gset
SELECT acknowledged_at = :'at' AS unchanged FROM oncall.acknowledge_incident(:'one');
SET client_min_messages = warning;
SET SESSION AUTHORIZATION bob;
SELECT acknowledged_by, acknowledged_at = :'at' AS unchanged FROM oncall.acknowledge_incident(:'one');
SELECT * FROM told.error_of($$SELECT oncall.acknowledge_incident('INC-0')$$);
SELECT * FROM told.error_of($$SELECT oncall.acknowledge_incident(NULL)$$);
-- A function of an operator's makes nobody an operator.
RESET SESSION AUTHORIZATION;
CREATE FUNCTION told.lent(id text) RETURNS SETOF oncall.incident_audit LANGUAGE sql SECURITY DEFINER AS 'SELECT oncall.acknowledge_incident(id)';
ALTER FUNCTION told.lent(text) OWNER TO alice;
SET SESSION AUTHORIZATION eve;
SELECT * FROM told.error_of(format('SELECT told.lent(%L)', :'one'));

-- A step: on offer, with values within its bounds, and the person is named.
SET SESSION AUTHORIZATION alice;
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L)', :'one', 'RB-901/raise-the-pool-size'));
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', '{"value": 500}'));
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', '{"value": "80; DROP TABLE x"}'));
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', '{"value": 80, "server": "elsewhere"}'));
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', '[80]'));
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', '{"value": 1e400}'));
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, %L)', :'one', 'RB-901/end-the-sessions', '{"min_idle": "1 s"}'));
SELECT code, message FROM told.error_of(format('SELECT oncall.approve_step(%L, %L)', :'one', 'RB-000/nothing'));
SELECT code, message FROM told.error_of(format('SELECT oncall.approve_step(%L, NULL)', :'one'));
SELECT * FROM told.error_of($$SELECT oncall.approve_step('INC-0', 'RB-901/end-the-sessions')$$);
SET SESSION AUTHORIZATION eve;
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', '{"value": 80}'));
SET SESSION AUTHORIZATION alice;
SELECT state, parameters, action, approvals_required, decision, decided_by, second_by, expires_at - decided_at AS life FROM oncall.approve_step(:'one', 'RB-901/raise-the-pool-size', '{"value": 80}');
SELECT purpose, state, detail - 'approval_id' AS detail FROM oncall.incident_work WHERE incident_id = :'one' ORDER BY work_id;
SELECT approvals #- '{0,at}' #- '{0,hash}' AS approvals, approvals #>> '{0,hash}' = (SELECT step_hash FROM oncall.approval) AS same_hash FROM oncall.incident_audit WHERE incident_id = :'one';
-- Twice; and taken back while nobody has begun it.
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', '{"value": 80}'));
SELECT * FROM told.error_of(format('SELECT oncall.reject_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', ' '));
SET SESSION AUTHORIZATION bob;
SELECT state, decision, decided_by, why FROM oncall.reject_step(:'one', 'RB-901/raise-the-pool-size', 'the pool is not the cause');
SELECT * FROM told.error_of(format('SELECT oncall.reject_step(%L, %L, %L)', :'one', 'RB-901/raise-the-pool-size', 'again'));
SELECT state, parameters, step_hash IS NULL AS no_hash, action FROM oncall.reject_step(:'one', 'RB-901/end-the-sessions', 'the batch is nearly done');
RESET SESSION AUTHORIZATION;
-- What the workers find: no approval.
SELECT oncall_internal.take_approval(approval_id) FROM oncall.approval ORDER BY approval_id;
SELECT oncall_internal.take_approval(0);

-- Approved, begun, and it is used up; once more only when it is said.
SET SESSION AUTHORIZATION alice;
SELECT state, decided_by FROM oncall.approve_step(:'one', 'RB-901/end-the-sessions');
RESET SESSION AUTHORIZATION;
SELECT oncall_internal.take_approval(max(approval_id)) #- '{approval,hash}' FROM oncall.approval;
SELECT oncall_internal.take_approval(max(approval_id)) #>> '{approval,hash}' = max(step_hash) AS same_again_after_a_crash FROM oncall.approval WHERE step_id = 'RB-901/end-the-sessions' AND state = 'used';
SET SESSION AUTHORIZATION bob;
SELECT * FROM told.error_of(format('SELECT oncall.reject_step(%L, %L, %L)', :'one', 'RB-901/end-the-sessions', 'stop'));
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L)', :'one', 'RB-901/end-the-sessions'));
SELECT state FROM oncall.approve_step(:'one', 'RB-901/end-the-sessions', again => true);

-- Decisions are history.
RESET SESSION AUTHORIZATION;
SELECT * FROM told.error_of($$UPDATE oncall.approval SET decided_by = 'mallory' WHERE state = 'used'$$);
SELECT * FROM told.error_of($$UPDATE oncall.approval SET parameters = '{"value": 9999}' WHERE state = 'approved'$$);
SELECT * FROM told.error_of($$UPDATE oncall.approval SET state = 'approved' WHERE state = 'rejected'$$);
SELECT code FROM told.error_of($$DELETE FROM oncall.approval$$);
SELECT code FROM told.error_of($$TRUNCATE oncall.approval$$);

-- A second person, where the policy asks for one; and both have seen the same step.
INSERT INTO oncall.router_policy (incident_type, approvals_required, approval_life) VALUES ('PeopleTest', 2, '20 min');
SELECT told.incident('two') AS two \gset
SET SESSION AUTHORIZATION alice;
SELECT state, approvals_required, decided_by, second_by, expires_at - decided_at AS life FROM oncall.approve_step(:'two', 'RB-901/raise-the-pool-size', '{"value": 80}');
SELECT count(*) AS queued FROM oncall.incident_work WHERE incident_id = :'two' AND purpose = 'approved_step';
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L)', :'two', 'RB-901/raise-the-pool-size'));
SET SESSION AUTHORIZATION bob;
-- Another value is another proposal: whoever changes it does not use the first one's word.
SELECT state, parameters, decided_by, second_by FROM oncall.approve_step(:'two', 'RB-901/raise-the-pool-size', '{"value": 100}');
SET SESSION AUTHORIZATION alice;
SELECT state, parameters, decided_by, second_by FROM oncall.approve_step(:'two', 'RB-901/raise-the-pool-size');
SELECT count(*) AS queued FROM oncall.incident_work WHERE incident_id = :'two' AND purpose = 'approved_step';
SELECT decision ->> 'by' AS by, decision ->> 'state' AS state FROM oncall.incident_audit, jsonb_array_elements(approvals) AS decision WHERE incident_id = :'two';
-- A step that changes between the two.
SELECT state FROM oncall.approve_step(:'two', 'RB-901/end-the-sessions');
RESET SESSION AUTHORIZATION;
UPDATE oncall.ops_runbooks SET step = jsonb_set(step, '{parameters,max_sessions}', '20') WHERE step_id = 'RB-901/end-the-sessions';
SET SESSION AUTHORIZATION bob;
SELECT code, message, hint FROM told.error_of(format('SELECT oncall.approve_step(%L, %L)', :'two', 'RB-901/end-the-sessions'));
SELECT code, message FROM told.error_of(format('SELECT oncall.approve_step(%L, %L, step_hash => %L)', :'two', 'RB-901/end-the-sessions', 'what I remember'));
RESET SESSION AUTHORIZATION;
SELECT oncall_internal.plan_step(:'two', 'RB-901/end-the-sessions', '{}') ->> 'hash' AS hash \gset
SET SESSION AUTHORIZATION bob;
SELECT state, decided_by FROM oncall.approve_step(:'two', 'RB-901/end-the-sessions', step_hash => :'hash');
SET SESSION AUTHORIZATION alice;
SELECT state, decided_by, second_by FROM oncall.approve_step(:'two', 'RB-901/end-the-sessions');
-- A step whose tool is changed has another hash, too.
RESET SESSION AUTHORIZATION;
UPDATE oncall.tool SET template = template || ' WHERE true' WHERE name = 'terminate_idle_in_transaction';
SELECT oncall_internal.plan_step(:'two', 'RB-901/end-the-sessions', '{}') ->> 'hash' <> :'hash' AS another;
SELECT step_id, string_agg(state, ', ' ORDER BY approval_id) AS states FROM oncall.approval WHERE incident_id = :'two' GROUP BY 1 ORDER BY 1;

-- Not escalated, not routed: nothing for people to decide.
SELECT incident_id AS auto FROM oncall.handle_alert('{"alertname": "PgBouncerPoolExhausted", "severity": "critical", "database": "people", "message": "Connection pool exhaustion: pool_size=50, active=198"}'::jsonb) \gset
SELECT incident_id AS unrouted FROM oncall.triage_alert('{"alertname": "PeopleTest", "instance": "unrouted", "message": "People are asked"}'::jsonb) \gset
SET SESSION AUTHORIZATION alice;
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L)', :'auto', 'RB-001/raise-the-pool-size'));
SELECT code, message, detail FROM told.error_of(format('SELECT oncall.approve_step(%L, %L)', :'unrouted', 'RB-901/end-the-sessions'));

-- Unless the workers escalated it after all.
RESET SESSION AUTHORIZATION;
INSERT INTO oncall.incident_step (incident_id, agent, step_no, kind, request, status, outcome, started_at)
VALUES (:'auto', 'escalation', 1, 'page', '{"kind": "escalation"}', 'done', '{}', now());
SET SESSION AUTHORIZATION alice;
SELECT state FROM oncall.approve_step(:'auto', 'RB-001/raise-the-pool-size');

-- It is over, and what was to be learnt from it is kept.
SELECT * FROM told.error_of(format('SELECT oncall.resolve_incident(%L, %L, true)', :'one', ''));
SELECT * FROM told.error_of(format('SELECT oncall.resolve_incident(%L, %L, true, %L)', :'one', 'it was the batch', 'RB-001'));
SELECT code, message, hint FROM told.error_of(format('SELECT oncall.resolve_incident(%L, %L, false, %L)', :'one', 'it was the batch', 'RB-999'));
SET SESSION AUTHORIZATION eve;
SELECT code, message FROM told.error_of(format('SELECT oncall.resolve_incident(%L, %L, true)', :'one', 'nothing to see'));
SET SESSION AUTHORIZATION alice;
SELECT state, resolution, resolved_by, closed_at IS NOT NULL AS closed FROM oncall.resolve_incident(:'one', 'it was the batch', true);
SELECT state, resolved_by FROM oncall.resolve_incident(:'two', 'it was the network', false, 'RB-001');
SELECT state FROM oncall.resolve_incident(:'auto', 'a drill', NULL);
SELECT * FROM told.error_of(format('SELECT oncall.resolve_incident(%L, %L, true)', :'one', 'once more'));
SELECT triage_was_right, runbook_retrieved, classification, expected_runbook, expected_incident_type, labelled_by, alert #>> '{labels,instance}' AS instance
FROM oncall.labelled_alert ORDER BY incident_id;
-- What was approved and not begun goes with it, and a closed incident is not acted on.
SELECT state, count(*) FROM oncall.approval WHERE incident_id = :'one' GROUP BY 1 ORDER BY 1;
SELECT * FROM told.error_of(format('SELECT oncall.approve_step(%L, %L)', :'one', 'RB-901/end-the-sessions'));
SELECT code, message FROM told.error_of(format('SELECT oncall.acknowledge_incident(%L)', :'auto'));
-- One that its sender has closed can still be told about, once.
RESET SESSION AUTHORIZATION;
SELECT told.incident('three') AS three \gset
SELECT state, resolved_by FROM oncall.handle_alert('{"text": "People are asked", "severity": "critical", "source": "test", "status": "resolved", "labels": {"alertname": "PeopleTest", "instance": "three"}}'::jsonb);
SET SESSION AUTHORIZATION bob;
SELECT state, resolved_by, resolution FROM oncall.resolve_incident(:'three', 'it went away by itself', true);

-- The one who asks cannot wait for what begins after their own commit.
RESET SESSION AUTHORIZATION;
SELECT * FROM told.error_of(format('SELECT oncall.wait_for_incident(%L)', :'one'));
SAVEPOINT within;
SELECT told.incident('four') AS four \gset
RELEASE within;
SELECT code FROM told.error_of(format('SELECT oncall.wait_for_incident(%L)', :'four'));
SELECT * FROM told.error_of($$SELECT oncall.wait_for_incident('INC-0')$$);

-- Maintenance windows.
SET SESSION AUTHORIZATION alice;
INSERT INTO oncall.maintenance_window (during, labels, note) VALUES
    (tstzrange('2030-01-01 10:00+00', '2030-01-01 11:00+00'), '{"instance": "db-2"}', 'a new kernel'),
    (tstzrange('2030-01-01 11:00+00', '2030-01-01 12:00+00'), '{"instance": "db-2"}', 'and a new disk'),
    (tstzrange('2030-01-02 10:00+00', '2030-01-02 11:00+00'), '{}', 'the network');
RESET SESSION AUTHORIZATION;
SELECT created_by, labels FROM oncall.maintenance_window ORDER BY window_id;
SELECT at, labels, oncall_internal.window_of(jsonb_build_object('labels', labels), at) AS until
FROM unnest(ARRAY['2030-01-01 09:59+00', '2030-01-01 10:00+00', '2030-01-01 11:59+00', '2030-01-01 12:00+00', '2030-01-02 10:30+00']::timestamptz[]) AS at,
     unnest(ARRAY['{"instance": "db-2", "job": "x"}', '{"instance": "db-3"}', '{}']::jsonb[]) AS labels ORDER BY 1, 2;
SELECT oncall_internal.window_of('{}', '2030-01-02 10:30+00') AS without_labels;
SELECT code, message FROM told.error_of($$INSERT INTO oncall.maintenance_window (during) VALUES (tstzrange(now(), NULL))$$);
SELECT code, message FROM told.error_of($$INSERT INTO oncall.maintenance_window (during) VALUES (tstzrange(now(), 'infinity'))$$);
SELECT code, message FROM told.error_of($$INSERT INTO oncall.maintenance_window (during) VALUES ('empty')$$);
SELECT code, message FROM told.error_of($$INSERT INTO oncall.maintenance_window (during) VALUES (NULL)$$);
SELECT * FROM told.error_of($$INSERT INTO oncall.maintenance_window (during, labels) VALUES (tstzrange(now(), now() + interval '1 h'), '{"instance": 5}')$$);
SELECT code FROM told.error_of($$INSERT INTO oncall.maintenance_window (during, labels) VALUES (tstzrange(now(), now() + interval '1 h'), '[]')$$);
SET SESSION AUTHORIZATION alice;
INSERT INTO oncall.maintenance_window (during) VALUES (tstzrange(now() - interval '1 h', now() + interval '1 h'));
SELECT * FROM told.error_of($$DELETE FROM oncall.maintenance_window WHERE lower(during) < now()$$);
SELECT * FROM told.error_of($$UPDATE oncall.maintenance_window SET during = tstzrange(now(), upper(during)) WHERE upper(during) < now() + interval '2 h'$$);
SELECT code FROM told.error_of($$UPDATE oncall.maintenance_window SET created_by = 'bob'$$);
DELETE FROM oncall.maintenance_window WHERE lower(during) > now();
-- What it holds is held until it ends, or is ended.
RESET SESSION AUTHORIZATION;
UPDATE oncall.incident_work SET state = 'held', not_before = now() + interval '1 h' WHERE incident_id = :'four';
SELECT oncall_internal.release_held(false) > 3000 AS in_an_hour;
SET SESSION AUTHORIZATION alice;
UPDATE oncall.maintenance_window SET during = tstzrange(lower(during), clock_timestamp());
RESET SESSION AUTHORIZATION;
SELECT state, not_before FROM oncall.incident_work WHERE incident_id = :'four';

-- Everything that changed is to be told, in its order.
SELECT state, severity, route, acknowledged_by FROM oncall.announcement WHERE incident_id = :'one' ORDER BY announcement_id;
SELECT oncall_internal.tell_announcements(1000) > 0 AS told, oncall_internal.tell_announcements(1000) AS left;

-- What is kept, and how long.
SELECT what, keep FROM oncall.retention WHERE what IN ('journal', 'inference_log', 'health_snapshots', 'metric_samples', 'work', 'deliveries') ORDER BY what;
SELECT * FROM told.error_of($$UPDATE oncall.retention SET keep = '1 min'$$);
SELECT * FROM told.error_of($$SELECT oncall.apply_retention(0)$$);
SELECT count(*) AS steps FROM oncall.incident_step \gset
SELECT sum(removed) AS removed FROM oncall.apply_retention();
SELECT count(*) = :steps AS nothing_is_old_yet FROM oncall.incident_step;
INSERT INTO oncall.metric_sample (metric, value, sampled_at) SELECT 'old', 1, now() - interval '8 days' FROM generate_series(1, 5);
INSERT INTO oncall.health_snapshot (taken_at, metric_category, severity_level) VALUES (now() - interval '2 years', 'x', 'stable');
INSERT INTO oncall.inference_audit_log (user_query, execution_ts) VALUES ('old', now() - interval '2 years');
SELECT what, removed FROM oncall.apply_retention(3) WHERE removed > 0;
SELECT what, removed FROM oncall.apply_retention(3) WHERE removed > 0;
-- The journal of a closed incident goes, its audit row stays.
SELECT oncall_internal.forget_journal(now() + interval '1 s', 1000000) = :steps - count(*) AS only_closed_ones FROM oncall.incident_step JOIN oncall.incident_audit USING (incident_id) WHERE closed_at IS NULL;
SELECT count(*) AS of_one FROM oncall.incident_step WHERE incident_id = :'one';
SELECT state FROM oncall.incident_audit WHERE incident_id = :'one';
-- Nobody else removes any of it.
SELECT code, message FROM told.error_of($$DELETE FROM oncall.incident_step$$);

-- The health of the pipeline over time.
SELECT count(*) AS metrics FROM oncall.keep_health_snapshot();
SELECT count(*) AS again_in_the_same_transaction FROM oncall.keep_health_snapshot();
SELECT * FROM told.error_of($$SELECT oncall.schedule_health_snapshot('*/15 * * * *')$$);
SELECT code, message FROM told.error_of($$SELECT oncall.schedule_retention()$$);
SELECT code, message FROM told.error_of($$SELECT oncall.schedule_retention(NULL)$$);
SELECT oncall_internal.chores_due();
ROLLBACK;
