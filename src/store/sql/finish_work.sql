-- $1 work.
UPDATE oncall.incident_work
SET state = 'done', done_at = pg_catalog.clock_timestamp(), error = NULL
WHERE work_id OPERATOR(pg_catalog.=) $1
