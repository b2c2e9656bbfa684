//! What runs as the roles of actions and diagnostics does what it was let to do, and nothing else.
//!
//! A diagnostic, a guard and a verify run in a process that logged in as `oncall_observer`; `oncall.try_guard()` hands
//! such a process any query. Here these queries are attacks.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{backend_pid, background, bare, code, number, refused, told, until};
use pg_test::{Cluster, Options};
use postgres::Client;
use serde_json::Value;

/// Attacks on SQL gates that were published against tools of this kind, and legitimate queries which such gates refused.
/// Names stand with their schema, since an executor finds none without.
const ATTACKS: &str = include_str!("../data/attacks_sql.jsonl");

const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall executor'";

fn world() -> Cluster {
    let cluster = bare(&Options::default().set("max_prepared_transactions", "2"));
    let mut client = cluster.client().unwrap();
    let others =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    until("the session that made it is gone", || number(&mut client, others) == 0);
    client
        .batch_execute(
            "CREATE TABLE users (id int PRIMARY KEY, email text);
             INSERT INTO users SELECT i, 'user' || i || '@example.com' FROM generate_series(1, 100) AS i;
             CREATE TABLE orders (id int); INSERT INTO orders VALUES (1);
             CREATE SEQUENCE tickets;
             CREATE FUNCTION do_cleanup() RETURNS void LANGUAGE sql VOLATILE AS 'DELETE FROM public.users';
             CREATE FUNCTION as_owner() RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER AS 'DELETE FROM public.users';
             CREATE FUNCTION unlocked() RETURNS void LANGUAGE plpgsql AS $$
                 BEGIN SET TRANSACTION READ WRITE; DELETE FROM public.users; END $$;
             GRANT ALL ON ALL TABLES IN SCHEMA public TO oncall_observer;
             GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO oncall_observer",
        )
        .unwrap();
    // Sessions are counted below, and one that has ended stays for a moment.
    let session = format!("/proc/{}", backend_pid(&mut client));
    drop(client);
    until("this session is gone", || !Path::new(&session).exists());
    cluster
}

