-- $1 fingerprint: the sender says that the alert no longer holds.
UPDATE oncall.incident_audit
SET state = 'resolved', closed_at = pg_catalog.now()
WHERE fingerprint OPERATOR(pg_catalog.=) $1 AND closed_at IS NULL
RETURNING pg_catalog.to_jsonb(incident_id)
