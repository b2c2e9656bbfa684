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

-- What the extension itself calls stands apart, so that \df oncall.* is the reference for people.
CREATE SCHEMA oncall_internal;
COMMENT ON SCHEMA oncall IS 'pg_oncall: an on-call engineer that lives inside Postgres';
COMMENT ON SCHEMA oncall_internal IS 'pg_oncall: what the functions of schema oncall are made of; not for calling';
