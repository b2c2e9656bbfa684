-- The tool catalogue: the table, the functions that its templates share, and the built-in tools.
--
-- Needs the schema oncall, nothing else. Who may call what is granted where the roles are made; PUBLIC may nothing.
--
-- Tools that speak to PgBouncer need a foreign server of dblink_fdw and a user mapping for the role that runs them:
--
--   CREATE EXTENSION dblink;
--   CREATE SERVER pgbouncer FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host '127.0.0.1', port '6432', dbname 'pgbouncer');
--   GRANT USAGE ON FOREIGN SERVER pgbouncer TO oncall_executor, oncall_observer;
--   CREATE USER MAPPING FOR oncall_executor SERVER pgbouncer OPTIONS (user 'pgbouncer_admin', password '…');
--   CREATE USER MAPPING FOR oncall_observer SERVER pgbouncer OPTIONS (user 'pgbouncer_stats', password '…');
--
-- Two users, because PgBouncer lets its stats_users look and only its admin_users set. PgBouncer must ask them for the
-- password (auth_type md5 or scram-sha-256, not trust): dblink refuses a role that is no superuser anything else.

CREATE TABLE oncall.tool (
    name       text PRIMARY KEY CHECK (name ~ '^[a-z_][a-z0-9_]{0,62}$'),
    kind       text NOT NULL CHECK (kind IN ('remediation', 'diagnostic')),
    summary    text NOT NULL CHECK (summary <> ''),
    template   text NOT NULL CHECK (template <> ''),
    parameters jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(parameters) = 'object'),
    builtin    boolean NOT NULL DEFAULT false
);

COMMENT ON TABLE oncall.tool IS
    'The tools that a runbook''s steps may name: SQL templates with typed, bounded parameters. Nothing else is ever executed.';
COMMENT ON COLUMN oncall.tool.name IS
    'What a step calls it.';
COMMENT ON COLUMN oncall.tool.kind IS
    'remediation runs as oncall_executor; diagnostic runs as oncall_observer, read-only.';
COMMENT ON COLUMN oncall.tool.summary IS
    'What it does and what it needs, for the person who writes a runbook.';
COMMENT ON COLUMN oncall.tool.template IS
    'One SQL statement. {x} is replaced by the value of parameter x, quoted by its type; {x:literal} by a name as a string; {x:name} by an enum''s word as a quoted name. No slot inside quotes; no semicolon, comment, backslash or dollar sign outside them.';
COMMENT ON COLUMN oncall.tool.parameters IS
    'Name to type: {"type": "integer", "min": 1, "max": 9} | {"type": "enum", "values": [..]} | {"type": "interval", "min": "1 s", "max": "1 h"} | {"type": "identifier"} | {"type": "relation"} | {"type": "columns"}.';
COMMENT ON COLUMN oncall.tool.builtin IS
    'Comes with the extension: an upgrade replaces it. Your own tools say false.';

-- Your own tools are dumped; those that come with the extension come with it again.
SELECT pg_catalog.pg_extension_config_dump('oncall.tool', 'WHERE NOT builtin');

-- Functions that templates, guards and verifies share. Each runs as its caller, with a search_path of its own.

CREATE FUNCTION oncall.dblink_schema() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    found text := (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'dblink');
BEGIN
    IF found IS NULL THEN
        RAISE EXCEPTION 'extension dblink is not installed' USING
            ERRCODE = 'undefined_object',
            DETAIL = 'PgBouncer''s console is reached through a foreign server of dblink_fdw.',
            HINT = 'CREATE EXTENSION dblink, then CREATE SERVER and CREATE USER MAPPING; see the comment of oncall.pgbouncer_pools.';
    END IF;
    RETURN found;
END
$function$;
COMMENT ON FUNCTION oncall.dblink_schema() IS 'The schema that dblink lives in; an error with a hint when it is not installed.';

CREATE FUNCTION oncall.foreign_server(server name) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    -- dblink takes any text that is no server's name for a connection string. A name that is none must end here,
    -- or a parameter could choose the host. has_server_privilege raises 42704 for it.
    IF NOT has_server_privilege(server, 'USAGE') THEN
        RAISE EXCEPTION 'permission denied for foreign server %', server USING
            ERRCODE = 'insufficient_privilege',
            HINT = format('GRANT USAGE ON FOREIGN SERVER %I TO %I', server, current_user);
    END IF;
    RETURN server;
