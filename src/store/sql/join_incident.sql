-- $1 fingerprint, $2 window in seconds, $3 severity: the open incident, if a repeat still joins it. It becomes as bad as
-- the worst of them: P1 sorts before P5.
UPDATE oncall.incident_audit
SET alert_count = alert_count OPERATOR(pg_catalog.+) 1, last_seen = pg_catalog.now(), severity = least(severity, $3)
WHERE fingerprint OPERATOR(pg_catalog.=) $1
  AND closed_at IS NULL
  AND last_seen OPERATOR(pg_catalog.>=) (pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $2))
RETURNING pg_catalog.to_jsonb(incident_id)
