-- $1 incident, $2 reasons: one that was not decided yet is escalated.
UPDATE oncall.incident_audit
SET routing_decision = 'escalate', reasons = $2, routed_at = pg_catalog.clock_timestamp(),
    state = CASE WHEN closed_at IS NULL THEN 'routed' ELSE state END
WHERE incident_id OPERATOR(pg_catalog.=) $1 AND routing_decision IS NULL
