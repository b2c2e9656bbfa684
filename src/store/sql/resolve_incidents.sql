-- $1 fingerprints: their senders say that the alerts no longer hold.
WITH resolved AS (
    UPDATE oncall.incident_audit
    SET state = 'resolved', closed_at = pg_catalog.now()
    WHERE fingerprint OPERATOR(pg_catalog.=) ANY ($1) AND closed_at IS NULL
    RETURNING fingerprint, incident_id
)
SELECT pg_catalog.jsonb_object_agg(fingerprint, incident_id) FROM resolved
