-- From 17 on MAINTAIN is enough for VACUUM, ANALYZE and REINDEX. What a superuser owns is not for the taking: to be
-- granted that role would be to be a superuser.
SELECT pg_catalog.to_jsonb(pg_catalog.string_agg(m.lacks, '; ' ORDER BY m.place))
FROM pg_catalog.pg_class AS named
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) named.relnamespace
LEFT JOIN pg_catalog.pg_index AS itself ON itself.indexrelid OPERATOR(pg_catalog.=) named.oid
JOIN pg_catalog.pg_class AS t ON t.oid OPERATOR(pg_catalog.=) coalesce(itself.indrelid, named.oid)
JOIN pg_catalog.pg_namespace AS tn ON tn.oid OPERATOR(pg_catalog.=) t.relnamespace
JOIN pg_catalog.pg_roles AS owner ON owner.oid OPERATOR(pg_catalog.=) t.relowner
CROSS JOIN LATERAL (VALUES
    (1, CASE WHEN NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        THEN pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, current_user) END),
    (2, CASE
        WHEN pg_catalog.pg_has_role(owner.oid, 'USAGE') THEN NULL
        WHEN $3::pg_catalog.text OPERATOR(pg_catalog.=) 'maintain'
             AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 170000
            THEN pg_catalog.format('GRANT MAINTAIN ON TABLE %I.%I TO %I', tn.nspname, t.relname, current_user)
        WHEN owner.rolsuper
            THEN pg_catalog.format('ALTER TABLE %I.%I OWNER TO a role that is no superuser, then GRANT that role TO %I', tn.nspname, t.relname, current_user)
        ELSE pg_catalog.format('GRANT %I TO %I', owner.rolname, current_user) END),
    (3, CASE WHEN $3::pg_catalog.text OPERATOR(pg_catalog.=) 'create index'
             AND NOT pg_catalog.has_schema_privilege(tn.oid, 'CREATE')
             AND (owner.rolsuper OR NOT pg_catalog.has_schema_privilege(owner.oid, tn.oid, 'CREATE'))
        THEN pg_catalog.format('GRANT CREATE ON SCHEMA %I TO %I', tn.nspname, current_user) END)
) AS m (place, lacks)
WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.text
  AND named.relname OPERATOR(pg_catalog.=) $2::pg_catalog.text
