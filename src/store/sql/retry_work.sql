-- $1 work, $2 seconds until it is due again, $3 error.
UPDATE oncall.incident_work
SET state = 'queued', error = $3,
    not_before = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $2)
WHERE work_id OPERATOR(pg_catalog.=) $1
