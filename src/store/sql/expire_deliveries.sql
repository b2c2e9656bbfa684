-- $1 what is on its way; $2 the most attempts.
WITH expired AS (
    UPDATE oncall.delivery AS d
    SET state = 'dead',
        last_error = CASE
            WHEN NOT EXISTS (SELECT FROM oncall.sink AS s WHERE s.name OPERATOR(pg_catalog.=) d.sink) THEN 'the sink is gone'
            ELSE pg_catalog.concat('given up after ', d.attempts, ' attempts', '; the last: ' OPERATOR(pg_catalog.||) d.last_error)
        END
    WHERE d.state OPERATOR(pg_catalog.=) 'waiting' AND d.id OPERATOR(pg_catalog.<>) ALL ($1)
      AND (d.give_up_at OPERATOR(pg_catalog.<) pg_catalog.now() OR d.attempts OPERATOR(pg_catalog.>=) $2
           OR NOT EXISTS (SELECT FROM oncall.sink AS s WHERE s.name OPERATOR(pg_catalog.=) d.sink))
    RETURNING d.id, d.sink, d.incident_id, d.last_error
)
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(e) ORDER BY e.id), '[]') FROM expired AS e
