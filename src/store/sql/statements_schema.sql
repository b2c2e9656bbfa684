-- Where pg_stat_statements is installed and collecting; no row where it is not. Before 1.8 the view had other columns, and
-- a server that came through pg_upgrade may still have that one.
SELECT pg_catalog.to_jsonb(pg_catalog.quote_ident(n.nspname))
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
JOIN pg_catalog.pg_class AS c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) e.extname
JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attname OPERATOR(pg_catalog.=) 'total_exec_time'
WHERE e.extname OPERATOR(pg_catalog.=) 'pg_stat_statements'
  AND pg_catalog.current_setting('pg_stat_statements.max', true) IS NOT NULL
