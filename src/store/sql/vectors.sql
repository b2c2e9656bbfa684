-- Of what the vectors in ops_runbooks are: how many there are by the last ANALYZE (-1 before the first), the length of those in
-- embedding, and by which models those are: the first and the last of an index tell, whatever its size.
SELECT pg_catalog.jsonb_build_object('sections', c.reltuples, 'dimension', a.atttypmod, 'first_model', model.first, 'last_model', model.last)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attname OPERATOR(pg_catalog.=) 'embedding',
     (SELECT pg_catalog.min(embedding_model) AS first, pg_catalog.max(embedding_model) AS last FROM oncall.ops_runbooks) AS model
WHERE c.oid OPERATOR(pg_catalog.=) 'oncall.ops_runbooks'::pg_catalog.regclass
