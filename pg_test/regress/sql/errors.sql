-- Bad input: each error with its SQLSTATE and what to do, and nothing is lost.
\pset format unaligned
CREATE FUNCTION pg_temp.error_of(command text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN QUERY SELECT '00000', 'no error', '', '';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    detail := left(detail, 60);
    RETURN NEXT;
END
$$;

SELECT count(*) AS before FROM oncall.incident_audit \gset

-- What is no alert.
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('')$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('   ')$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('{}'::jsonb)$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('{"answer": 42}'::jsonb)$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('[1, 2]'::jsonb)$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('null'::jsonb)$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('{"Type": "SubscriptionConfirmation", "MessageId": "x", "TopicArn": "arn", "Message": "You have chosen", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?x"}'::jsonb)$$);
-- Escapes that are no text are Postgres' own error.
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('{"message": "\ud800"}'::jsonb)$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert(E'\xff')$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('{"message": "a\u0000b"}'::jsonb)$$);
-- JSON to Postgres, but more than is read: a clear error, and as text it is words.
SELECT * FROM pg_temp.error_of($$SELECT oncall.handle_alert('{"message": "m", "n": 1e400}'::jsonb)$$);
SELECT code, left(message, 45) AS message FROM pg_temp.error_of(format('SELECT oncall.handle_alert(%L::jsonb)', repeat('[', 200) || repeat(']', 200)));
SELECT count(*) = :before AS nothing_written FROM oncall.incident_audit;

-- A text with a broken JSON shape is still words; a megabyte of words is cut, not refused.
BEGIN;
SELECT severity IS NULL AS no_severity, alert ->> 'source' AS source FROM oncall.handle_alert('{"message": "half a payload');
SELECT length(alert_text) < 20000 AS cut FROM oncall.handle_alert(repeat('The disk is full. ', 60000));
ROLLBACK;
-- More than that could not be read without holding up a cancel.
SELECT code, message, hint FROM pg_temp.error_of($$SELECT oncall.handle_alert(repeat('The disk is full. ', 120000))$$);
SELECT code, hint FROM pg_temp.error_of($$SELECT oncall.handle_alert(jsonb_build_object('text', repeat('The disk is full. ', 120000)))$$);
-- A gateway that sends NULL has lost an alert.
SELECT code, message FROM pg_temp.error_of($$SELECT oncall.handle_alert(NULL::jsonb)$$);
SELECT code, message FROM pg_temp.error_of($$SELECT oncall.handle_alert(NULL::text)$$);

-- Incidents that are not there, or not to be routed again.
SELECT * FROM pg_temp.error_of($$SELECT oncall.route_incident('INC-9999')$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.explain_route('INC-9999')$$);
SELECT * FROM pg_temp.error_of($$SELECT oncall.incident_timeline('INC-9999')$$);
BEGIN;
SELECT incident_id FROM oncall.handle_alert('once is enough') \gset
SELECT code, replace(message, :'incident_id', 'INC-n') AS message FROM pg_temp.error_of(format('SELECT oncall.route_incident(%L)', :'incident_id'));
ROLLBACK;

-- A pod that is down is no error: the incident escalates and says why.
BEGIN;
SET LOCAL oncall.model_url = 'http://127.0.0.1:1/v1';
SET LOCAL oncall.chat_model = 'gone';
SELECT routing_decision, triage ->> 'by' AS by, triage #>> '{failure,reason}' AS failure FROM oncall.handle_alert('Connection pool exhaustion: pool_size=50, active=198 (pod down)');
SELECT runtime_context ->> 'fallback_triggered' AS fallback, runtime_context ->> 'previous_generator' AS previous FROM oncall.inference_audit_log WHERE model = 'builtin' ORDER BY trace_id DESC LIMIT 1;
-- Nor is a pod that may not be contacted: and it is not.
SET LOCAL oncall.model_url = 'http://169.254.169.254/v1';
SELECT routing_decision, triage #>> '{failure,reason}' AS failure FROM oncall.handle_alert('Connection pool exhaustion: pool_size=50, active=198 (pod elsewhere)');
SET LOCAL oncall.model_url = 'http://models.example.org/v1';
SELECT routing_decision, triage #>> '{failure,reason}' AS failure FROM oncall.handle_alert('Connection pool exhaustion: pool_size=50, active=198 (pod by name)');
SET LOCAL oncall.model_url = 'not a url';
SELECT routing_decision FROM oncall.handle_alert('Connection pool exhaustion: pool_size=50, active=198 (no url)');
ROLLBACK;
-- But whoever writes a runbook is told, and nothing is written.
SET oncall.model_url = 'http://127.0.0.1:1/v1';
SET oncall.embedding_model = 'gone';
SELECT code, hint FROM pg_temp.error_of($$INSERT INTO oncall.ops_runbooks (runbook_id, section, content) VALUES ('RB-960', 'x', 'y')$$);
SELECT code, message, hint FROM pg_temp.error_of($$SELECT oncall.load_runbook(E'---\nid: RB-960\ntitle: T\nincident_type: X\nalerts: []\n---\n\n## A\n\nText.\n')$$);
RESET oncall.model_url;
RESET oncall.embedding_model;
-- Settings have bounds.
SET oncall.top_k = 0;
SET oncall.request_timeout = '1us';
SET oncall.autonomy = 'yes please';