/// Everything that an attack of the list would leave behind.
fn state(client: &mut Client) -> String {
    let sql = "SELECT concat_ws(E'\\n',
        (SELECT md5(string_agg(u::text, ',' ORDER BY id)) FROM public.users AS u),
        (SELECT count(*) FROM public.orders),
        (SELECT string_agg(c::regclass::text, ',' ORDER BY c) FROM (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) AS t (c)),
        (SELECT last_value || ' ' || is_called FROM public.tickets),
        (SELECT string_agg(n.nspname, ',' ORDER BY 1) FROM pg_namespace AS n WHERE nspname NOT LIKE 'pg_t%'),
        (SELECT string_agg(p.proname, ',' ORDER BY 1) FROM pg_proc AS p WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')),
        (SELECT count(*) FROM pg_largeobject_metadata),
        (SELECT string_agg(r::text, ',' ORDER BY r.rolname) FROM pg_roles AS r),
        (SELECT string_agg(s::text, ',') FROM pg_db_role_setting AS s),
        (SELECT string_agg(m::text, ',' ORDER BY m::text) FROM pg_auth_members AS m),
        (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_replication_origin),
        (SELECT count(*) FROM pg_prepared_xacts), (SELECT count(*) FROM pg_ls_dir('pg_snapshots')),
        (SELECT count(*) FROM pg_locks WHERE locktype IN ('advisory', 'tuple')),
        pg_conf_load_time(), (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
        (SELECT count(*) FROM oncall.incident_audit), (SELECT count(*) FROM oncall.router_policy))";
    client.query_one(sql, &[]).unwrap().get(0)
}

fn try_guard(client: &mut Client, sql: &str) -> Result<Vec<Value>, postgres::Error> {
    let rows = client.query("SELECT * FROM oncall.try_guard($1)", &[&sql])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Assert that a guard is refused with this SQLSTATE; what the server said.
fn guard_refused(client: &mut Client, sql: &str, sqlstate: &str) -> String {
    match try_guard(client, sql) {
        Ok(rows) => panic!("should have been refused: {sql}: {rows:?}"),
        Err(error) => {
            assert_eq!(code(&error), sqlstate, "{sql}: {}", told(&error));
            told(&error)
        }
    }
}

#[test]
fn no_published_attack_changes_anything_that_outlives_it_and_what_is_legitimate_works() {
    let cluster = world();
    let mut watch = cluster.client().unwrap();
    let mut attacker = cluster.client().unwrap();
    // Those that would sleep for years are left alone after a moment: then the process goes too.
    attacker.batch_execute("SET statement_timeout = '3s'").unwrap();
    let before = state(&mut watch);
    let (mut attacks, mut controls) = (0, 0);
    for line in ATTACKS.lines() {
        let attack: Value = serde_json::from_str(line).expect("a line is a JSON object");
        let sql = attack["sql"].as_str().expect("an attack has its SQL");
        let outcome = try_guard(&mut attacker, sql);
        if attack["expected"] == "allow" {
            controls += 1;
            assert!(outcome.is_ok(), "{}: {sql}: {}", attack["id"], told(&outcome.unwrap_err()));
        } else {
            attacks += 1;
        }
        until("the executor is gone", || number(&mut watch, RUNNING) == 0);
        assert_eq!(state(&mut watch), before, "{}: {sql} left something behind", attack["id"]);
    }
    assert_eq!((attacks, controls), (62, 12));
}

#[test]
fn a_guard_cannot_write_whatever_it_calls() {
    let cluster = world();
    let mut client = cluster.client().unwrap();
    let before = state(&mut client);
    for (sql, sqlstate) in [
        ("SELECT public.do_cleanup()", "25006"),
        ("SELECT public.as_owner()", "25006"),
        ("SELECT nextval('public.tickets')", "25006"),
        ("SELECT setval('public.tickets', 7)", "25006"),
        // The snapshot is there before the query: nothing makes the transaction writable any more.
        ("SELECT public.unlocked()", "25001"),
        ("SELECT set_config('transaction_read_only', 'off', false), public.do_cleanup()", "25001"),
        ("SELECT set_config('default_transaction_read_only', 'off', false), public.do_cleanup()", "25006"),
        ("SELECT * FROM public.users FOR UPDATE", "0A000"),
        ("SELECT * INTO public.leaked FROM public.users", "0A000"),
        ("WITH gone AS (DELETE FROM public.users RETURNING 1) SELECT count(*) FROM gone", "0A000"),
        ("DELETE FROM public.users", "0A000"),
        ("EXPLAIN ANALYZE DELETE FROM public.users", "0A000"),
        ("COPY (SELECT 1) TO PROGRAM 'true'", "0A000"),
        ("CALL public.do_cleanup()", "0A000"),
        ("DO 'BEGIN DELETE FROM public.users; END'", "0A000"),
        ("SELECT 1; DELETE FROM public.users", "0A000"),
        ("COMMIT; DELETE FROM public.users", "0A000"),
        ("", "0A000"),
        ("SELECT", "never"),
    ] {
        if sqlstate == "never" {
            assert!(try_guard(&mut client, sql).is_ok(), "{sql}");
        } else {
            guard_refused(&mut client, sql, sqlstate);
        }
        assert_eq!(state(&mut client), before, "{sql}");
    }
}

#[test]
fn what_a_read_only_transaction_allows_is_rolled_back() {
    let cluster = world();
    let mut client = cluster.client().unwrap();
    let mut listener = cluster.client().unwrap();
    listener.batch_execute("LISTEN news").unwrap();
    for sql in [
        "SELECT pg_notify('news', 'from a guard')",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_logical_emit_message(true, 'p', 'msg')",
        "SELECT pg_export_snapshot()",
        "SELECT lo_from_bytea(0, 'x')",
    ] {
        let before = state(&mut client);
        let _ = try_guard(&mut client, sql);
        until("the executor is gone", || number(&mut client, RUNNING) == 0);
        assert_eq!(state(&mut client), before, "{sql}");
    }
    client.batch_execute("NOTIFY news, 'the only one'").unwrap();
    let heard = {
        use postgres::fallible_iterator::FallibleIterator;
        let mut notifications = listener.notifications();
        let mut waiting = notifications.timeout_iter(Duration::from_secs(10));
        waiting.next().unwrap().expect("a notification").payload().to_owned()
    };
    assert_eq!(heard, "the only one");
}

#[test]
fn a_query_that_runs_away_ends_by_itself_and_nobody_else_notices() {
    let cluster = world();
    let mut client = cluster.client().unwrap();
    for sql in [
        "SELECT repeat(repeat(repeat('x', 1000), 1000), 1000)",
        "SELECT lpad('x', 500000000)",
        "SELECT length(a::text) FROM (SELECT array_agg(repeat('x', 1000000)) AS a FROM generate_series(1, 2000)) AS t",
    ] {
        let said = guard_refused_by(&mut client, sql, &["53200", "54000"]);
        assert!(!said.contains("terminat"), "{said}");
    }
    // Rows beyond the room in the mailbox are left out, and it is said.
    let rows = try_guard(&mut client, "SELECT i FROM generate_series(1, 1000000) AS i").unwrap();
    assert!((100..=1000).contains(&rows.len()), "{} rows", rows.len());
    assert_eq!(rows[0], serde_json::json!({ "i": 1 }));
    let rows = try_guard(&mut client, "SELECT true, false, 1 AS a, 2 AS a").unwrap();
    assert_eq!(rows[0].as_object().unwrap().len(), 4, "no column is lost to another of its name: {rows:?}");
    let rows = try_guard(&mut client, "SELECT repeat('x', 100000) AS long").unwrap();
    let long = rows[0]["long"].as_str().unwrap();
    assert!(long.ends_with("… (100000 characters)") && long.len() < 1000, "{long}");
}

fn guard_refused_by(client: &mut Client, sql: &str, any_of: &[&str]) -> String {
    let error = try_guard(client, sql).expect_err(sql);
    assert!(any_of.contains(&code(&error)), "{sql}: {}", told(&error));
    told(&error)
}

#[test]
fn a_guard_sees_nothing_of_what_belongs_to_pg_oncall() {
    let cluster = world();
    let mut client = cluster.client().unwrap();
    let tables: Vec<String> = client
        .query("SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'oncall'::regnamespace AND relkind IN ('r', 'p', 'v')", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(tables.len() > 8, "{tables:?}");
    for table in tables {
        let said = guard_refused(&mut client, &format!("SELECT * FROM {table}"), "42501");
        assert!(said.contains("TO oncall_observer"), "the hint names the GRANT: {said}");
    }
    for sql in [
        "SELECT oncall.handle_alert('x'::text)",
        "SELECT oncall_internal.route('INC-0001')",
        "SELECT oncall_internal.wake()",
        "SELECT oncall_internal.run_diagnostic('blockers', '{}')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/etc')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_reload_conf()",
        "SELECT rolpassword FROM pg_authid",
        "SELECT set_config('role', 'postgres', false)",
        "SELECT set_config('session_authorization', 'postgres', false)",
    ] {
        guard_refused(&mut client, sql, "42501");
    }
}

#[test]
fn an_executor_is_ended_by_a_superuser_and_by_no_other_executor() {
    let cluster = world();
    let mut client = cluster.client().unwrap();
    let mut other = cluster.client().unwrap();
    client.batch_execute("GRANT pg_signal_backend TO oncall_observer").unwrap();
    let victim = background(move || try_guard(&mut other, "SELECT pg_sleep(3), true AS unharmed"));
    until("it runs", || number(&mut client, RUNNING) == 1);
    for function in ["pg_terminate_backend", "pg_cancel_backend"] {
        let sql = format!(
            "SELECT {function}(pid) FROM pg_stat_activity WHERE backend_type = 'pg_oncall executor' AND pid <> pg_backend_pid()"
        );
        let said = guard_refused(&mut client, &sql, "42501");
        assert!(said.contains("No GRANT allows it"), "{said}");
    }
    assert_eq!(victim.result().unwrap()[0]["unharmed"], true);

    let mut other = cluster.client().unwrap();
    let victim = background(move || try_guard(&mut other, "SELECT pg_sleep(30)"));
    until("it runs", || number(&mut client, RUNNING) == 1);
    client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_oncall executor'",
        )
        .unwrap();
    let error = victim.result().unwrap_err();
    assert_eq!(code(&error), "57P01", "{}", told(&error));
    assert_eq!(number(&mut client, "SELECT 1::bigint"), 1, "nobody else has noticed");
}

#[test]
fn no_setting_of_the_role_reaches_the_executor() {
    let cluster = world();
    let mut client = cluster.client().unwrap();
    client
        .batch_execute(
            "CREATE SCHEMA evil;
             CREATE FUNCTION evil.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT -1::bigint';
             GRANT USAGE ON SCHEMA evil TO oncall_observer;
             ALTER ROLE oncall_observer SET search_path = evil, pg_catalog;
             ALTER ROLE oncall_observer SET default_transaction_read_only = off;
             ALTER ROLE oncall_observer SET statement_timeout = '1ms';
             ALTER ROLE oncall_observer SET lock_timeout = '1ms';
             ALTER ROLE oncall_observer SET idle_in_transaction_session_timeout = '1ms';
             ALTER ROLE oncall_observer SET standard_conforming_strings = off;
             ALTER ROLE oncall_observer SET transform_null_equals = on;
             ALTER ROLE oncall_observer SET work_mem = '4GB';
             ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'",
        )
        .unwrap();
    let sql = "SELECT count(1), current_setting('search_path') AS path, current_setting('transaction_read_only') AS read_only,
                   current_setting('transaction_isolation') AS isolation, current_setting('lock_timeout') AS lock_timeout,
                   current_setting('work_mem') AS work_mem, (NULL = NULL) IS NULL AS nulls_differ, length('\\') AS backslash,
                   session_user AS who, current_user AS as_whom, current_setting('is_superuser') AS super";
    let rows = try_guard(&mut client, sql).unwrap_or_else(|error| panic!("{}", told(&error)));
    let expected = serde_json::json!({
        "count": 1, "path": "pg_catalog, pg_temp", "read_only": "on", "isolation": "read committed", "lock_timeout": "2s",
        "work_mem": "16MB", "nulls_differ": true, "backslash": 1, "who": "oncall_observer", "as_whom": "oncall_observer",
        "super": "off",
    });
    assert_eq!(rows, [expected]);
}

#[test]
fn the_roles_of_the_workers_let_no_client_in_and_a_login_that_fails_says_what_to_do() {
    let cluster = world();
    let mut client = cluster.client().unwrap();
    for role in ["oncall_executor", "oncall_observer"] {
        let error = cluster.client_as(role, "postgres").err().unwrap_or_else(|| panic!("{role} logged in"));
        let said = error.to_string();
        assert!(said.contains("too many connections for role") || said.contains("not permitted to log in"), "{said}");
    }
    assert_eq!(try_guard(&mut client, "SELECT 1 AS one").unwrap()[0]["one"], 1);

    if number(&mut client, "SELECT current_setting('server_version_num')::bigint") < 170_000 {
        client.batch_execute("ALTER ROLE oncall_observer NOLOGIN").unwrap();
        let said = guard_refused(&mut client, "SELECT 1", "28000");
        assert!(said.contains("ALTER ROLE oncall_observer LOGIN CONNECTION LIMIT 0"), "{said}");
        client.batch_execute("ALTER ROLE oncall_observer LOGIN").unwrap();
    }
    client.batch_execute("ALTER ROLE oncall_observer SUPERUSER").unwrap();
    let said = guard_refused(&mut client, "SELECT 1", "42501");
    assert!(said.contains("must not be one"), "{said}");
    client.batch_execute("ALTER ROLE oncall_observer NOSUPERUSER").unwrap();
    assert!(try_guard(&mut client, "SELECT 1").is_ok());
}

#[test]
fn a_wait_that_is_cancelled_ends_at_once_and_takes_its_executor_along() {
    let cluster = world();
    let mut watch = cluster.client().unwrap();
    // More of them than there are mailboxes: each must have been given back.
    for round in 0..70 {
        let mut client = cluster.client().unwrap();
        client.batch_execute("SET statement_timeout = '60ms'").unwrap();
        let began = Instant::now();
        let error = try_guard(&mut client, "SELECT pg_sleep(20)").unwrap_err();
        assert_eq!(code(&error), "57014", "{}", told(&error));
        assert!(began.elapsed() < Duration::from_secs(5), "round {round}: {:?}", began.elapsed());
    }
    until("no executor is left", || number(&mut watch, RUNNING) == 0);
    assert!(try_guard(&mut watch, "SELECT 1").is_ok());
}

#[test]
fn an_operator_asks_the_catalogue_and_nothing_else() {
    let cluster = world();
    let mut boss = cluster.client().unwrap();
    boss.batch_execute(
        "CREATE ROLE anna LOGIN IN ROLE oncall_operator; CREATE ROLE otto LOGIN IN ROLE oncall_admin;
         CREATE ROLE rita LOGIN IN ROLE oncall_reader",
    )
    .unwrap();
    let mut operator = cluster.client_as("anna", "postgres").unwrap();
    let tools: Vec<(String, Value)> = boss
        .query("SELECT name, parameters FROM oncall.tool WHERE kind = 'diagnostic' ORDER BY name", &[])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    assert!(tools.len() > 10);
    for (tool, parameters) in tools {
        let needs_server = parameters.get("server").is_some();
        let given = if needs_server { serde_json::json!({"server": "nowhere"}) } else { serde_json::json!({}) };
        let answer = operator.query("SELECT * FROM oncall.run_diagnostic($1, $2)", &[&tool, &given]);
        match answer {
            Ok(_) => assert!(!needs_server, "{tool}"),
            Err(error) => assert_eq!((needs_server, code(&error)), (true, "42704"), "{tool}: {}", told(&error)),
        }
    }
    let rows = operator.query("SELECT * FROM oncall.run_diagnostic('activity_by_state')", &[]).unwrap();
    let states: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    assert!(states.iter().any(|row| row["state"] == "active"), "the observer sees the sessions of others: {states:?}");

    let said =
        refused(&mut operator, "SELECT oncall.run_diagnostic('pause_writes', '{\"database\": \"postgres\"}')", "22023");
    assert!(said.contains("not a diagnostic"), "{said}");
    refused(&mut operator, "SELECT oncall.run_diagnostic('no_such_tool')", "22023");
    refused(&mut operator, "SELECT oncall.try_guard('SELECT 1')", "42501");
    let mut admin = cluster.client_as("otto", "postgres").unwrap();
    assert!(try_guard(&mut admin, "SELECT 1").is_ok());
    let mut reader = cluster.client_as("rita", "postgres").unwrap();
    refused(&mut reader, "SELECT oncall.run_diagnostic('blockers')", "42501");
}
