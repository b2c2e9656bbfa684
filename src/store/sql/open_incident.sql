-- $1 fingerprint, $2 text, $3 severity, $4 alert. No row when an incident of this fingerprint is open: another session's
-- uncommitted one is waited for.
INSERT INTO oncall.incident_audit (fingerprint, alert_text, severity, alert)
VALUES ($1, $2, $3, $4)
ON CONFLICT (fingerprint) WHERE closed_at IS NULL DO NOTHING
RETURNING pg_catalog.to_jsonb(incident_id)