END
$function$;
COMMENT ON FUNCTION oncall.foreign_server(name) IS 'The name back when it is a foreign server that the caller may use, an error when not; never a connection string.';

CREATE FUNCTION oncall.pgbouncer_pools(server name)
RETURNS TABLE (database text, user_name text, cl_active bigint, cl_waiting bigint, sv_active bigint, sv_idle bigint, maxwait_s numeric, pool_mode text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    width integer;
    at integer[];   -- where cl_active, cl_waiting, sv_active, sv_idle, maxwait, maxwait_us and pool_mode stand
BEGIN
    -- SHOW POOLS grew over the years, and dblink wants the exact number of columns: 16 from PgBouncer 1.18,
    -- 17 from 1.24, 13 and 12 before.
    FOREACH width IN ARRAY ARRAY[16, 17, 13, 12] LOOP
        at := CASE width
            WHEN 12 THEN ARRAY[3, 4, 5, 6, 10, 11, 12]
            WHEN 13 THEN ARRAY[3, 4, 6, 7, 11, 12, 13]
            ELSE ARRAY[3, 4, 7, 10, 14, 15, 16] END;
        BEGIN
            RETURN QUERY EXECUTE format(
                'SELECT p.c1, p.c2, p.c%s::bigint, p.c%s::bigint, p.c%s::bigint, p.c%s::bigint, round(p.c%s::numeric + p.c%s::numeric / 1000000, 3), p.c%s'
                ' FROM %I.dblink($1::text, ''SHOW POOLS''::text) AS p(%s)',
                at[1], at[2], at[3], at[4], at[5], at[6], at[7], oncall.dblink_schema(),
                (SELECT string_agg(format('c%s text', i), ', ' ORDER BY i) FROM generate_series(1, width) AS i))
                USING oncall.foreign_server(server);
            RETURN;
        EXCEPTION WHEN datatype_mismatch THEN
            NULL;
        END;
    END LOOP;
    RAISE EXCEPTION 'SHOW POOLS of server % has a form that is not known here', server USING
        ERRCODE = 'feature_not_supported', DETAIL = 'Known are those of PgBouncer 1.12 to 1.25.';
END
$function$;
COMMENT ON FUNCTION oncall.pgbouncer_pools(name) IS
    'PgBouncer''s pools (SHOW POOLS) through a foreign server of dblink_fdw whose dbname is pgbouncer. The user mapping must name one of PgBouncer''s stats_users or admin_users.';

CREATE FUNCTION oncall.pgbouncer_config(server name) RETURNS TABLE (key text, value text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT c.key, c.value FROM %I.dblink($1::text, ''SHOW CONFIG''::text) AS c(key text, value text, initial text, changeable text)',
        oncall.dblink_schema()) USING oncall.foreign_server(server);
END
$function$;
COMMENT ON FUNCTION oncall.pgbouncer_config(name) IS
    'PgBouncer''s settings as they are now (SHOW CONFIG, PgBouncer 1.13 and later), through a foreign server as for pgbouncer_pools.';

CREATE FUNCTION oncall.pgbouncer_set(server name, setting text, value bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    answer text;
BEGIN
    -- PgBouncer's console has no quoting to rely on: only a plain word goes there.
    IF setting !~ '^[a-z_]{1,63}$' THEN
        RAISE EXCEPTION 'not a setting of PgBouncer: %', setting USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT %I.dblink_exec($1::text, $2::text)', oncall.dblink_schema())
        INTO answer USING oncall.foreign_server(server), format('SET %s = %s', setting, value);
    RETURN answer;
END
$function$;
COMMENT ON FUNCTION oncall.pgbouncer_set(name, text, bigint) IS
    'Set a numeric setting of PgBouncer at once, until its next RELOAD or restart, which read pgbouncer.ini again. ROLLBACK does not undo it. The user mapping must name one of PgBouncer''s admin_users.';

CREATE FUNCTION oncall.root_blockers()
RETURNS TABLE (pid integer, waiters bigint, longest_wait interval)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $function$
    WITH RECURSIVE edge AS MATERIALIZED (
        SELECT w.pid AS waiter, b.pid AS blocker,
               statement_timestamp() - coalesce((SELECT min(l.waitstart) FROM pg_locks l WHERE l.pid = w.pid AND NOT l.granted), w.query_start) AS waited
        FROM pg_stat_activity w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b(pid)
        WHERE w.wait_event_type = 'Lock'
    ), chain AS (
        SELECT e.waiter, e.blocker AS root, e.waited FROM edge e
        UNION
        SELECT c.waiter, e.blocker, c.waited FROM chain c JOIN edge e ON e.waiter = c.root
    )
    SELECT c.root, count(DISTINCT c.waiter), max(c.waited)
    FROM chain c
    WHERE NOT EXISTS (SELECT FROM edge e WHERE e.waiter = c.root)
    GROUP BY c.root
$function$;
COMMENT ON FUNCTION oncall.root_blockers() IS
    'Who holds the locks that everybody waits for and waits for nobody: the head of each blocking chain, with the number of sessions behind it and the longest wait. pid 0 is a prepared transaction.';

CREATE FUNCTION oncall.snapshot_holders()
RETURNS TABLE (kind text, name text, pid integer, xid_age integer, since timestamptz)
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT 'session', coalesce(a.usename, a.backend_type)::text, a.pid, greatest(age(a.backend_xmin), age(a.backend_xid)), a.xact_start
    FROM pg_stat_activity a
    WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.pid <> pg_backend_pid()
    UNION ALL
    SELECT 'prepared transaction', p.gid, NULL, age(p.transaction), p.prepared FROM pg_prepared_xacts p
    UNION ALL
    SELECT 'replication slot', s.slot_name::text, s.active_pid, greatest(age(s.xmin), age(s.catalog_xmin)), NULL
    FROM pg_replication_slots s WHERE s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL
$function$;
COMMENT ON FUNCTION oncall.snapshot_holders() IS
    'What keeps vacuum from removing and freezing rows: sessions, prepared transactions and replication slots with an old xmin.';

CREATE FUNCTION oncall.top_statements(how_many integer)
RETURNS TABLE (database name, queryid bigint, calls bigint, total_ms double precision, mean_ms double precision, "rows" bigint, shared_blks_read bigint, query text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    home text := (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements');
BEGIN
    -- A server without pg_stat_statements has no top statements; that is no error in the middle of an incident.
    IF home IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT d.datname, s.queryid, s.calls, s.total_exec_time, s.mean_exec_time, s.rows, s.shared_blks_read, left(s.query, 500)'
        ' FROM %I.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid'
        ' ORDER BY s.total_exec_time DESC LIMIT $1', home) USING how_many;
END
$function$;
COMMENT ON FUNCTION oncall.top_statements(integer) IS
    'The statements that took the most time, from pg_stat_statements wherever it lives; no rows without it.';

REVOKE ALL ON TABLE oncall.tool FROM PUBLIC;
REVOKE ALL ON FUNCTION
    oncall.dblink_schema(), oncall.foreign_server(name), oncall.pgbouncer_pools(name), oncall.pgbouncer_config(name),
    oncall.pgbouncer_set(name, text, bigint), oncall.root_blockers(), oncall.snapshot_holders(), oncall.top_statements(integer)
    FROM PUBLIC;

-- Remediation. Each runs as one top-level statement, so that CONCURRENTLY and VACUUM work.

INSERT INTO oncall.tool (name, kind, summary, template, parameters, builtin) VALUES
('create_index_concurrently', 'remediation',
 'Create an index without blocking writes. Needs ownership of the table. A failure leaves an invalid index of this name: drop it.',
 $sql$CREATE INDEX CONCURRENTLY {index} ON {table} ({columns})$sql$,
 $json${"index": {"type": "identifier"}, "table": {"type": "relation"}, "columns": {"type": "columns"}}$json$, true),

('drop_index_concurrently', 'remediation',
 'Drop an index without blocking reads or writes of its table. Needs ownership of the table.',
 $sql$DROP INDEX CONCURRENTLY IF EXISTS {index}$sql$,
 $json${"index": {"type": "relation"}}$json$, true),

('reindex_concurrently', 'remediation',
 'Build an index anew without blocking writes. Needs ownership of the table, and room for a second copy of the index.',
 $sql$REINDEX INDEX CONCURRENTLY {index}$sql$,
 $json${"index": {"type": "relation"}}$json$, true),

('vacuum_analyze', 'remediation',
 'Remove the dead rows of a table and refresh its statistics. Blocks neither reads nor writes.',
 $sql$VACUUM (ANALYZE) {table}$sql$,
 $json${"table": {"type": "relation"}}$json$, true),

('vacuum_freeze_database', 'remediation',
 'Freeze the old rows of every table of this database that the executor owns, so that its transaction ids can be used again. Long, and heavy on reads.',
 $sql$VACUUM (FREEZE, SKIP_LOCKED)$sql$,
 $json${}$json$, true),

('set_table_autovacuum', 'remediation',
 'Set how large a part of a table may be dead before autovacuum comes for it. Needs ownership of the table.',
 $sql$ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = {scale_factor})$sql$,
 $json${"table": {"type": "relation"}, "scale_factor": {"type": "enum", "values": ["0.2", "0.1", "0.05", "0.02", "0.01", "0.005"]}}$json$, true),

('reset_table_autovacuum', 'remediation',
 'Undo set_table_autovacuum: the table follows the server''s setting again.',
 $sql$ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor)$sql$,
 $json${"table": {"type": "relation"}}$json$, true),

('pgbouncer_set', 'remediation',
 'Set a number in PgBouncer at once. Its next RELOAD or restart reads pgbouncer.ini again and undoes it.',
 $sql$SELECT oncall.pgbouncer_set({server:literal}, {setting}, {value})$sql$,
 $json${"server": {"type": "identifier"}, "value": {"type": "integer", "min": 0, "max": 10000},
   "setting": {"type": "enum", "values": ["default_pool_size", "min_pool_size", "reserve_pool_size", "max_db_connections", "max_user_connections", "max_client_conn", "query_wait_timeout"]}}$json$, true),

('cancel_query', 'remediation',
 'Cancel the statement that a client''s session runs, if it has run this long. The transaction of that client fails. Needs pg_signal_backend, or membership in the session''s role.',
 $sql$SELECT a.pid, pg_catalog.pg_cancel_backend(a.pid) FROM pg_catalog.pg_stat_activity AS a
 WHERE a.pid = {pid} AND a.backend_type = 'client backend' AND a.state = 'active'
   AND a.query_start < pg_catalog.statement_timestamp() - {min_runtime}::pg_catalog.interval$sql$,
 $json${"pid": {"type": "integer", "min": 1, "max": 2147483647}, "min_runtime": {"type": "interval", "min": "1 s", "max": "1 d"}}$json$, true),

('terminate_root_blocker', 'remediation',
 'End the one session that holds the locks most others wait for. Its transaction is rolled back and its client loses the connection. Needs pg_signal_backend, or membership in the session''s role.',
 $sql$WITH worst AS MATERIALIZED (
   SELECT r.pid FROM oncall.root_blockers() AS r JOIN pg_catalog.pg_stat_activity AS a ON a.pid = r.pid
   WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
     AND r.waiters >= {min_waiters} AND r.longest_wait >= {min_wait}::pg_catalog.interval
   ORDER BY r.waiters DESC, r.longest_wait DESC LIMIT 1)
 SELECT w.pid, pg_catalog.pg_terminate_backend(w.pid) FROM worst AS w$sql$,
 $json${"min_waiters": {"type": "integer", "min": 1, "max": 1000}, "min_wait": {"type": "interval", "min": "1 s", "max": "1 d"}}$json$, true),

('terminate_idle_in_transaction', 'remediation',
 'End client sessions of this database that sit idle inside a transaction. Their transactions are rolled back and their clients lose the connection. A superuser''s are left alone. Needs pg_signal_backend, or membership in the sessions'' roles.',
 $sql$WITH idle AS MATERIALIZED (
   SELECT a.pid FROM pg_catalog.pg_stat_activity AS a
   WHERE a.datname = pg_catalog.current_database() AND a.backend_type = 'client backend'
     AND a.state LIKE 'idle in transaction%' AND a.pid <> pg_catalog.pg_backend_pid()
     AND a.state_change < pg_catalog.statement_timestamp() - {min_idle}::pg_catalog.interval
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = a.usesysid AND r.rolsuper)
   ORDER BY a.xact_start LIMIT {max_sessions})
 SELECT i.pid, pg_catalog.pg_terminate_backend(i.pid) FROM idle AS i$sql$,
 $json${"min_idle": {"type": "interval", "min": "10 s", "max": "1 d"}, "max_sessions": {"type": "integer", "min": 1, "max": 1000}}$json$, true),

