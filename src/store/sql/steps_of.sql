-- $1 runbook ids, $2 step ids or NULL: the steps of these runbooks as they stand now, only those that are named where any are,
-- each with the tools that it names.
SELECT coalesce(pg_catalog.json_agg(
    pg_catalog.json_build_object(
        'step', s.step, 'id', s.step_id, 'destructive', s.destructive,
        'tools', ARRAY(
            SELECT t FROM oncall.tool AS t
            WHERE t.name OPERATOR(pg_catalog.=) s.tool OR t.name OPERATOR(pg_catalog.=) (s.step OPERATOR(pg_catalog.#>>) '{rollback,tool}')))
    ORDER BY pg_catalog.array_position($1, s.runbook_id), s.position, s.section), '[]')
FROM oncall.ops_runbooks AS s
WHERE s.runbook_id OPERATOR(pg_catalog.=) ANY ($1) AND s.step IS NOT NULL
  AND ($2::text[] IS NULL OR s.step_id OPERATOR(pg_catalog.=) ANY ($2))
