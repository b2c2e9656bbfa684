-- The start of the transaction, in microseconds since 1970.
SELECT pg_catalog.to_jsonb((EXTRACT(epoch FROM pg_catalog.now()) OPERATOR(pg_catalog.*) 1000000)::bigint)
