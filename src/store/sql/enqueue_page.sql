-- $1 the incident, NULL for a test; $2 the page; $3 the sinks that get it, NULL for every sink that wants it. Those that
-- are named get it when they are enabled again: an incident that nobody ends there would stay open. A test does not wait.
WITH page AS MATERIALIZED (
    SELECT n.no,
           'pg_oncall.' OPERATOR(pg_catalog.||) c.system_identifier::text OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) b.oid::text
               OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) coalesce($1, 'test-' OPERATOR(pg_catalog.||) n.no::text) AS incident_key
    FROM pg_catalog.nextval('oncall.page_number') AS n (no), pg_catalog.pg_control_system() AS c, pg_catalog.pg_database AS b
    WHERE b.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
), queued AS (
    INSERT INTO oncall.delivery (incident_id, page_no, sink, incident_key, idempotency_key, page)
    SELECT $1, p.no, s.name, p.incident_key,
           p.incident_key OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) p.no::text OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) s.name,
           $2
    FROM page AS p, oncall.sink AS s
    WHERE CASE WHEN $3 IS NOT NULL THEN s.name OPERATOR(pg_catalog.=) ANY ($3) AND (s.enabled OR $1 IS NOT NULL)
          ELSE s.enabled
               AND (s.min_severity IS NULL OR ($2 OPERATOR(pg_catalog.->>) 'severity') IS NULL
                OR ($2 OPERATOR(pg_catalog.->>) 'severity') COLLATE "C" OPERATOR(pg_catalog.<=) s.min_severity COLLATE "C")
               AND (s.kinds IS NULL OR ($2 OPERATOR(pg_catalog.->>) 'kind') OPERATOR(pg_catalog.=) ANY (s.kinds))
          END
    RETURNING id, sink
)
SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', q.id, 'format', s.format, 'sink', q.sink) ORDER BY q.sink COLLATE "C")
FROM queued AS q JOIN oncall.sink AS s ON s.name OPERATOR(pg_catalog.=) q.sink
