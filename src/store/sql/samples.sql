-- The latest value of each series within the last 15 minutes.
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(m)), '[]')
FROM (SELECT latest.metric AS name, latest.value, latest.labels::text AS about, latest.sampled_at AS at
      FROM (SELECT DISTINCT ON (metric, labels) metric, labels, value, sampled_at
            FROM oncall.metric_sample
            WHERE sampled_at OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '15 minutes')
            ORDER BY metric, labels, sampled_at DESC) AS latest
      ORDER BY latest.metric, latest.labels::text
      LIMIT 40) AS m
