-- $1 most.
SELECT pg_catalog.to_jsonb(oncall_internal.tell_announcements($1))
