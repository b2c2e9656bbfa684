-- The tables that a search goes by.
SELECT pg_catalog.json_build_array('oncall.ops_runbooks'::pg_catalog.regclass::pg_catalog.oid::bigint,
                                   'oncall.router_policy'::pg_catalog.regclass::pg_catalog.oid::bigint)
