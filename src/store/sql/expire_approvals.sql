SELECT pg_catalog.to_jsonb(oncall_internal.expire_approvals())
