-- $1 incident, $2 agent, $3 step, $4 kind, $5 request: an action is about to begin.
INSERT INTO oncall.incident_step (incident_id, agent, step_no, kind, request, status, started_at)
VALUES ($1, $2, $3, $4, $5, 'intent', pg_catalog.clock_timestamp())
