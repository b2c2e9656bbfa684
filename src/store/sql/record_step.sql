-- $1 incident, $2 agent, $3 step, $4 kind, $5 request, $6 status, $7 outcome, $8 model, $9 and $10 tokens, $11 latency in ms.
INSERT INTO oncall.incident_step
    (incident_id, agent, step_no, kind, request, status, outcome, model, tokens_in, tokens_out, started_at, latency_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
        pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $11 OPERATOR(pg_catalog./) 1000), $11)
