SELECT pg_catalog.to_jsonb(pg_catalog.count(*)) FROM oncall.ensure_log_partitions() AS made
