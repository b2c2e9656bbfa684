-- $1 incident, $2 decision, $3 policy version, $4 reasons, $5 autonomy.
UPDATE oncall.incident_audit
SET routing_decision = $2, policy_version = $3, reasons = $4, autonomy = $5, routed_at = pg_catalog.clock_timestamp(),
    state = CASE state WHEN 'triaged' THEN 'routed' ELSE state END
WHERE incident_id OPERATOR(pg_catalog.=) $1
