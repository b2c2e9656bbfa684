-- The tables of which a search keeps something in memory.
SELECT pg_catalog.json_build_array('oncall.ops_runbooks'::pg_catalog.regclass::pg_catalog.oid::bigint,
                                   'oncall.tool'::pg_catalog.regclass::pg_catalog.oid::bigint,
                                   'oncall.router_policy'::pg_catalog.regclass::pg_catalog.oid::bigint)
