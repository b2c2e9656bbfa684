-- $1 fingerprint, $2 window in seconds, $3 severity: what becomes of the open incident when its alert comes again. Within the
-- window the repeat joins it, and it becomes as bad as the worst of them (P1 sorts before P5): its id. Unheard of for longer it
-- makes way: NULL.
UPDATE oncall.incident_audit
SET alert_count = alert_count OPERATOR(pg_catalog.+) (last_seen OPERATOR(pg_catalog.>=) oldest)::integer,
    severity = CASE WHEN last_seen OPERATOR(pg_catalog.>=) oldest THEN least(severity, $3) ELSE severity END,
    last_seen = CASE WHEN last_seen OPERATOR(pg_catalog.>=) oldest THEN pg_catalog.now() ELSE last_seen END,
    state = CASE WHEN last_seen OPERATOR(pg_catalog.>=) oldest THEN state ELSE 'expired' END,
    closed_at = CASE WHEN last_seen OPERATOR(pg_catalog.>=) oldest THEN NULL ELSE pg_catalog.now() END
FROM (SELECT pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $2) AS oldest) AS reach
WHERE fingerprint OPERATOR(pg_catalog.=) $1 AND closed_at IS NULL
RETURNING CASE WHEN closed_at IS NULL THEN pg_catalog.to_jsonb(incident_id) END
