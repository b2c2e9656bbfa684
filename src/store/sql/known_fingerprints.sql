-- $1 fingerprints: for each its open incident and the last one that was closed.
SELECT pg_catalog.jsonb_object_agg(f.fingerprint, pg_catalog.jsonb_build_object(
    'open', (SELECT pg_catalog.jsonb_build_object('incident_id', a.incident_id, 'last_seen', a.last_seen)
             FROM oncall.incident_audit AS a
             WHERE a.fingerprint OPERATOR(pg_catalog.=) f.fingerprint AND a.closed_at IS NULL),
    'closed', (SELECT pg_catalog.jsonb_build_object('incident_id', a.incident_id, 'state', a.state, 'closed_at', a.closed_at)
               FROM oncall.incident_audit AS a
               WHERE a.fingerprint OPERATOR(pg_catalog.=) f.fingerprint AND a.closed_at IS NOT NULL
               ORDER BY a.closed_at DESC LIMIT 1)))
FROM pg_catalog.unnest($1) AS f (fingerprint)
