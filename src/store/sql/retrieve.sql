-- $1 builtin vector, $2 the pod's vector or NULL, $3 weight of the builtin one, $4 weight of the pod's,
-- $5 the alert's name or NULL, $6 k, $7 how many candidates each index gives.
-- Candidates come from both indexes and from the names; each has both cosines, so the sum of cosines ranks, not an index.
-- The index of embedding holds half precision, for vectors of @dimension@ numbers.
-- The casts from arrays are done once, in query, and not wherever a vector is named: each takes as long as ten comparisons.
WITH query AS MATERIALIZED (
    SELECT $1::real[]::@vector@.halfvec AS builtin, $2::real[]::@vector@.vector AS pod
), candidate AS MATERIALIZED (
    (SELECT runbook_id, section, position, alerts OPERATOR(pg_catalog.@>) ARRAY[$5::text] AS named,
            builtin_embedding OPERATOR(@vector@.<=>) (SELECT builtin FROM query) AS builtin_distance,
            embedding OPERATOR(@vector@.<=>) (SELECT pod FROM query) AS pod_distance
     FROM oncall.ops_runbooks
     ORDER BY builtin_embedding OPERATOR(@vector@.<=>) (SELECT builtin FROM query)
     LIMIT $7)
    UNION
    (SELECT runbook_id, section, position, alerts OPERATOR(pg_catalog.@>) ARRAY[$5::text],
            builtin_embedding OPERATOR(@vector@.<=>) (SELECT builtin FROM query),
            embedding OPERATOR(@vector@.<=>) (SELECT pod FROM query)
     FROM oncall.ops_runbooks
     WHERE $2::real[] IS NOT NULL
     ORDER BY embedding::@vector@.halfvec(@dimension@) OPERATOR(@vector@.<=>) (SELECT pod::@vector@.halfvec FROM query)
     LIMIT $7)
    UNION
    (SELECT runbook_id, section, position, true,
            builtin_embedding OPERATOR(@vector@.<=>) (SELECT builtin FROM query),
            embedding OPERATOR(@vector@.<=>) (SELECT pod FROM query)
     FROM oncall.ops_runbooks
     WHERE alerts OPERATOR(pg_catalog.@>) ARRAY[$5::text])
), scored AS MATERIALIZED (
    -- A text without words has the zero vector, and the cosine to it is no number: it is near nothing.
    SELECT runbook_id, section, position, named, builtin_similarity,
           CASE WHEN $2::real[] IS NULL THEN builtin_similarity
                -- Each product in parentheses: an operator that is written out has no precedence.
                ELSE (($3 OPERATOR(pg_catalog.*) builtin_similarity)
                      OPERATOR(pg_catalog.+) ($4 OPERATOR(pg_catalog.*) (1 OPERATOR(pg_catalog.-) pod_distance)))
                     OPERATOR(pg_catalog./) ($3 OPERATOR(pg_catalog.+) $4)
           END AS similarity
    FROM (SELECT *, CASE WHEN builtin_distance OPERATOR(pg_catalog.=) 'NaN' THEN 0 ELSE 1 OPERATOR(pg_catalog.-) builtin_distance END AS builtin_similarity
          FROM (SELECT runbook_id, section, position, coalesce(named, false) AS named, builtin_distance, pod_distance
                FROM candidate) AS c) AS words
), ranked AS MATERIALIZED (
    -- An alert's name may stand in several runbooks, since one symptom has several causes. The best section of each comes
    -- first: else the sections of one would fill the places, and the steps of the others would not be on offer.
    SELECT *, named AND pg_catalog.row_number() OVER (
        PARTITION BY runbook_id ORDER BY named DESC, similarity DESC, position, section) OPERATOR(pg_catalog.=) 1 AS leads
    FROM scored
), top AS MATERIALIZED (
    SELECT *, pg_catalog.row_number() OVER (ORDER BY leads DESC, named DESC, similarity DESC, runbook_id, position, section) AS place
    FROM ranked
    ORDER BY leads DESC, named DESC, similarity DESC, runbook_id, position, section
    LIMIT $6
)
SELECT pg_catalog.jsonb_build_object(
    'sections', coalesce((
        SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'runbook_id', t.runbook_id, 'title', r.title, 'incident_type', r.incident_type, 'section', t.section,
            'content', r.content, 'similarity', t.similarity, 'builtin_similarity', t.builtin_similarity,
            'found_by', CASE WHEN t.named THEN 'alert_name' ELSE 'similarity' END) ORDER BY t.place)
        FROM top AS t
        JOIN oncall.ops_runbooks AS r USING (runbook_id, section)), '[]'),
    -- Where all candidates are of one runbook, no other one is nearer than the farthest of them.
    'runner_up', coalesce(
        (SELECT pg_catalog.max(s.builtin_similarity) FROM scored AS s
         WHERE s.runbook_id OPERATOR(pg_catalog.<>) (SELECT runbook_id FROM top WHERE place OPERATOR(pg_catalog.=) 1)),
        (SELECT pg_catalog.min(s.builtin_similarity) FROM scored AS s HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>=) $7)),
    'steps', coalesce((
        SELECT pg_catalog.jsonb_agg(
            s.step OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('id', s.step_id, 'destructive', s.destructive)
            ORDER BY first.place, s.position, s.section)
        FROM (SELECT runbook_id, pg_catalog.min(place) AS place FROM top GROUP BY runbook_id) AS first
        JOIN oncall.ops_runbooks AS s ON s.runbook_id OPERATOR(pg_catalog.=) first.runbook_id
        WHERE s.step IS NOT NULL), '[]'))
