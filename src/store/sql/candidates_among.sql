-- $1 builtin vector, $2 the pod's vector or NULL, $3 the alert's name or NULL; $4 runbooks and $5 sections, pair by pair: these,
-- and those that the name says, as candidates.sql gives them.
SELECT c.runbook_id, c.section, c.position, coalesce(c.alerts OPERATOR(pg_catalog.@>) ARRAY[$3::text], false),
       1 OPERATOR(pg_catalog.-) (c.builtin_embedding OPERATOR(@vector@.<=>) q.builtin),
       1 OPERATOR(pg_catalog.-) (c.embedding OPERATOR(@vector@.<=>) q.pod),
       c.title, c.incident_type, c.content
FROM (SELECT $1::real[]::@vector@.halfvec AS builtin, $2::real[]::@vector@.vector AS pod OFFSET 0) AS q,
LATERAL (
    (SELECT r.*
     FROM ROWS FROM (pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[])) AS t (runbook_id, section)
     JOIN oncall.ops_runbooks AS r USING (runbook_id, section))
    UNION ALL
    (SELECT r.* FROM oncall.ops_runbooks AS r WHERE r.alerts OPERATOR(pg_catalog.@>) ARRAY[$3::text])
) AS c
