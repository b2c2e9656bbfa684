-- $1 fingerprint, $2 window in seconds: an open incident that has not been heard of for so long makes way.
UPDATE oncall.incident_audit
SET state = 'expired', closed_at = pg_catalog.now()
WHERE fingerprint OPERATOR(pg_catalog.=) $1
  AND closed_at IS NULL
  AND last_seen OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $2))