('terminate_oldest_snapshot', 'remediation',
 'End the one client session whose snapshot is oldest and holds vacuum back. Its transaction is rolled back and its client loses the connection. Needs pg_signal_backend, or membership in the session''s role.',
 $sql$WITH oldest AS MATERIALIZED (
   SELECT h.pid FROM oncall.snapshot_holders() AS h JOIN pg_catalog.pg_stat_activity AS a ON a.pid = h.pid
   WHERE h.kind = 'session' AND a.backend_type = 'client backend' AND h.xid_age >= {min_xid_age}
   ORDER BY h.xid_age DESC LIMIT 1)
 SELECT o.pid, pg_catalog.pg_terminate_backend(o.pid) FROM oldest AS o$sql$,
 $json${"min_xid_age": {"type": "integer", "min": 1000000, "max": 2000000000}}$json$, true),

('terminate_lagging_walsender', 'remediation',
 'End the connection of the standby that is furthest behind, so that it connects afresh. Nothing is lost; a synchronous standby delays commits meanwhile.',
 $sql$WITH worst AS MATERIALIZED (
   SELECT r.pid FROM pg_catalog.pg_stat_replication AS r
   WHERE r.state = 'streaming'
     AND pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.flush_lsn) >= {min_lag_mb}::pg_catalog.numeric * 1048576
   ORDER BY r.flush_lsn LIMIT 1)
 SELECT w.pid, pg_catalog.pg_terminate_backend(w.pid) FROM worst AS w$sql$,
 $json${"min_lag_mb": {"type": "integer", "min": 1, "max": 10000000}}$json$, true),

