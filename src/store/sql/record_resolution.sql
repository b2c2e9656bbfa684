-- $1 incident, $2 what it was.
UPDATE oncall.incident_audit
SET state = CASE WHEN closed_at IS NULL THEN 'resolved' ELSE state END,
    closed_at = coalesce(closed_at, pg_catalog.now()),
    resolution = $2, resolved_by = session_user
WHERE incident_id OPERATOR(pg_catalog.=) $1
