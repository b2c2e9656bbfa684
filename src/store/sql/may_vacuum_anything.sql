SELECT pg_catalog.to_jsonb(
    EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}') AND pg_catalog.pg_has_role(c.relowner, 'USAGE'))
    OR EXISTS (
        SELECT FROM pg_catalog.pg_database AS d
        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND pg_catalog.pg_has_role(d.datdba, 'USAGE')))
