-- $1 a row of whatever table.
SELECT pg_catalog.to_jsonb($1)::pg_catalog.text
