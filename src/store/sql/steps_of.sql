-- $1 runbook ids, $2 step ids or NULL: the steps of these runbooks as they stand now, only those that are named where any are,
-- and the tools that they name.
WITH step AS MATERIALIZED (
    SELECT runbook_id, position, section,
           step OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('id', step_id, 'destructive', destructive) AS whole
    FROM oncall.ops_runbooks
    WHERE runbook_id OPERATOR(pg_catalog.=) ANY ($1) AND step IS NOT NULL
      AND ($2::text[] IS NULL OR step_id OPERATOR(pg_catalog.=) ANY ($2))
)
SELECT pg_catalog.jsonb_build_object(
    'steps', coalesce((
        SELECT pg_catalog.jsonb_agg(whole ORDER BY pg_catalog.array_position($1, runbook_id), position, section) FROM step), '[]'),
    'tools', coalesce((
        SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) ORDER BY t.name)
        FROM oncall.tool AS t
        WHERE t.name OPERATOR(pg_catalog.=) ANY (
            SELECT whole OPERATOR(pg_catalog.->>) 'tool' FROM step
            UNION SELECT whole OPERATOR(pg_catalog.#>>) '{rollback,tool}' FROM step)), '[]'))
