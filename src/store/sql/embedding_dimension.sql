-- The length of the vectors in ops_runbooks.embedding.
SELECT pg_catalog.to_jsonb(a.atttypmod)
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid OPERATOR(pg_catalog.=) 'oncall.ops_runbooks'::pg_catalog.regclass AND a.attname OPERATOR(pg_catalog.=) 'embedding'
