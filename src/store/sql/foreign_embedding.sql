-- $1 the embedding model: another model that some row was embedded by, if any. The first and the last of an index tell,
-- whatever its size.
SELECT pg_catalog.to_jsonb(CASE WHEN first OPERATOR(pg_catalog.<>) $1 THEN first WHEN last OPERATOR(pg_catalog.<>) $1 THEN last END)
FROM (SELECT pg_catalog.min(embedding_model) AS first, pg_catalog.max(embedding_model) AS last FROM oncall.ops_runbooks) AS model
