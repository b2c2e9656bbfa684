-- The answers to several questions, by name.
SELECT pg_catalog.json_build_object(@questions@)
