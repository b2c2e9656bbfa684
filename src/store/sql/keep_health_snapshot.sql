SELECT pg_catalog.to_jsonb(pg_catalog.count(*)) FROM oncall.keep_health_snapshot()
