-- $1 row, $2 why the try failed. It waits on.
UPDATE oncall.alert_inbox SET error = $2 WHERE id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.=) 'waiting'
