SELECT pg_catalog.to_jsonb(CASE
    WHEN pg_catalog.pg_has_role(owner.oid, 'USAGE') THEN NULL
    WHEN owner.rolsuper
        THEN pg_catalog.format('ALTER DATABASE %I OWNER TO a role that is no superuser, then GRANT that role TO %I', d.datname, current_user)
    ELSE pg_catalog.format('GRANT %I TO %I', owner.rolname, current_user) END)
FROM pg_catalog.pg_database AS d
JOIN pg_catalog.pg_roles AS owner ON owner.oid OPERATOR(pg_catalog.=) d.datdba
WHERE d.datname OPERATOR(pg_catalog.=) $1::pg_catalog.text
