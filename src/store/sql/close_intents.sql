-- $1 incident, $2 reason: what was begun and will not be looked after any more is unknown.
UPDATE oncall.incident_step
SET status = 'unknown', outcome = pg_catalog.jsonb_build_object('outcome', 'unknown', 'reason', $2::text)
WHERE incident_id OPERATOR(pg_catalog.=) $1 AND status OPERATOR(pg_catalog.=) 'intent'
