-- $1 a number: whether there are no more sections than that.
SELECT pg_catalog.to_json(pg_catalog.count(*) OPERATOR(pg_catalog.<=) $1)
FROM (SELECT FROM oncall.ops_runbooks LIMIT $1 OPERATOR(pg_catalog.+) 1) AS counted