('drop_inactive_replication_slot', 'remediation',
 'Drop the one inactive replication slot that holds back the most WAL. Whoever used it must be built anew. Needs REPLICATION.',
 $sql$WITH worst AS MATERIALIZED (
   SELECT s.slot_name FROM pg_catalog.pg_replication_slots AS s
   WHERE NOT s.active AND NOT s.temporary
     AND pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn) >= {min_retained_mb}::pg_catalog.numeric * 1048576
   ORDER BY s.restart_lsn LIMIT 1)
 SELECT w.slot_name, pg_catalog.pg_drop_replication_slot(w.slot_name) FROM worst AS w$sql$,
 $json${"min_retained_mb": {"type": "integer", "min": 1, "max": 10000000}}$json$, true),

('set_role_setting', 'remediation',
 'Give a role a timeout, for its sessions from now on. Needs the right to ALTER ROLE.',
 $sql$ALTER ROLE {role} SET {setting:name} = {value}$sql$,
 $json${"role": {"type": "identifier"}, "value": {"type": "interval", "min": "100 ms", "max": "1 d"},
   "setting": {"type": "enum", "values": ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]}}$json$, true),

('reset_role_setting', 'remediation',
 'Undo set_role_setting: the role follows the server''s setting again.',
 $sql$ALTER ROLE {role} RESET {setting:name}$sql$,
 $json${"role": {"type": "identifier"},
   "setting": {"type": "enum", "values": ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]}}$json$, true),

