-- $1 work, $2 error.
UPDATE oncall.incident_work
SET state = 'given_up', done_at = pg_catalog.clock_timestamp(), error = $2
WHERE work_id OPERATOR(pg_catalog.=) $1
