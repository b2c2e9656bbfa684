-- $1 alerts by fingerprint. No incident for a fingerprint of which one is open: another session's uncommitted one is
-- waited for.
WITH opened AS (
    INSERT INTO oncall.incident_audit (fingerprint, alert_text, severity, alert, alert_count)
    SELECT r.fingerprint, r.alert_text, r.severity, r.alert, r.count
    FROM pg_catalog.jsonb_to_recordset($1)
        AS r (fingerprint pg_catalog.text, alert_text pg_catalog.text, severity pg_catalog.text, alert pg_catalog.jsonb, count pg_catalog.int4)
    ORDER BY r.fingerprint
    ON CONFLICT (fingerprint) WHERE closed_at IS NULL DO NOTHING
    RETURNING fingerprint, incident_id
)
SELECT pg_catalog.jsonb_object_agg(fingerprint, incident_id) FROM opened
