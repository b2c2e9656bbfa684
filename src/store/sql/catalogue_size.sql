-- How many sections there are, by the last ANALYZE; -1 before the first.
SELECT pg_catalog.to_jsonb(reltuples) FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.=) 'oncall.ops_runbooks'::pg_catalog.regclass