('pause_writes', 'remediation',
 'Make every new session of a database read-only by default. Sessions that are there already go on writing. Needs ownership of the database.',
 $sql$ALTER DATABASE {database} SET default_transaction_read_only = on$sql$,
 $json${"database": {"type": "identifier"}}$json$, true),

('resume_writes', 'remediation',
 'Undo pause_writes.',
 $sql$ALTER DATABASE {database} RESET default_transaction_read_only$sql$,
 $json${"database": {"type": "identifier"}}$json$, true);

-- Diagnostics. They only read, and each has a LIMIT.

INSERT INTO oncall.tool (name, kind, summary, template, parameters, builtin) VALUES
('activity_by_state', 'diagnostic',
 'Client sessions by database, state and what they wait for, with the age of the oldest transaction.',
 $sql$SELECT a.datname, a.state, a.wait_event_type, pg_catalog.count(*) AS sessions,
   pg_catalog.max(pg_catalog.statement_timestamp() - a.xact_start) AS oldest_transaction,
   pg_catalog.max(pg_catalog.statement_timestamp() - a.state_change) AS longest_in_state
 FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_type = 'client backend'
 GROUP BY a.datname, a.state, a.wait_event_type ORDER BY sessions DESC LIMIT 50$sql$,
 $json${}$json$, true),

