//! Actions run at the top level of a process that logged in as `oncall_executor`: what works, what is refused and what
//! then is said to be missing, and what a failure leaves behind.
//!
//! Every command here comes to its executor as in production: by a tool, a runbook's step and an incident that is treated.

mod common;

use std::thread;
use std::time::Duration;

use common::{background, bare, number, until};
use pg_test::stub_pod::{Behaviour, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;
use serde_json::{Value, json};

/// A server whose workers act, with a shop in it that is somebody else's.
struct Ward {
    cluster: Cluster,
    client: Client,
    _pod: StubPod,
    cases: usize,
}

impl Ward {
    fn open(options: Options) -> Self {
        let pod = StubPod::start(Behaviour::Ok);
        let options = options.workers().set("oncall.autonomy", "on").set("oncall.model_url", &pod.url());
        let cluster = bare(&options.set("oncall.chat_model", "stub-chat"));
        let mut client = cluster.client().unwrap();
        client
            .batch_execute(
                "INSERT INTO oncall.router_policy (max_actions_per_hour, max_repeats_per_hour) VALUES (10000, 10000);
                 CREATE ROLE shop_owner; CREATE ROLE app LOGIN;
                 CREATE SCHEMA shop AUTHORIZATION shop_owner;
                 SET ROLE shop_owner;
                 CREATE TABLE shop.orders (id int, customer int) WITH (autovacuum_enabled = off);
                 INSERT INTO shop.orders SELECT i, i % 10 FROM generate_series(1, 10000) AS i;
                 CREATE INDEX orders_id ON shop.orders (id);
                 RESET ROLE",
            )
            .unwrap();
        Self { cluster, client, _pod: pod, cases: 0 }
    }

    /// Let the owner of the shop in.
    fn grant(&mut self, grants: &str) {
        self.client.batch_execute(grants).unwrap();
    }

    /// Have an incident whose runbook says to do this; its id.
    fn begin(&mut self, sql: &str) -> String {
        self.cases += 1;
        let (case, tool) = (self.cases, format!("case_{}", self.cases));
        self.client
            .execute(
                "INSERT INTO oncall.tool (name, kind, summary, template) VALUES ($1, 'remediation', 'A case.', $2)",
                &[&tool, &sql],
            )
            .unwrap();
        let runbook = format!(
            "---\nid: RB-{}\ntitle: Case {case}\nincident_type: CASE_{case}\nalerts: [Case{case}]\n---\n\n\
             ## Do it\n\nDo case {case}.\n\n```yaml step\ntool: {tool}\ndestructive: false\n```\n",
            900 + case
        );
        self.client.execute("SELECT * FROM oncall.load_runbook($1)", &[&runbook]).unwrap();
        let alert = json!({"text": format!("Case {case}"), "severity": "critical", "labels": {"alertname": format!("Case{case}")}});
        let row = self
            .client
            .query_one("SELECT incident_id, routing_decision FROM oncall.handle_alert($1::jsonb)", &[&alert])
            .unwrap();
        assert_eq!(row.get::<_, Option<String>>(1).as_deref(), Some("autonomous"), "{sql}");
        row.get(0)
    }

    /// What came of the action of an incident.
    fn outcome(&mut self, incident: &str) -> Value {
        let sql =
            "SELECT outcome FROM oncall.incident_step WHERE incident_id = $1 AND kind = 'action' AND status <> 'begun'
                   AND outcome IS NOT NULL";
        let mut found = None;
        until("the action has ended", || {
            found = self.client.query_opt(sql, &[&incident]).unwrap().map(|row| row.get(0));
            thread::sleep(Duration::from_millis(20));
            found.is_some()
        });
        found.expect("it was found just now")
    }

    fn act(&mut self, sql: &str) -> Value {
        let incident = self.begin(sql);
        self.outcome(&incident)
    }

    /// Assert that a command is done; its rows.
    fn done(&mut self, sql: &str) -> Value {
        let mut outcome = self.act(sql);
        assert_eq!(outcome["outcome"], "done", "{sql}: {outcome}");
        outcome["rows"].take()
    }

    /// Assert that a command fails with this SQLSTATE; message, detail and hint.
    fn failed(&mut self, sql: &str, sqlstate: &str) -> String {
        let outcome = self.act(sql);
        assert_eq!(
            (outcome["outcome"].as_str(), outcome["sqlstate"].as_str()),
            (Some("failed"), Some(sqlstate)),
            "{sql}: {outcome}"
        );
        format!("{} | {} | {}", outcome["message"], outcome["detail"], outcome["hint"])
    }

    /// The indexes of the shop, the invalid ones with a mark.
    fn indexes(&mut self) -> Vec<String> {
        let sql = "SELECT indexrelid::regclass || CASE WHEN indisvalid THEN '' ELSE ' invalid' END FROM pg_index
                   WHERE indrelid = 'shop.orders'::regclass ORDER BY 1";
        self.client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// A session of the application that is in the middle of something for so long, and then goes.
    fn busy_for(&self, span: Duration) -> common::Background<()> {
        let mut session = self.cluster.client().unwrap();
        session.batch_execute("BEGIN; INSERT INTO shop.orders VALUES (0, 0)").unwrap();
        background(move || {
            thread::sleep(span);
            session.batch_execute("ROLLBACK").unwrap();
        })
    }
}

#[test]
fn an_action_that_lacks_a_right_says_which_grant_it_wants_and_works_once_it_has_it() {
    let mut ward = Ward::open(Options::default());
    ward.grant("CREATE TABLE public.bosses (id int); ALTER DATABASE postgres OWNER TO app");
    let build = "CREATE INDEX CONCURRENTLY orders_customer ON shop.orders (customer)";
    let said = ward.failed(build, "42501");
    assert!(
        said.contains("GRANT USAGE ON SCHEMA shop TO oncall_executor; GRANT shop_owner TO oncall_executor"),
        "{said}"
    );
    // A superuser's own table is to be given away, and not the superuser.
    let said = ward.failed("VACUUM (ANALYZE) public.bosses", "42501");
    assert!(said.contains("ALTER TABLE public.bosses OWNER TO") && !said.contains("GRANT postgres"), "{said}");
    let said = ward.failed("ALTER DATABASE postgres SET default_transaction_read_only = on", "42501");
    assert!(said.contains("GRANT app TO oncall_executor"), "{said}");
    let said = ward.failed("ALTER ROLE app SET statement_timeout = '5min'", "42501");
    assert!(said.contains("CREATEROLE"), "{said}");
    let mut app = ward.cluster.client_as("app", "postgres").unwrap();
    app.batch_execute("BEGIN").unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' AND state LIKE 'idle in%'";
    let said = ward.failed(end, "42501");
    assert!(said.contains("GRANT pg_signal_backend TO oncall_executor"), "{said}");

    ward.grant("GRANT shop_owner, app, pg_signal_backend TO oncall_executor; ALTER ROLE oncall_executor CREATEROLE");
    for sql in [
        build,
        "VACUUM (ANALYZE) shop.orders",
        "REINDEX INDEX CONCURRENTLY shop.orders_customer",
        "ALTER TABLE shop.orders SET (autovacuum_vacuum_scale_factor = '0.05')",
        "ALTER TABLE shop.orders RESET (autovacuum_vacuum_scale_factor)",
        "ALTER ROLE app SET statement_timeout = '5min'",
        "ALTER ROLE app RESET statement_timeout",
        "ALTER DATABASE postgres SET default_transaction_read_only = off",
        "ALTER DATABASE postgres RESET default_transaction_read_only",
        "DROP INDEX CONCURRENTLY IF EXISTS shop.orders_customer",
    ] {
        ward.done(sql);
    }
    assert_eq!(ward.done(end), json!([{ "pg_terminate_backend": true }]));
    assert!(app.batch_execute("SELECT 1").is_err(), "the session is gone");
    assert_eq!(ward.indexes(), ["shop.orders_id"]);
}

#[test]
fn a_vacuum_that_was_skipped_is_a_failure() {
    let mut ward = Ward::open(Options::default());
    ward.grant("GRANT USAGE ON SCHEMA shop TO oncall_executor");
    let said = ward.failed("VACUUM (ANALYZE) shop.orders", "42501");
    assert!(said.contains("skipping") || said.contains("permission denied"), "{said}");
    assert!(said.contains("GRANT"), "{said}");
    let said = ward.failed("VACUUM (FREEZE, SKIP_LOCKED)", "42501");
    assert!(said.contains("may vacuum no table"), "{said}");
    ward.grant("GRANT shop_owner TO oncall_executor");
    ward.done("VACUUM (FREEZE, SKIP_LOCKED)");
    let frozen = "SELECT age(relfrozenxid)::bigint FROM pg_class WHERE oid = 'shop.orders'::regclass";
    assert!(number(&mut ward.client, frozen) < 100, "what it owns was vacuumed");
}

#[test]
fn a_build_that_fails_leaves_no_invalid_index_behind() {
    let mut ward = Ward::open(Options::default().set("oncall.action_timeout", "2s"));
    ward.grant("GRANT shop_owner TO oncall_executor");
    let said = ward.failed("CREATE UNIQUE INDEX CONCURRENTLY one_each ON shop.orders (customer)", "23505");
    assert!(said.contains("The invalid index shop.one_each that it left was dropped."), "{said}");
    assert_eq!(ward.indexes(), ["shop.orders_id"]);

    // Both wait for the application's transaction until their time is up, and so does the cleaning up, which has longer.
    for (sql, left) in [
        ("CREATE INDEX CONCURRENTLY late ON shop.orders (customer)", "shop.late"),
        ("REINDEX INDEX CONCURRENTLY shop.orders_id", "shop.orders_id_ccnew"),
    ] {
        let busy = ward.busy_for(Duration::from_secs(6));
        let said = ward.failed(sql, "57014");
        assert!(said.contains(&format!("The invalid index {left} that it left was dropped.")), "{said}");
        assert_eq!(ward.indexes(), ["shop.orders_id"]);
        busy.result();
    }

    // An invalid index that was there before is somebody else's.
    ward.client
        .batch_execute(
            "SET allow_system_table_mods = on; CREATE INDEX theirs ON shop.orders (customer);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop.theirs'::regclass",
        )
        .unwrap();
    ward.failed("CREATE UNIQUE INDEX CONCURRENTLY one_each ON shop.orders (customer)", "23505");
    ward.failed("CREATE INDEX CONCURRENTLY theirs ON shop.orders (customer)", "42P07");
    assert_eq!(ward.indexes(), ["shop.orders_id", "shop.theirs invalid"]);
}

#[test]
fn what_is_not_on_the_list_does_not_run() {
    let mut ward = Ward::open(Options::default());
    ward.grant("GRANT shop_owner TO oncall_executor");
    for sql in [
        "CREATE INDEX blocking ON shop.orders (customer)",
        "DROP INDEX shop.orders_id",
        "DROP INDEX CONCURRENTLY shop.orders_id CASCADE",
        "DROP TABLE shop.orders",
        "TRUNCATE shop.orders",
        "DELETE FROM shop.orders",
        "WITH gone AS (DELETE FROM shop.orders RETURNING 1) SELECT count(*) FROM gone",
        "SELECT * INTO shop.copy FROM shop.orders",
        "SELECT * FROM shop.orders FOR UPDATE",
        "EXPLAIN ANALYZE DELETE FROM shop.orders",
        "VACUUM FULL shop.orders",
        "VACUUM (FULL) shop.orders",
        "REINDEX TABLE shop.orders",
        "REINDEX INDEX shop.orders_id",
        "REINDEX TABLE CONCURRENTLY shop.orders",
        "CLUSTER shop.orders USING orders_id",
        "ALTER TABLE shop.orders ADD COLUMN x int",
        "ALTER TABLE shop.orders SET (fillfactor = 10)",
        "ALTER TABLE shop.orders OWNER TO app",
        "ALTER TABLE shop.orders SET (autovacuum_enabled = on), DISABLE TRIGGER ALL",
        "ALTER ROLE app SET search_path = 'evil'",
        "ALTER ROLE app SUPERUSER",
        "ALTER ROLE app PASSWORD 'x'",
        "ALTER ROLE ALL SET statement_timeout = '1ms'",
        "ALTER ROLE CURRENT_USER SET statement_timeout = '1ms'",
        "ALTER ROLE oncall_executor SET statement_timeout = '1ms'",
        "ALTER ROLE oncall_observer RESET statement_timeout",
        "ALTER ROLE app RESET ALL",
        "ALTER DATABASE postgres SET search_path = 'evil'",
        "ALTER SYSTEM SET max_connections = 10",
        "SET ROLE shop_owner",
        "GRANT shop_owner TO app",
        "COPY shop.orders TO PROGRAM 'true'",
        "CALL shop.anything()",
        "BEGIN",
    ] {
        ward.failed(sql, "0A000");
    }
    assert_eq!(ward.indexes(), ["shop.orders_id"]);
    assert_eq!(number(&mut ward.client, "SELECT count(*) FROM shop.orders"), 10_000);
}

#[test]
fn sql_that_runs_as_the_executor_stays_the_executor_and_reaches_nothing_of_pg_oncall() {
    let mut ward = Ward::open(Options::default());
    ward.grant(
        "CREATE FUNCTION public.tries(command text) RETURNS text LANGUAGE plpgsql AS $$
         DECLARE told text;
         BEGIN EXECUTE command; RETURN 'went through'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
         GRANT app, pg_signal_backend TO oncall_executor; ALTER ROLE oncall_executor CREATEROLE",
    );
    let before = world(&mut ward.client);
    for attempt in [
        // Its own role, and others.
        "ALTER ROLE oncall_executor SET default_transaction_read_only = on",
        "ALTER ROLE CURRENT_USER SET lock_timeout = 1",
        "ALTER ROLE oncall_executor PASSWORD 'x' CONNECTION LIMIT -1",
        "ALTER ROLE ALL SET statement_timeout = 1",
        "ALTER ROLE oncall_observer NOLOGIN",
        "CREATE ROLE mallory SUPERUSER",
        "CREATE ROLE mallory",
        "GRANT oncall_admin TO oncall_executor",
        "GRANT oncall_executor TO app",
        "GRANT pg_execute_server_program TO oncall_executor",
        "DROP ROLE app",
        "REASSIGN OWNED BY app TO oncall_executor",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET ROLE oncall_admin",
        "SET session_replication_role = replica",
        // The inbox, policy, the audit, the journal, outcomes.
        "SELECT * FROM oncall.alert_inbox",
        "INSERT INTO oncall.alert_inbox (source, payload) VALUES ('x', '{}')",
        "INSERT INTO oncall.router_policy (confidence_threshold) VALUES (0)",
        "UPDATE oncall.router_policy SET confidence_threshold = 0",
        "UPDATE oncall.circuit_breaker SET state = 'closed'",
        "INSERT INTO oncall.tool (name, kind, summary, template) VALUES ('x', 'remediation', 'x', 'SELECT 1')",
        "UPDATE oncall.ops_runbooks SET destructive = false",
        "UPDATE oncall.incident_step SET outcome = '{\"outcome\": \"done\"}'",
        "INSERT INTO oncall.incident_step (incident_id, agent, step_no, kind) VALUES ('INC-0001', 'x', 1, 'action')",
        "UPDATE oncall.incident_audit SET state = 'resolved'",
        "SELECT * FROM oncall.incident_audit",
        "SELECT * FROM oncall.incident_work",
        "DELETE FROM oncall.incident_work",
        "SELECT oncall_internal.wake()",
        "SELECT oncall_internal.route('INC-0001')",
        "SELECT oncall.handle_alert('x'::text)",
        "SELECT oncall.try_guard('SELECT 1')",
        "SET oncall.autonomy = 'on'",
        "ALTER EXTENSION pg_oncall DROP TABLE oncall.incident_audit",
        "DROP EXTENSION pg_oncall",
        "CREATE TRIGGER mine BEFORE INSERT ON oncall.incident_step FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        // The server.
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE FUNCTION public.c() RETURNS int LANGUAGE c AS 'x'",
        "LOAD 'pg_oncall'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pg_oncall%' AND pid <> pg_backend_pid()",
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'pg_oncall%' AND pid <> pg_backend_pid()",
    ] {
        let sql = format!("SELECT public.tries({}) AS said", literal(attempt));
        let rows = ward.done(&sql);
        let said = rows[0]["said"].as_str().unwrap().to_owned();
        assert_eq!(said, "42501", "{attempt}");
        assert_eq!(world(&mut ward.client), before, "{attempt}");
    }
    // And after all that an action is what it was.
    let rows = ward
        .done("SELECT session_user AS login, current_user AS role, pg_has_role('pg_read_all_stats', 'USAGE') AS sees");
    assert_eq!(rows, json!([{ "login": "oncall_executor", "role": "oncall_executor", "sees": true }]));
}

/// Roles and their settings, policy and the rest of what an executor must not move.
fn world(client: &mut Client) -> String {
    let sql = "SELECT concat_ws(E'\\n',
        (SELECT string_agg(r::text, ',' ORDER BY r.rolname) FROM pg_authid AS r),
        (SELECT string_agg(s::text, ',') FROM pg_db_role_setting AS s),
        (SELECT string_agg(m::text, ',' ORDER BY m::text) FROM pg_auth_members AS m),
        (SELECT string_agg(p::text, ',' ORDER BY p.version) FROM oncall.router_policy AS p),
        (SELECT string_agg(b::text, ',') FROM oncall.circuit_breaker AS b))";
    client.query_one(sql, &[]).unwrap().get(0)
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn an_executor_that_is_ended_leaves_an_unknown_outcome_and_never_a_forged_one() {
    let mut ward = Ward::open(Options::default());
    let incident = ward.begin("SELECT pg_sleep(30)");
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall executor' AND wait_event = 'PgSleep'";
    until("it runs", || number(&mut ward.client, running) == 1);
    ward.client
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_oncall executor'",
        )
        .unwrap();
    let outcome = ward.outcome(&incident);
    assert_eq!(outcome["outcome"], "unknown", "{outcome}");
    assert!(outcome["reason"].as_str().unwrap().contains("administrator command"), "{outcome}");
}

#[test]
fn a_new_pump_takes_the_outcome_of_what_the_one_before_it_began() {
    let mut ward = Ward::open(Options::default());
    ward.grant(
        "CREATE TABLE runs (at timestamptz); GRANT INSERT, SELECT ON runs TO oncall_executor;
                CREATE FUNCTION public.count_run() RETURNS bigint LANGUAGE sql AS
                'INSERT INTO public.runs VALUES (now()); SELECT count(*) FROM public.runs'",
    );
    let incident = ward.begin("SELECT public.count_run() AS run, pg_sleep(4)");
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall executor' AND wait_event = 'PgSleep'";
    until("it runs", || number(&mut ward.client, running) == 1);
    let pump = "SELECT pid::bigint FROM oncall.worker_status() WHERE kind = 'pump'";
    let first = number(&mut ward.client, pump);
    ward.client.execute("SELECT pg_terminate_backend($1::bigint::int)", &[&first]).unwrap();
    let outcome = ward.outcome(&incident);
    assert_eq!((&outcome["outcome"], &outcome["rows"][0]["run"]), (&json!("done"), &json!(1)), "{outcome}");
    assert_ne!(number(&mut ward.client, pump), first);
    assert_eq!(number(&mut ward.client, "SELECT count(*) FROM runs"), 1, "it ran once");
}

#[test]
fn what_was_begun_is_looked_after_though_its_alert_is_over_or_a_switch_was_thrown() {
    let mut ward = Ward::open(Options::default());
    let over = "SELECT count(*) FROM oncall.handle_alert('{\"text\": \"Case 1\", \"severity\": \"critical\",
                    \"status\": \"resolved\", \"labels\": {\"alertname\": \"Case1\"}}'::jsonb)";
    let window = "INSERT INTO oncall.maintenance_window (during, labels)
                      VALUES (tstzrange(now(), now() + interval '1 hour'), '{\"alertname\": \"Case2\"}')";
    let switch = "ALTER SYSTEM SET oncall.autonomy = 'dry_run'";
    for (meanwhile, state) in [(over, "resolved"), (window, "handled"), (switch, "handled")] {
        let id = ward.begin("SELECT pg_sleep(3)");
        let begun = "SELECT count(*) FROM oncall.incident_step WHERE status = 'intent'";
        until("it is begun", || number(&mut ward.client, begun) == 1);
        ward.client.batch_execute(meanwhile).unwrap();
        ward.client.batch_execute("SELECT pg_reload_conf()").unwrap();
        if meanwhile == switch {
            let thrown = "SELECT count(*) FROM pg_settings WHERE name = 'oncall.autonomy' AND setting = 'dry_run'";
            until("the switch is thrown", || number(&mut ward.client, thrown) == 1);
        }
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_oncall pump'";
        ward.client.batch_execute(end).unwrap();
        assert_eq!(ward.outcome(&id)["outcome"], "done", "{meanwhile}");
        let left = "SELECT count(*) FROM oncall.incident_work WHERE state <> 'done'";
        until("the work is over", || number(&mut ward.client, left) == 0);
        let sql = "SELECT state, remediation_action ->> 'outcome' FROM oncall.incident_audit WHERE incident_id = $1";
        let row = ward.client.query_one(sql, &[&id]).unwrap();
        assert_eq!((row.get(0), row.get(1)), (state, Some("done")), "{meanwhile}");
    }
}

#[test]
fn what_waits_for_its_turn_is_not_begun_once_a_switch_is_thrown() {
    let mut ward = Ward::open(Options::default());
    let breaker = ["UPDATE oncall.circuit_breaker SET state = 'open'", "SELECT oncall_internal.wake()"];
    let autonomy = ["ALTER SYSTEM SET oncall.autonomy = 'dry_run'", "SELECT pg_reload_conf()"];
    for (switch, why) in [(breaker, "the circuit breaker is open"), (autonomy, "oncall.autonomy is dry_run")] {
        ward.client.batch_execute("UPDATE oncall.circuit_breaker SET state = 'closed'").unwrap();
        // One action at a time: the second waits for the first.
        let first = ward.begin("SELECT pg_catalog.pg_sleep(3)");
        let at_work = "SELECT count(*) FROM oncall.incident_step WHERE kind = 'action' AND status = 'intent'";
        until("the first is at work", || number(&mut ward.client, at_work) == 1);
        let second = ward.begin("SELECT 1");
        let running = "SELECT count(*) FROM oncall.incident_work WHERE state = 'running'";
        until("the second is under treatment", || number(&mut ward.client, running) == 2);
        thread::sleep(Duration::from_millis(500));
        switch.iter().for_each(|statement| ward.client.batch_execute(statement).unwrap());
        assert_eq!(ward.outcome(&first)["outcome"], "done", "what was begun ends as it would");
        let held_back = ward.outcome(&second);
        assert!(held_back["message"].as_str().unwrap().contains(&format!("not begun: {why}")), "{held_back}");
        let sql = "SELECT count(*) FROM oncall.incident_audit WHERE incident_id = $1 AND escalation LIKE '%not begun%'";
        until("a person is paged", || ward.client.query_one(sql, &[&second]).unwrap().get::<_, i64>(0) == 1);
    }
}
