-- Where pg_stat_statements is installed and collecting; no row where it is not.
SELECT pg_catalog.to_jsonb(pg_catalog.quote_ident(n.nspname))
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
WHERE e.extname OPERATOR(pg_catalog.=) 'pg_stat_statements'
  AND pg_catalog.current_setting('pg_stat_statements.max', true) IS NOT NULL