('long_transactions', 'diagnostic',
 'The oldest open transactions, with what they run.',
 $sql$SELECT a.pid, a.datname, a.usename, a.application_name, a.state,
   pg_catalog.statement_timestamp() - a.xact_start AS transaction_age,
   pg_catalog.statement_timestamp() - a.state_change AS in_state, pg_catalog.left(a.query, 200) AS query
 FROM pg_catalog.pg_stat_activity AS a WHERE a.xact_start IS NOT NULL AND a.backend_type = 'client backend'
 ORDER BY a.xact_start LIMIT 20$sql$,
 $json${}$json$, true),

('blockers', 'diagnostic',
 'The heads of the blocking chains: who they are, what they run, how many sessions wait behind them.',
 $sql$SELECT r.pid, r.waiters, r.longest_wait, a.usename, a.application_name, a.backend_type, a.state,
   pg_catalog.statement_timestamp() - a.xact_start AS transaction_age, pg_catalog.left(a.query, 200) AS query
 FROM oncall.root_blockers() AS r LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = r.pid
 ORDER BY r.waiters DESC LIMIT 20$sql$,
 $json${}$json$, true),

('lock_waits', 'diagnostic',
 'Sessions that wait for a lock: which relation, since when, behind whom.',
 $sql$SELECT l.pid, l.locktype, l.mode, n.nspname, c.relname, pg_catalog.statement_timestamp() - l.waitstart AS waited,
   pg_catalog.pg_blocking_pids(l.pid) AS behind, pg_catalog.left(a.query, 200) AS query
 FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
 LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND a.datname = pg_catalog.current_database()
 LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE NOT l.granted ORDER BY l.waitstart LIMIT 50$sql$,
 $json${}$json$, true),

('top_statements', 'diagnostic',
 'The statements that took the most time, from pg_stat_statements; no rows without that extension.',
 $sql$SELECT t.database, t.queryid, t.calls, t.total_ms, t.mean_ms, t.rows, t.shared_blks_read, t.query
 FROM oncall.top_statements(20) AS t LIMIT 20$sql$,
 $json${}$json$, true),

('table_scans', 'diagnostic',
 'Tables by rows read in sequential scans, with the age of their statistics: a missing index, or stale statistics.',
 $sql$SELECT t.schemaname, t.relname, t.seq_scan, t.seq_tup_read, t.idx_scan, t.n_live_tup, t.n_mod_since_analyze,
   GREATEST(t.last_analyze, t.last_autoanalyze) AS last_analyze
 FROM pg_catalog.pg_stat_user_tables AS t ORDER BY t.seq_tup_read DESC LIMIT 30$sql$,
 $json${}$json$, true),

