-- $1 what is on its way already; $2 how many more may be on their way to a sink, by its name; $3 the same for all others.
WITH free AS MATERIALIZED (
    SELECT s.name, s.format, s.url, s.secret_file, coalesce(($2 OPERATOR(pg_catalog.->>) s.name)::integer, $3) AS slots
    FROM oncall.sink AS s
    WHERE s.enabled
), due AS MATERIALIZED (
    SELECT d.id
    FROM free AS f
    CROSS JOIN LATERAL (
        SELECT d.id
        FROM oncall.delivery AS d
        WHERE d.sink OPERATOR(pg_catalog.=) f.name AND d.state OPERATOR(pg_catalog.=) 'waiting'
          AND d.next_at OPERATOR(pg_catalog.<=) pg_catalog.now() AND d.id OPERATOR(pg_catalog.<>) ALL ($1)
          -- Pages of one incident arrive in their order; one on its way is waiting still. A subquery with min() and no
          -- join: it is one look into an index a row, whatever the planner knows of the table.
          AND (d.incident_id IS NULL OR d.page_no OPERATOR(pg_catalog.=) (
              SELECT min(e.page_no) FROM oncall.delivery AS e
              WHERE e.incident_id OPERATOR(pg_catalog.=) d.incident_id AND e.sink OPERATOR(pg_catalog.=) d.sink
                AND e.state OPERATOR(pg_catalog.=) 'waiting'))
        ORDER BY d.next_at, d.id
        LIMIT f.slots
    ) AS d
), begun AS (
    UPDATE oncall.delivery AS d
    SET attempts = d.attempts OPERATOR(pg_catalog.+) 1
    WHERE d.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT f.id FROM due AS f))
    RETURNING d.id, d.sink, d.idempotency_key, d.incident_key, d.page, d.attempts, d.incident_id
), next AS (
    SELECT min(d.next_at) AS at
    FROM free AS f
    CROSS JOIN LATERAL (
        SELECT d.next_at
        FROM oncall.delivery AS d
        WHERE d.sink OPERATOR(pg_catalog.=) f.name AND d.state OPERATOR(pg_catalog.=) 'waiting' AND d.next_at OPERATOR(pg_catalog.>) pg_catalog.now()
        ORDER BY d.next_at
        LIMIT 1
    ) AS d
)
SELECT pg_catalog.jsonb_build_object(
    'database', pg_catalog.current_database(),
    'due', coalesce((
        SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(b) OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
            'format', f.format, 'url', f.url, 'secret_file', f.secret_file) ORDER BY b.id)
        FROM begun AS b JOIN free AS f ON f.name OPERATOR(pg_catalog.=) b.sink), '[]'),
    'next_in_s', (SELECT EXTRACT(epoch FROM n.at OPERATOR(pg_catalog.-) pg_catalog.now()) FROM next AS n))
