-- Actions that autonomous decisions ordered within the last hour.
SELECT pg_catalog.to_jsonb(coalesce(pg_catalog.sum(pg_catalog.cardinality(recommended_actions)), 0))
FROM oncall.incident_audit
WHERE routing_decision OPERATOR(pg_catalog.=) 'autonomous'
  AND routed_at OPERATOR(pg_catalog.>) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '1 hour')