('table_bloat', 'diagnostic',
 'Tables by dead rows, with when vacuum last came and the size. Dead rows are an estimate of bloat, not a measurement.',
 $sql$SELECT t.schemaname, t.relname, t.n_live_tup, t.n_dead_tup,
   pg_catalog.round(100.0 * t.n_dead_tup / NULLIF(t.n_live_tup + t.n_dead_tup, 0), 1) AS dead_percent,
   t.last_vacuum, t.last_autovacuum, t.autovacuum_count, pg_catalog.pg_total_relation_size(t.relid) AS bytes
 FROM pg_catalog.pg_stat_user_tables AS t ORDER BY t.n_dead_tup DESC LIMIT 30$sql$,
 $json${}$json$, true),

('vacuum_progress', 'diagnostic',
 'Vacuums that run now, and how far they are.',
 $sql$SELECT p.pid, p.datname, n.nspname, c.relname, p.phase, p.heap_blks_total, p.heap_blks_scanned, p.heap_blks_vacuumed, p.index_vacuum_count,
   pg_catalog.statement_timestamp() - a.xact_start AS running
 FROM pg_catalog.pg_stat_progress_vacuum AS p JOIN pg_catalog.pg_stat_activity AS a ON a.pid = p.pid
 LEFT JOIN pg_catalog.pg_class AS c ON c.oid = p.relid AND p.datname = pg_catalog.current_database()
 LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 ORDER BY running DESC LIMIT 20$sql$,
 $json${}$json$, true),

('invalid_indexes', 'diagnostic',
 'Indexes that a failed CREATE INDEX CONCURRENTLY or REINDEX left behind: they cost writes and serve no query.',
 $sql$SELECT n.nspname, c.relname AS index, t.relname AS on_table, i.indisready, pg_catalog.pg_relation_size(c.oid) AS bytes
 FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
 JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid ORDER BY bytes DESC LIMIT 50$sql$,
 $json${}$json$, true),

('replication', 'diagnostic',
 'Standbys and how far each is behind, in bytes and in time.',
 $sql$SELECT r.pid, r.application_name, r.client_addr, r.state, r.sync_state,
   pg_catalog.pg_wal_lsn_diff(w.now, r.sent_lsn) AS unsent_bytes, pg_catalog.pg_wal_lsn_diff(w.now, r.flush_lsn) AS unflushed_bytes,
   pg_catalog.pg_wal_lsn_diff(w.now, r.replay_lsn) AS unreplayed_bytes, r.replay_lag, r.reply_time
 FROM pg_catalog.pg_stat_replication AS r,
   (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END) AS w(now)
 ORDER BY unreplayed_bytes DESC LIMIT 50$sql$,
 $json${}$json$, true),

('replication_slots', 'diagnostic',
 'Replication slots, and how much WAL each holds back.',
 $sql$SELECT s.slot_name, s.slot_type, s.database, s.active, s.wal_status, s.safe_wal_size,
   pg_catalog.pg_wal_lsn_diff(w.now, s.restart_lsn) AS retained_bytes,
   pg_catalog.age(s.xmin) AS xmin_age, pg_catalog.age(s.catalog_xmin) AS catalog_xmin_age
 FROM pg_catalog.pg_replication_slots AS s,
   (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END) AS w(now)
 ORDER BY retained_bytes DESC NULLS LAST LIMIT 50$sql$,
 $json${}$json$, true),

('archiver_and_wal', 'diagnostic',
 'Archiving, the last checkpoint and the size of pg_wal on one row. Needs pg_monitor for the directories.',
 $sql$SELECT a.archived_count, a.last_archived_wal, a.last_archived_time, a.failed_count, a.last_failed_wal, a.last_failed_time,
   (SELECT pg_catalog.count(*) FROM pg_catalog.pg_ls_archive_statusdir() AS f WHERE f.name LIKE '%.ready') AS files_to_archive,
   (SELECT pg_catalog.sum(f.size) FROM pg_catalog.pg_ls_waldir() AS f) AS wal_bytes,
   (SELECT c.checkpoint_time FROM pg_catalog.pg_control_checkpoint() AS c) AS last_checkpoint,
   pg_catalog.current_setting('max_wal_size') AS max_wal_size, pg_catalog.current_setting('wal_keep_size') AS wal_keep_size,
   pg_catalog.current_setting('max_slot_wal_keep_size') AS max_slot_wal_keep_size
 FROM pg_catalog.pg_stat_archiver AS a LIMIT 1$sql$,
 $json${}$json$, true),

