SELECT pg_catalog.to_jsonb(state) FROM oncall.circuit_breaker
