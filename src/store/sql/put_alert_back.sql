-- $1 row: it waits on, and the try is not counted.
UPDATE oncall.alert_inbox
SET attempts = attempts OPERATOR(pg_catalog.-) 1
WHERE id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) 'waiting'
