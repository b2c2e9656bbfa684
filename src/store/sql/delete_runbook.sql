DELETE FROM oncall.ops_runbooks WHERE runbook_id OPERATOR(pg_catalog.=) $1
