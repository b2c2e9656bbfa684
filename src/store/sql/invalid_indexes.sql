SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'oid', i.indexrelid::pg_catalog.int8,
    'name', c.relname,
    'qualified', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'drop', pg_catalog.format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)))
FROM pg_catalog.pg_class AS named
JOIN pg_catalog.pg_namespace AS place ON place.oid OPERATOR(pg_catalog.=) named.relnamespace
LEFT JOIN pg_catalog.pg_index AS itself ON itself.indexrelid OPERATOR(pg_catalog.=) named.oid
JOIN pg_catalog.pg_index AS i ON i.indrelid OPERATOR(pg_catalog.=) coalesce(itself.indrelid, named.oid)
JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE place.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.text
  AND named.relname OPERATOR(pg_catalog.=) $2::pg_catalog.text
  AND NOT i.indisvalid
