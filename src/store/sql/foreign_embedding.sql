-- $1 the embedding model: another model that some row was embedded by, if any. Two probes of the index, whatever its size.
SELECT pg_catalog.to_jsonb(coalesce(
    (SELECT embedding_model FROM oncall.ops_runbooks WHERE embedding_model OPERATOR(pg_catalog.<) $1 LIMIT 1),
    (SELECT embedding_model FROM oncall.ops_runbooks WHERE embedding_model OPERATOR(pg_catalog.>) $1 LIMIT 1)))
