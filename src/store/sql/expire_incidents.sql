-- $1 repeats by fingerprint, $2 window in seconds: open incidents that were not heard of for so long make way.
UPDATE oncall.incident_audit AS a
SET state = 'expired', closed_at = pg_catalog.now()
FROM pg_catalog.jsonb_to_recordset($1) AS r (fingerprint pg_catalog.text, since pg_catalog.timestamptz)
WHERE a.fingerprint OPERATOR(pg_catalog.=) r.fingerprint
  AND a.closed_at IS NULL
  AND a.last_seen OPERATOR(pg_catalog.<) (r.since OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $2))
