-- $1 an array of rows; the trigger embed_section makes their vectors.
INSERT INTO oncall.ops_runbooks
    (runbook_id, section, content, title, incident_type, severity, alerts, position, step_id, step, destructive)
SELECT runbook_id, section, content, title, incident_type, severity, alerts, position, step_id, step, destructive
FROM pg_catalog.jsonb_to_recordset($1) AS row (
    runbook_id text, section text, content text, title text, incident_type text, severity text, alerts text[],
    position integer, step_id text, step jsonb, destructive boolean)
