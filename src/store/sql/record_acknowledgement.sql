-- $1 incident.
UPDATE oncall.incident_audit
SET acknowledged_by = session_user, acknowledged_at = pg_catalog.clock_timestamp()
WHERE incident_id OPERATOR(pg_catalog.=) $1
