-- $1 repeats by fingerprint, $2 window in seconds: those whose incident is open join it. It becomes as bad as the worst of
-- them: P1 sorts before P5.
WITH joined AS (
    UPDATE oncall.incident_audit AS a
    SET alert_count = a.alert_count OPERATOR(pg_catalog.+) r.count,
        last_seen = pg_catalog.now(),
        severity = least(a.severity, r.severity)
    FROM pg_catalog.jsonb_to_recordset($1)
        AS r (fingerprint pg_catalog.text, count pg_catalog.int4, severity pg_catalog.text, since pg_catalog.timestamptz)
    WHERE a.fingerprint OPERATOR(pg_catalog.=) r.fingerprint
      AND a.closed_at IS NULL
      AND a.last_seen OPERATOR(pg_catalog.>=) (r.since OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $2))
    RETURNING a.fingerprint, a.incident_id
)
SELECT pg_catalog.jsonb_object_agg(fingerprint, incident_id) FROM joined
