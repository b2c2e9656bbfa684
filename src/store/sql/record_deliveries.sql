-- $1 what came of some requests.
WITH outcome AS MATERIALIZED (
    SELECT * FROM pg_catalog.jsonb_to_recordset($1)
        AS o (id bigint, state text, status integer, error text, wait_s double precision)
), written AS (
    UPDATE oncall.delivery AS d
    SET state = o.state, last_status = o.status, last_error = o.error,
        sent_at = CASE WHEN o.state OPERATOR(pg_catalog.=) 'sent' THEN pg_catalog.clock_timestamp() END,
        next_at = CASE WHEN o.state OPERATOR(pg_catalog.=) 'waiting' THEN pg_catalog.now() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => o.wait_s) ELSE d.next_at END
    FROM outcome AS o
    WHERE d.id OPERATOR(pg_catalog.=) o.id AND d.id OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT o.id FROM outcome AS o)) AND d.state OPERATOR(pg_catalog.=) 'waiting'
    RETURNING d.id, d.incident_id, d.sink, d.page_no, d.state, d.next_at
), later AS (
    -- What waits for it waits as long, and is due when it is through: who looks for what is due need not look at these.
    UPDATE oncall.delivery AS d
    SET next_at = CASE WHEN w.state OPERATOR(pg_catalog.=) 'waiting' THEN w.next_at ELSE pg_catalog.now() END
    FROM written AS w
    WHERE d.incident_id OPERATOR(pg_catalog.=) w.incident_id AND d.sink OPERATOR(pg_catalog.=) w.sink
      AND d.state OPERATOR(pg_catalog.=) 'waiting' AND d.page_no OPERATOR(pg_catalog.>) w.page_no
      AND (w.state OPERATOR(pg_catalog.=) 'waiting' OR d.next_at OPERATOR(pg_catalog.>) pg_catalog.now())
      AND d.id OPERATOR(pg_catalog.<>) ALL (SELECT o.id FROM outcome AS o)
)
SELECT pg_catalog.jsonb_build_object('written', count(*)) FROM written AS w
