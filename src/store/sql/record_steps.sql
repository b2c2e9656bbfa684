-- $1 incident, $2 agent, $3 the number of the first step; then for each row nine more.
INSERT INTO oncall.incident_step
    (incident_id, agent, step_no, kind, request, status, outcome, model, tokens_in, tokens_out, started_at, latency_ms)
SELECT $1, $2, $3 OPERATOR(pg_catalog.+) place, kind, request, status, outcome, model, tokens_in, tokens_out,
       pg_catalog.to_timestamp(started_at), latency_ms
FROM (VALUES @rows@) AS row (place, kind, request, status, outcome, model, tokens_in, tokens_out, started_at, latency_ms)
