-- The statements of this database that took the most time in all. @statements@ is the schema of pg_stat_statements.
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(m)), '[]')
FROM (SELECT 'statement: mean_exec_time_ms' AS name, s.mean_exec_time AS value,
             pg_catalog.format('%s calls: %s', s.calls, pg_catalog.left(s.query, 300)) AS about, NULL AS at
      FROM @statements@.pg_stat_statements AS s
      JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.dbid
      WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
      ORDER BY s.total_exec_time DESC
      LIMIT 10) AS m
