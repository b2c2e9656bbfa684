-- The latest value of each series within the last 15 minutes. Exporters send NaN and infinities, which are no numbers in
-- JSON, and a clock that is wrong may be millennia off: what cannot be told is left out and costs no alert.
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(m)), '[]')
FROM (SELECT pg_catalog.left(latest.metric, 200) AS name, latest.value, pg_catalog.left(latest.labels::text, 400) AS about, latest.sampled_at AS at
      FROM (SELECT DISTINCT ON (metric, labels) metric, labels, value, sampled_at
            FROM oncall.metric_sample
            WHERE sampled_at OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '15 minutes')
              AND sampled_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.+) interval '1 hour')
              AND value OPERATOR(pg_catalog.<>) ALL (ARRAY['NaN', 'Infinity', '-Infinity']::double precision[])
            ORDER BY metric, labels, sampled_at DESC) AS latest
      ORDER BY latest.metric, latest.labels::text
      LIMIT 40) AS m
