-- $1 incident, $2 agent: the number of its last step in the journal.
SELECT pg_catalog.to_jsonb(coalesce(pg_catalog.max(step_no), 0))
FROM oncall.incident_step
WHERE incident_id OPERATOR(pg_catalog.=) $1 AND agent OPERATOR(pg_catalog.=) $2
