-- $1 incident, $2 remediation, $3 diagnostics, $4 notification, $5 why a person was paged: the workers have done their
-- part. What is not said anew, as after an approval, stays.
UPDATE oncall.incident_audit
SET remediation_action = coalesce($2, remediation_action), diagnostics = coalesce($3, diagnostics),
    notification = coalesce($4, notification), escalation = coalesce($5, escalation),
    handled_at = pg_catalog.clock_timestamp(),
    resolution_time_s = extract(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) created_at),
    state = CASE WHEN closed_at IS NULL THEN 'handled' ELSE state END
WHERE incident_id OPERATOR(pg_catalog.=) $1
