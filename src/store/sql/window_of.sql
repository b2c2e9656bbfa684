-- $1 incident: when the maintenance window ends that covers it now, in seconds since the epoch; NULL for none.
SELECT pg_catalog.to_jsonb(extract(epoch FROM oncall_internal.window_of(alert, pg_catalog.clock_timestamp())))
FROM oncall.incident_audit
WHERE incident_id OPERATOR(pg_catalog.=) $1
