-- $1 names: these tools of the catalogue, as one array.
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) ORDER BY t.name), '[]')
FROM oncall.tool AS t WHERE t.name OPERATOR(pg_catalog.=) ANY ($1)
