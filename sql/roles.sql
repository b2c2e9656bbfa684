-- The library takes text for UTF-8 and hands UTF-8 back. In another encoding what it writes would be garbled silently.
DO $$
BEGIN
    IF pg_catalog.current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'pg_oncall needs a database in UTF8'
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = pg_catalog.format('The database "%s" is in %s.', pg_catalog.current_database(), pg_catalog.current_setting('server_encoding')),
                  HINT = 'Create it in a database of its own: CREATE DATABASE oncall ENCODING ''UTF8'' TEMPLATE template0';
    END IF;
END
$$;

-- A schema that was there before belongs to somebody, who could drop it with all that is in it, or add look-alikes.
DO $$
DECLARE
    owner name := (SELECT pg_catalog.pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'oncall');
BEGIN
    IF owner <> current_user THEN
        RAISE EXCEPTION 'the schema oncall is there already and belongs to %', owner
            USING ERRCODE = 'duplicate_schema',
                  HINT = 'Look at what it is, then DROP SCHEMA oncall, or rename it. The extension makes its own.';
    END IF;
END
$$;

-- Who may do what. Roles belong to the cluster, so they may be there already: from another database, or a restore.

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('oncall_reader',   'reads the audit, the catalogue and the health of pg_oncall'),
            ('oncall_ingest',   'hands in alerts, nothing else'),
            ('oncall_operator', 'triages, routes, approves and resolves incidents'),
            ('oncall_admin',    'changes runbooks, tools, policy and thresholds'),
            ('oncall_executor', 'what the actions of pg_oncall run as'),
            ('oncall_observer', 'what the diagnostics of pg_oncall run as')
        ) AS role (name, about)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted.name);
            EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L', wanted.name, 'pg_oncall: ' || wanted.about);
        END IF;
    END LOOP;
END
$$;

GRANT oncall_reader TO oncall_operator, oncall_admin;
GRANT pg_monitor TO oncall_observer;
-- An action must see what it acts on: without this, other roles' sessions have neither state nor age, and a tool that
-- ends idle ones finds none.
GRANT pg_read_all_stats TO oncall_executor;

-- Actions and diagnostics run in processes of their own that log in as these two. Before 17 that takes LOGIN;
-- CONNECTION LIMIT 0 keeps clients out all the same, since it counts clients and no workers.
DO $$
DECLARE
    worker name;
BEGIN
    IF pg_catalog.current_setting('server_version_num')::integer < 170000 THEN
        FOR worker IN SELECT rolname FROM pg_catalog.pg_roles
                      WHERE rolname IN ('oncall_executor', 'oncall_observer') AND NOT rolcanlogin LOOP
            EXECUTE pg_catalog.format('ALTER ROLE %I LOGIN CONNECTION LIMIT 0', worker);
        END LOOP;
    END IF;
END
$$;

-- What the extension itself calls stands apart, so that \df oncall.* is the reference for people.
CREATE SCHEMA oncall_internal;
COMMENT ON SCHEMA oncall IS 'pg_oncall: an on-call engineer that lives inside Postgres';
COMMENT ON SCHEMA oncall_internal IS 'pg_oncall: what the functions of schema oncall are made of; not for calling';
