-- $1 builtin vector, $2 the pod's vector or NULL, $3 the alert's name or NULL, $4 how many candidates each index gives.
-- Candidates come from both indexes and from the names, some of them twice; each has both cosines, by which they are ranked
-- elsewhere. The index of embedding holds half precision, for vectors of @dimension@ numbers.
-- The casts are done once: each takes as long as ten comparisons. OFFSET 0 keeps them where they are.
SELECT c.runbook_id, c.section, c.position, coalesce(c.named, false),
       1 OPERATOR(pg_catalog.-) c.builtin_distance, 1 OPERATOR(pg_catalog.-) c.pod_distance,
       c.title, c.incident_type, c.content
FROM (SELECT $1::real[]::@vector@.halfvec AS builtin, $2::real[]::@vector@.vector AS pod,
             $2::real[]::@vector@.vector::@vector@.halfvec AS pod_half OFFSET 0) AS q,
LATERAL (
    (SELECT runbook_id, section, position, alerts OPERATOR(pg_catalog.@>) ARRAY[$3::text] AS named,
            builtin_embedding OPERATOR(@vector@.<=>) q.builtin AS builtin_distance,
            embedding OPERATOR(@vector@.<=>) q.pod AS pod_distance, title, incident_type, content
     FROM oncall.ops_runbooks
     ORDER BY builtin_embedding OPERATOR(@vector@.<=>) q.builtin
     LIMIT $4)
    UNION ALL
    (SELECT runbook_id, section, position, alerts OPERATOR(pg_catalog.@>) ARRAY[$3::text],
            builtin_embedding OPERATOR(@vector@.<=>) q.builtin, embedding OPERATOR(@vector@.<=>) q.pod, title, incident_type, content
     FROM oncall.ops_runbooks
     WHERE $2::real[] IS NOT NULL
     ORDER BY embedding::@vector@.halfvec(@dimension@) OPERATOR(@vector@.<=>) q.pod_half
     LIMIT $4)
    UNION ALL
    (SELECT runbook_id, section, position, true,
            builtin_embedding OPERATOR(@vector@.<=>) q.builtin, embedding OPERATOR(@vector@.<=>) q.pod, title, incident_type, content
     FROM oncall.ops_runbooks
     WHERE alerts OPERATOR(pg_catalog.@>) ARRAY[$3::text])
) AS c
