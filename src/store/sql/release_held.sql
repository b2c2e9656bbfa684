SELECT pg_catalog.to_jsonb(oncall_internal.release_held(true))
