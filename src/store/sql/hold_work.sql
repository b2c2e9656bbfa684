-- $1 work, $2 until when, in seconds since the epoch. Once: then it is not held again.
UPDATE oncall.incident_work
SET state = 'held', was_held = true, not_before = pg_catalog.to_timestamp($2)
WHERE work_id OPERATOR(pg_catalog.=) $1
