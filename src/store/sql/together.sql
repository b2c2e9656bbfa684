-- The answers to several questions, by name.
SELECT pg_catalog.jsonb_build_object(@questions@)
