-- The surface: every object has a comment, nothing is granted to PUBLIC, and people see only what is for people.
\pset format unaligned
\pset tuples_only on

-- The functions of schema oncall are the reference.
SELECT p.oid::regprocedure, '→', pg_get_function_result(p.oid)
FROM pg_proc AS p WHERE p.pronamespace = 'oncall'::regnamespace ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Objects without a comment: none.
SELECT 'function', p.oid::regprocedure::text FROM pg_proc AS p
WHERE p.pronamespace IN ('oncall'::regnamespace, 'oncall_internal'::regnamespace) AND obj_description(p.oid, 'pg_proc') IS NULL
UNION ALL
SELECT 'relation', c.oid::regclass::text FROM pg_class AS c
WHERE c.relnamespace = 'oncall'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND obj_description(c.oid, 'pg_class') IS NULL;

-- Grants to PUBLIC: none.
SELECT p.oid::regprocedure FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
WHERE p.pronamespace IN ('oncall'::regnamespace, 'oncall_internal'::regnamespace) AND a.grantee = 0;
SELECT c.oid::regclass FROM pg_class AS c, aclexplode(c.relacl) AS a
WHERE c.relnamespace IN ('oncall'::regnamespace, 'oncall_internal'::regnamespace) AND a.grantee = 0;
SELECT n.nspname FROM pg_namespace AS n, aclexplode(n.nspacl) AS a WHERE n.nspname LIKE 'oncall%' AND a.grantee = 0;

-- Functions that run with their owner's rights pin their search_path.
SELECT p.oid::regprocedure FROM pg_proc AS p
WHERE p.pronamespace IN ('oncall'::regnamespace, 'oncall_internal'::regnamespace) AND p.prosecdef
  AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false);

-- The builtin embedder may be used in indexes and in parallel.
SELECT provolatile, proparallel, proisstrict FROM pg_proc WHERE oid = 'oncall.embed_builtin(text)'::regprocedure;

-- The roles, and that none of them can log in.
SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'oncall\_%' ORDER BY rolname;

-- A misspelt setting is an error, not a silent nothing.
SET oncall.autonmy = 'off';
-- Where data may go is not for a session to say.
SET oncall.allowed_hosts = 'example.org';
