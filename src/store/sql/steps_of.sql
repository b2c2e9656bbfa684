-- $1 runbook ids: their steps as they stand now.
SELECT coalesce(pg_catalog.jsonb_agg(
    step OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('id', step_id, 'destructive', destructive)
    ORDER BY pg_catalog.array_position($1, runbook_id), position, section), '[]')
FROM oncall.ops_runbooks
WHERE runbook_id OPERATOR(pg_catalog.=) ANY ($1) AND step IS NOT NULL
