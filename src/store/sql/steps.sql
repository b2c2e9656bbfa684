-- $1 incident: its journal, for the workers.
SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'agent', agent, 'step_no', step_no, 'kind', kind, 'request', request, 'status', status, 'outcome', outcome))
FROM oncall.incident_step
WHERE incident_id OPERATOR(pg_catalog.=) $1
