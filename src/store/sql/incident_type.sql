-- $1 runbooks, best first: the classification of the first one.
SELECT pg_catalog.to_jsonb(r.incident_type)
FROM oncall.ops_runbooks AS r
WHERE r.runbook_id OPERATOR(pg_catalog.=) ($1)[1]
ORDER BY r.position, r.section
LIMIT 1