('database_sizes', 'diagnostic',
 'Databases by size, with the age of their oldest transaction id.',
 $sql$SELECT d.datname, pg_catalog.pg_database_size(d.oid) AS bytes, pg_catalog.age(d.datfrozenxid) AS xid_age,
   pg_catalog.mxid_age(d.datminmxid) AS multixact_age
 FROM pg_catalog.pg_database AS d WHERE d.datallowconn ORDER BY bytes DESC LIMIT 50$sql$,
 $json${}$json$, true),

('relation_sizes', 'diagnostic',
 'The largest tables of this database, with the part that is indexes.',
 $sql$SELECT n.nspname, c.relname, pg_catalog.pg_total_relation_size(c.oid) AS total_bytes, pg_catalog.pg_indexes_size(c.oid) AS index_bytes
 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') ORDER BY total_bytes DESC LIMIT 30$sql$,
 $json${}$json$, true),

('table_xid_age', 'diagnostic',
 'Tables of this database by the age of their oldest unfrozen transaction id.',
 $sql$SELECT n.nspname, c.relname, pg_catalog.age(c.relfrozenxid) AS xid_age, pg_catalog.mxid_age(c.relminmxid) AS multixact_age,
   pg_catalog.pg_table_size(c.oid) AS bytes
 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 't') ORDER BY xid_age DESC LIMIT 30$sql$,
 $json${}$json$, true),

('snapshot_holders', 'diagnostic',
 'What holds vacuum back: sessions, prepared transactions and replication slots with an old xmin.',
 $sql$SELECT h.kind, h.name, h.pid, h.xid_age, h.since FROM oncall.snapshot_holders() AS h ORDER BY h.xid_age DESC NULLS LAST LIMIT 30$sql$,
 $json${}$json$, true),

('pgbouncer_pools', 'diagnostic',
 'PgBouncer''s pools: clients active and waiting, servers active and idle, the longest wait.',
 $sql$SELECT p.database, p.user_name, p.cl_active, p.cl_waiting, p.sv_active, p.sv_idle, p.maxwait_s, p.pool_mode
 FROM oncall.pgbouncer_pools({server:literal}) AS p ORDER BY p.cl_waiting DESC LIMIT 50$sql$,
 $json${"server": {"type": "identifier"}}$json$, true),

('pgbouncer_config', 'diagnostic',
 'PgBouncer''s settings that bound its connections.',
 $sql$SELECT c.key, c.value FROM oncall.pgbouncer_config({server:literal}) AS c
 WHERE c.key IN ('pool_mode', 'default_pool_size', 'min_pool_size', 'reserve_pool_size', 'reserve_pool_timeout', 'max_client_conn',
   'max_db_connections', 'max_user_connections', 'query_wait_timeout', 'idle_transaction_timeout', 'server_idle_timeout')
 ORDER BY c.key LIMIT 50$sql$,
 $json${"server": {"type": "identifier"}}$json$, true),

('settings', 'diagnostic',
 'The server''s settings that decide about connections, memory, WAL, vacuum and timeouts.',
 $sql$SELECT s.name, s.setting, s.unit, s.source, s.pending_restart FROM pg_catalog.pg_settings AS s
 WHERE s.name IN ('max_connections', 'superuser_reserved_connections', 'shared_buffers', 'work_mem', 'maintenance_work_mem', 'max_wal_size', 'min_wal_size',
   'wal_keep_size', 'max_slot_wal_keep_size', 'archive_mode', 'archive_command', 'archive_timeout', 'checkpoint_timeout', 'checkpoint_completion_target',
   'autovacuum', 'autovacuum_max_workers', 'autovacuum_naptime', 'autovacuum_vacuum_scale_factor', 'autovacuum_vacuum_cost_delay', 'autovacuum_vacuum_cost_limit',
   'autovacuum_freeze_max_age', 'vacuum_failsafe_age', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'deadlock_timeout',
   'hot_standby_feedback', 'max_standby_streaming_delay', 'synchronous_standby_names', 'default_transaction_read_only')
 ORDER BY s.name LIMIT 50$sql$,
 $json${}$json$, true);
