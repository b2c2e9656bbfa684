-- $1 id to go on after, $2 most rows, $3 most bytes of their payloads: the next rows, with the try counted. One that was
-- tried before comes by itself. So does one of more than 64 kB as it is stored, and without its payload: what that takes
-- when it is unpacked nobody knows. Rows that another session has locked are passed over.
WITH waiting AS MATERIALIZED (
    SELECT i.id, i.attempts OPERATOR(pg_catalog.>) 0 OR small.size OPERATOR(pg_catalog.>) 65536 AS apart,
           CASE WHEN small.size OPERATOR(pg_catalog.<=) 65536 THEN pg_catalog.octet_length(i.payload::pg_catalog.text) END AS bytes
    FROM oncall.alert_inbox AS i, LATERAL (SELECT pg_catalog.pg_column_size(i.payload)) AS small (size)
    WHERE i.state OPERATOR(pg_catalog.=) 'waiting' AND i.id OPERATOR(pg_catalog.>) $1
    ORDER BY i.id
    LIMIT $2
), taken AS (
    SELECT w.id, w.bytes
    FROM (SELECT id, bytes, pg_catalog.row_number() OVER way AS place, pg_catalog.bool_or(apart) OVER way AS apart,
                 (pg_catalog.sum(bytes) OVER way) OPERATOR(pg_catalog.-) bytes AS before
          FROM waiting
          WINDOW way AS (ORDER BY id)) AS w
    WHERE w.place OPERATOR(pg_catalog.=) 1 OR (NOT w.apart AND w.before OPERATOR(pg_catalog.<) $3)
), free AS MATERIALIZED (
    SELECT i.id
    FROM oncall.alert_inbox AS i
    WHERE i.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT t.id FROM taken AS t)) AND i.state OPERATOR(pg_catalog.=) 'waiting'
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE oncall.alert_inbox AS i
    SET attempts = i.attempts OPERATOR(pg_catalog.+) 1, begun_at = pg_catalog.clock_timestamp()
    WHERE i.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT f.id FROM free AS f))
    RETURNING i.id, i.source, i.received_by, i.received_at, i.attempts, i.error, i.payload
)
SELECT pg_catalog.jsonb_build_object(
    'last', pg_catalog.max(t.id),
    'more', (SELECT pg_catalog.count(*) FROM waiting) OPERATOR(pg_catalog.>=) least($2::pg_catalog.int8, pg_catalog.count(*) OPERATOR(pg_catalog.+) 1),
    'passed_over', pg_catalog.count(*) OPERATOR(pg_catalog.-) pg_catalog.count(c.id),
    'rows', coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'id', c.id, 'source', c.source, 'received_by', c.received_by, 'received_at', c.received_at,
        'attempts', c.attempts, 'error', c.error,
        'payload', CASE WHEN t.bytes IS NOT NULL THEN c.payload::pg_catalog.text END) ORDER BY c.id)
        FILTER (WHERE c.id IS NOT NULL), '[]'))
FROM taken AS t LEFT JOIN claimed AS c ON c.id OPERATOR(pg_catalog.=) t.id
HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0
