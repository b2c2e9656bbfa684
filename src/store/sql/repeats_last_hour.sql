-- How often each step was carried out within the last hour on one target: of several targets, where that was most often.
SELECT pg_catalog.jsonb_object_agg(worst.step, worst.times)
FROM (SELECT by_target.step, pg_catalog.max(by_target.times) AS times
      FROM (SELECT s.request OPERATOR(pg_catalog.->>) 'step' AS step, pg_catalog.count(*) AS times
            FROM oncall.incident_step AS s
            WHERE s.kind OPERATOR(pg_catalog.=) 'action'
              AND s.started_at OPERATOR(pg_catalog.>) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) INTERVAL '1 hour')
              AND s.request OPERATOR(pg_catalog.->>) 'step' IS NOT NULL
            GROUP BY s.request OPERATOR(pg_catalog.->>) 'step', s.request OPERATOR(pg_catalog.->>) 'target') AS by_target
      GROUP BY by_target.step) AS worst
