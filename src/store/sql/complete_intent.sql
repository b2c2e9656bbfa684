-- $1 incident, $2 agent, $3 step, $4 status, $5 outcome: what came of an action that was begun.
UPDATE oncall.incident_step
SET status = $4, outcome = $5,
    latency_ms = extract(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) started_at) OPERATOR(pg_catalog.*) 1000
WHERE incident_id OPERATOR(pg_catalog.=) $1 AND agent OPERATOR(pg_catalog.=) $2 AND step_no OPERATOR(pg_catalog.=) $3
  AND status OPERATOR(pg_catalog.=) 'intent'
