-- $1 most of a kind.
SELECT pg_catalog.to_jsonb(pg_catalog.bool_or(r.removed OPERATOR(pg_catalog.>=) $1)) FROM oncall.apply_retention($1) AS r
