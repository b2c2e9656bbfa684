-- $1 builtin vector, $2 the pod's vector or NULL, $3 weight of the builtin one, $4 weight of the pod's,
-- $5 the alert's name or NULL, $6 k, $7 how many candidates each index gives.
-- Candidates come from both indexes and from the names; all are scored exactly, so the sum of cosines ranks, not an index.
WITH near AS MATERIALIZED (
    (SELECT runbook_id, section
     FROM oncall.ops_runbooks
     ORDER BY builtin_embedding OPERATOR(@vector@.<=>) $1::real[]::@vector@.vector
     LIMIT $7)
    UNION
    (SELECT runbook_id, section
     FROM oncall.ops_runbooks
     WHERE $2::real[] IS NOT NULL
     ORDER BY embedding OPERATOR(@vector@.<=>) $2::real[]::@vector@.vector
     LIMIT $7)
    UNION
    (SELECT runbook_id, section
     FROM oncall.ops_runbooks
     WHERE alerts OPERATOR(pg_catalog.@>) ARRAY[$5::text])
), scored AS MATERIALIZED (
    SELECT r.runbook_id, r.section, r.content, r.title, r.incident_type, r.position,
           coalesce(r.alerts OPERATOR(pg_catalog.@>) ARRAY[$5::text], false) AS named,
           1 OPERATOR(pg_catalog.-) (r.builtin_embedding OPERATOR(@vector@.<=>) $1::real[]::@vector@.vector) AS builtin,
           1 OPERATOR(pg_catalog.-) (r.embedding OPERATOR(@vector@.<=>) $2::real[]::@vector@.vector) AS pod
    FROM near
    JOIN oncall.ops_runbooks AS r USING (runbook_id, section)
), numbered AS (
    -- A text without words has the zero vector, and the cosine to it is no number: it is near nothing.
    SELECT s.*, b.builtin_similarity,
           CASE WHEN $2::real[] IS NULL THEN b.builtin_similarity
                ELSE ($3 OPERATOR(pg_catalog.*) b.builtin_similarity OPERATOR(pg_catalog.+) $4 OPERATOR(pg_catalog.*) s.pod)
                     OPERATOR(pg_catalog./) ($3 OPERATOR(pg_catalog.+) $4)
           END AS similarity
    FROM scored AS s
    CROSS JOIN LATERAL (SELECT CASE WHEN s.builtin OPERATOR(pg_catalog.=) 'NaN' THEN 0 ELSE s.builtin END) AS b (builtin_similarity)
), top AS (
    SELECT *, pg_catalog.row_number() OVER (ORDER BY named DESC, similarity DESC, runbook_id, position, section) AS place
    FROM numbered
    ORDER BY named DESC, similarity DESC, runbook_id, position, section
    LIMIT $6
)
SELECT pg_catalog.jsonb_build_object(
    'sections', coalesce((
        SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
            'runbook_id', runbook_id, 'title', title, 'incident_type', incident_type, 'section', section,
            'content', content, 'similarity', similarity, 'builtin_similarity', builtin_similarity,
            'found_by', CASE WHEN named THEN 'alert_name' ELSE 'similarity' END) ORDER BY place)
        FROM top), '[]'),
    'runner_up', (
        SELECT pg_catalog.max(n.builtin_similarity) FROM numbered AS n
        WHERE n.runbook_id OPERATOR(pg_catalog.<>) (SELECT runbook_id FROM top WHERE place OPERATOR(pg_catalog.=) 1)),
    'steps', coalesce((
        SELECT pg_catalog.jsonb_agg(
            s.step OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('id', s.step_id, 'destructive', s.destructive)
            ORDER BY first.place, s.position, s.section)
        FROM (SELECT runbook_id, pg_catalog.min(place) AS place FROM top GROUP BY runbook_id) AS first
        JOIN oncall.ops_runbooks AS s ON s.runbook_id OPERATOR(pg_catalog.=) first.runbook_id
        WHERE s.step IS NOT NULL), '[]'))
