//! Who may do what, checked against the server's own word; and the audit, which nobody changes.

mod common;

use std::collections::BTreeMap;

use common::{code, handle, journal, number, pool_alert, refused, server, told};
use pg_test::stub_pod::{Behaviour, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;

const ROLES: [&str; 6] =
    ["oncall_reader", "oncall_ingest", "oncall_operator", "oncall_admin", "oncall_executor", "oncall_observer"];

const READABLE: [&str; 19] = [
    "approval",
    "steps_to_approve",
    "health_snapshot",
    "labelled_alert",
    "maintenance_window",
    "retention",
    "ops_runbooks",
    "tool",
    "router_policy",
    "circuit_breaker",
    "incident_audit",
    "incident_step",
    "incident_work",
    "malformed_alerts",
    "delivery",
    "dead_letters",
    "inference_audit_log",
    "audit_thresholds",
    "metric_sample",
];

/// What a role may do, as `object: privilege`.
type Rights = Vec<String>;

fn table_rights(role: &str) -> Rights {
    let mut rights = Vec::new();
    let mut add = |table: &str, privileges: &[&str]| rights.extend(privileges.iter().map(|p| format!("{table}: {p}")));
    if ["oncall_reader", "oncall_operator", "oncall_admin"].contains(&role) {
        READABLE.iter().for_each(|table| add(table, &["SELECT"]));
    }
    if ["oncall_operator", "oncall_admin"].contains(&role) {
        add("maintenance_window", &["DELETE"]);
        add("alert_inbox", &["SELECT"]);
    }
    if role == "oncall_operator" {
        add("metric_sample", &["INSERT"]);
    }
    if role == "oncall_admin" {
        for table in ["ops_runbooks", "tool", "audit_thresholds"] {
            add(table, &["INSERT", "UPDATE", "DELETE"]);
        }
        add("metric_sample", &["DELETE"]);
        add("sink", &["SELECT", "DELETE"]);
    }
    rights.sort();
    rights
}

fn function_rights(role: &str) -> Rights {
    let reader = [
        "oncall.explain_dedup(jsonb)",
        "oncall.explain_dedup(text)",
        "oncall.explain_route(text)",
        "oncall.incident_timeline(text)",
        "oncall.search_runbooks(text, integer)",
        "oncall.embed_builtin(text)",
        "oncall.system_health_snapshot(integer, integer)",
        "oncall.wait_for_incident(text, interval)",
        "oncall.worker_status()",
        "oncall_internal.embed_builtin(text)",
    ];
    let operator = [
        "oncall.triage_alert(jsonb)",
        "oncall.triage_alert(text)",
        "oncall.handle_alert(jsonb)",
        "oncall.handle_alert(text)",
        "oncall.route_incident(text)",
        "oncall.acknowledge_incident(text)",
        "oncall.approve_step(text, text, jsonb, text, boolean)",
        "oncall.reject_step(text, text, text)",
        "oncall.resolve_incident(text, text, boolean, text)",
        "oncall.run_diagnostic(text, jsonb)",
    ];
    let admin = [
        "oncall.load_runbook(text, text)",
        "oncall.load_runbooks(text)",
        "oncall.reembed_runbooks()",
        "oncall.keep_health_snapshot()",
        "oncall.apply_retention(integer)",
        "oncall.schedule_health_snapshot(text)",
        "oncall.schedule_retention(text)",
        "oncall.try_guard(text)",
    ];
    let pages = ["oncall.page_incident(text, text)", "oncall.redeliver(bigint)", "oncall.send_test_page(text)"];
    let ingest = ["oncall.triage_alert_trigger()"];
    let tools = [
        "oncall.dblink_schema()",
        "oncall.foreign_server(name)",
        "oncall.pgbouncer_pools(name)",
        "oncall.pgbouncer_config(name)",
        "oncall.root_blockers()",
        "oncall.snapshot_holders()",
        "oncall.top_statements(integer)",
    ];
    let parts: &[&[&str]] = match role {
        "oncall_reader" => &[&reader],
        "oncall_operator" => &[&reader, &operator, &pages],
        "oncall_admin" => &[&reader, &admin, &ingest, &pages],
        "oncall_ingest" => &[&ingest],
        "oncall_executor" => &[&tools, &["oncall.pgbouncer_set(name, text, bigint)"]],
        "oncall_observer" => &[&tools],
        _ => &[],
    };
    let mut rights: Rights = parts.concat().into_iter().map(str::to_owned).collect();
    rights.sort();
    rights
}

fn column(client: &mut Client, sql: &str, role: &str) -> Rights {
    let mut rights: Rights = client.query(sql, &[&role]).unwrap().iter().map(|row| row.get(0)).collect();
    rights.sort();
    rights
}

#[test]
fn each_role_may_do_what_it_is_for_and_nothing_else() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    // A login of nobody's: what it may, everybody may.
    client.batch_execute("CREATE ROLE somebody LOGIN; SELECT * FROM oncall.ensure_log_partitions()").unwrap();
    for role in ROLES.into_iter().chain(["somebody"]) {
        let tables = "
            SELECT relname || ': ' || privilege
            FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
            WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('oncall', 'oncall_internal'))
              AND relkind IN ('r', 'p', 'v', 'm', 'f') AND has_table_privilege($1::text, oid, privilege)";
        assert_eq!(column(&mut client, tables, role), table_rights(role), "tables of {role}");

        let columns = "
            SELECT DISTINCT attrelid::regclass || '.' || attname || ': ' || privilege
            FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS privilege
            WHERE relnamespace = 'oncall'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
              AND has_column_privilege($1::text, attrelid, attnum, privilege) AND NOT has_table_privilege($1::text, attrelid, privilege)";
        // Who wrote a policy and who moved the switch is not for the writer to say.
        let breaker = ["reason", "state"].map(|c| format!("oncall.circuit_breaker.{c}: UPDATE"));
        let policy = [
            "approval_life",
            "approvals_required",
            "builtin_weight",
            "confidence_threshold",
            "incident_type",
            "max_actions_per_hour",
            "max_repeats_per_hour",
            "note",
            "pod_weight",
            "severity",
        ]
        .map(|c| format!("oncall.router_policy.{c}: INSERT"));
        // Who handed an alert in and when is not for its sender to say.
        let inbox = ["payload", "source"].map(|c| format!("oncall.alert_inbox.{c}: INSERT"));
        // Nor who made a window.
        let window =
            [("during", "INSERT"), ("during", "UPDATE"), ("labels", "INSERT"), ("note", "INSERT"), ("note", "UPDATE")]
                .map(|(column, right)| format!("oncall.maintenance_window.{column}: {right}"));
        let retention = ["oncall.retention.keep: UPDATE".to_owned()];
        // Nor who checked a sink; and where a sink is, and where its secret lies, only an admin sees.
        let shown = ["enabled", "format", "kinds", "min_severity", "name", "note"];
        let sink_seen = shown.map(|c| format!("oncall.sink.{c}: SELECT"));
        let sink_written: Vec<String> = [&shown[..], &["secret_file", "url"]]
            .concat()
            .into_iter()
            .flat_map(|c| ["INSERT", "UPDATE"].map(|right| format!("oncall.sink.{c}: {right}")))
            .collect();
        let mut expected = match role {
            "oncall_admin" => [&breaker[..], &policy[..], &window[..], &retention[..], &sink_written[..]].concat(),
            "oncall_operator" => [&window[..], &sink_seen[..]].concat(),
            "oncall_reader" => sink_seen.to_vec(),
            "oncall_ingest" => inbox.to_vec(),
            _ => Vec::new(),
        };
        expected.sort();
        assert_eq!(column(&mut client, columns, role), expected, "columns of {role}");

        let functions = "
            SELECT nspname || '.' || proname || '(' || oidvectortypes(proargtypes) || ')'
            FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
            WHERE nspname IN ('oncall', 'oncall_internal') AND has_function_privilege($1::text, pg_proc.oid, 'EXECUTE')";
        assert_eq!(column(&mut client, functions, role), function_rights(role), "functions of {role}");

        let sequences = "
            SELECT relname || ': ' || privilege FROM pg_class, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS privilege
            WHERE relnamespace = 'oncall'::regnamespace AND CASE relkind WHEN 'S' THEN has_sequence_privilege($1::text, oid, privilege) END";
        assert_eq!(column(&mut client, sequences, role), Rights::new(), "sequences of {role}");

        let schemas = "
            SELECT nspname || ': ' || privilege FROM pg_namespace, unnest(ARRAY['USAGE', 'CREATE']) AS privilege
            WHERE nspname IN ('oncall', 'oncall_internal') AND has_schema_privilege($1::text, oid, privilege)";
        let mut expected = Rights::new();
        if role != "somebody" {
            expected.push("oncall: USAGE".to_owned());
        }
        if ["oncall_reader", "oncall_operator", "oncall_admin"].contains(&role) {
            expected.push("oncall_internal: USAGE".to_owned());
        }
        assert_eq!(column(&mut client, schemas, role), expected, "schemas of {role}");

        let settings = "
            SELECT name FROM pg_settings WHERE name LIKE 'oncall.%' AND has_parameter_privilege($1::text, name, 'SET')";
        let judgement = ["autonomy", "dedup_window", "max_tokens", "prompt_tokens", "request_timeout", "top_k"];
        let expected =
            if role == "oncall_admin" { judgement.map(|s| format!("oncall.{s}")).to_vec() } else { Rights::new() };
        if server_has_parameter_privileges(&mut client) {
            assert_eq!(column(&mut client, settings, role), expected, "settings of {role}");
        }
    }
    let attributes = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'oncall\\_%'
                      AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)";
    assert_eq!(number(&mut client, attributes), 0, "no role of ours has an attribute");
    // Before 17 a worker logs in by LOGIN, and the limit keeps clients out.
    let open = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'oncall\\_%' AND rolcanlogin AND rolconnlimit <> 0";
    assert_eq!(number(&mut client, open), 0, "no client logs in as a role of ours");
    let members = "SELECT m.rolname || ' in ' || r.rolname FROM pg_auth_members
                   JOIN pg_roles AS m ON m.oid = member JOIN pg_roles AS r ON r.oid = roleid
                   WHERE m.rolname LIKE 'oncall\\_%' AND $1::text IS NOT NULL";
    assert_eq!(
        column(&mut client, members, ""),
        [
            "oncall_admin in oncall_reader",
            "oncall_executor in pg_read_all_stats",
            "oncall_observer in pg_monitor",
            "oncall_operator in oncall_reader"
        ]
    );
}

/// Before 15, parameters had no privileges.
fn server_has_parameter_privileges(client: &mut Client) -> bool {
    number(client, "SELECT current_setting('server_version_num')::bigint") >= 150_000
}

/// Logins that are members of one role each.
fn logins(cluster: &Cluster) -> BTreeMap<&'static str, Client> {
    let mut boss = cluster.client().unwrap();
    ROLES
        .into_iter()
        .map(|role| {
            boss.batch_execute(&format!("CREATE ROLE a_{role} LOGIN IN ROLE {role}")).unwrap();
            (role, cluster.client_as(&format!("a_{role}"), "postgres").unwrap())
        })
        .collect()
}

#[test]
fn what_a_role_is_for_works_in_practice() {
    let pod = StubPod::start(Behaviour::Ok);
    let cluster = server(&Options::default().set("oncall.model_url", &pod.url()).set("oncall.chat_model", "stub-chat"));
    let mut logins = logins(&cluster);
    let incident = handle(logins.get_mut("oncall_operator").unwrap(), &pool_alert("db-1"));
    assert_eq!((incident.by(), incident.is_autonomous()), ("stub", true));
    let operator = logins.get_mut("oncall_operator").unwrap();
    operator.batch_execute("INSERT INTO oncall.metric_sample (metric, value) VALUES ('x', 1)").unwrap();

    let reader = logins.get_mut("oncall_reader").unwrap();
    for sql in [
        "SELECT * FROM oncall.search_runbooks('pool')",
        "SELECT * FROM oncall.explain_route('INC-0001')",
        "SELECT * FROM oncall.incident_timeline('INC-0001')",
        "SELECT * FROM oncall.system_health_snapshot()",
        "SELECT oncall.embed_builtin('x')",
    ] {
        assert!(!reader.query(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {}", told(&error))).is_empty(), "{sql}");
    }

    let admin = logins.get_mut("oncall_admin").unwrap();
    admin
        .batch_execute(
            "INSERT INTO oncall.router_policy (severity, confidence_threshold) VALUES ('P1', 0.99);
             UPDATE oncall.circuit_breaker SET state = 'open', reason = 'a test';
             UPDATE oncall.audit_thresholds SET min_sample_size = 20;
             UPDATE oncall.ops_runbooks SET content = content || '.' WHERE section = 'Escalate';
             DELETE FROM oncall.ops_runbooks WHERE runbook_id = 'RB-008';
             SELECT * FROM oncall.load_runbook(E'---\\nid: RB-900\\ntitle: T\\nincident_type: X\\n---\\n\\nWords.\\n');
             SELECT * FROM oncall.reembed_runbooks();
             SET oncall.autonomy = 'off';
             SET oncall.top_k = 3",
        )
        .unwrap_or_else(|error| panic!("{}", told(&error)));
}

#[test]
fn a_login_without_a_role_is_refused_everywhere() {
    let cluster = server(&Options::default());
    let mut boss = cluster.client().unwrap();
    boss.batch_execute("CREATE ROLE somebody LOGIN").unwrap();
    let mut somebody = cluster.client_as("somebody", "postgres").unwrap();
    for table in READABLE {
        for sql in [
            format!("SELECT * FROM oncall.{table}"),
            format!("INSERT INTO oncall.{table} DEFAULT VALUES"),
            format!("DELETE FROM oncall.{table}"),
            format!("TRUNCATE oncall.{table}"),
        ] {
            refused(&mut somebody, &sql, "42501");
        }
    }
    for sql in [
        "SELECT * FROM oncall.handle_alert('x'::text)",
        "SELECT * FROM oncall.triage_alert('{}'::jsonb)",
        "SELECT * FROM oncall.route_incident('INC-0001')",
        "SELECT * FROM oncall.explain_route('INC-0001')",
        "SELECT * FROM oncall.search_runbooks('x')",
        "SELECT * FROM oncall.load_runbook('x')",
        "SELECT * FROM oncall.reembed_runbooks()",
        "SELECT oncall_internal.triage('{}')",
        "SELECT oncall_internal.route('INC-0001')",
        "SELECT nextval('oncall.incident_number')",
        "SET oncall.autonomy = 'on'",
        "SET oncall.model_url = 'http://127.0.0.1:1'",
        "SET ROLE oncall_operator",
    ] {
        refused(&mut somebody, sql, "42501");
    }
}

#[test]
fn nobody_steps_past_the_functions_into_the_tables() {
    let cluster = server(&Options::default());
    let mut logins = logins(&cluster);
    handle(&mut cluster.client().unwrap(), &pool_alert("db-1"));
    for role in ["oncall_operator", "oncall_admin", "oncall_reader", "oncall_executor", "oncall_observer"] {
        let login = logins.get_mut(role).unwrap();
        for sql in [
            "INSERT INTO oncall.incident_audit (alert_text) VALUES ('forged')",
            "UPDATE oncall.incident_audit SET routing_decision = 'autonomous'",
            "DELETE FROM oncall.incident_step",
            "INSERT INTO oncall.inference_audit_log (user_query) VALUES ('forged')",
            "INSERT INTO oncall.inference_audit_log_default (user_query) VALUES ('forged')",
            "UPDATE oncall.router_policy SET confidence_threshold = 0",
            "TRUNCATE oncall.incident_audit CASCADE",
            "SELECT oncall_internal.route('INC-0001')",
            "SELECT oncall_internal.triage('{}')",
            "SELECT oncall_internal.search('x', 5)",
            "CREATE TRIGGER mine BEFORE INSERT ON oncall.incident_audit FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "ALTER TABLE oncall.incident_audit DISABLE TRIGGER ALL",
            "DROP TABLE oncall.incident_step",
            "ALTER EXTENSION pg_oncall DROP TABLE oncall.incident_audit",
            "CREATE FUNCTION oncall.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "SET session_replication_role = replica",
        ] {
            refused(login, sql, "42501");
        }
    }
}

#[test]
fn names_of_the_callers_own_do_not_capture_what_the_functions_call() {
    let cluster = server(&Options::default());
    let mut boss = cluster.client().unwrap();
    boss.batch_execute(
        "CREATE ROLE mallory LOGIN IN ROLE oncall_operator; GRANT CREATE ON DATABASE postgres TO mallory",
    )
    .unwrap();
    let mut mallory = cluster.client_as("mallory", "postgres").unwrap();
    // Whatever of these is called, is called as the owner of the extension: a superuser.
    mallory
        .batch_execute(
            "CREATE SCHEMA evil;
             CREATE FUNCTION evil.caught() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'captured as %', current_user; END $$;
             CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz FROM (SELECT evil.caught()) x';
             CREATE FUNCTION evil.round(numeric, int) RETURNS numeric LANGUAGE sql AS 'SELECT 0::numeric FROM (SELECT evil.caught()) x';
             CREATE FUNCTION evil.left(text, int) RETURNS text LANGUAGE sql AS 'SELECT NULL::text FROM (SELECT evil.caught()) x';
             CREATE FUNCTION evil.array_position(text[], text) RETURNS int LANGUAGE sql AS 'SELECT 0 FROM (SELECT evil.caught()) x';
             CREATE FUNCTION evil.make_interval(secs double precision) RETURNS interval LANGUAGE sql AS 'SELECT NULL::interval FROM (SELECT evil.caught()) x';
             CREATE FUNCTION evil.jsonb_array_elements(jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT NULL::jsonb FROM (SELECT evil.caught()) x';
             CREATE FUNCTION evil.eq(text, text) RETURNS bool LANGUAGE sql AS 'SELECT evil.caught()';
             CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
             CREATE FUNCTION evil.glue(text, text) RETURNS text LANGUAGE sql AS 'SELECT NULL::text FROM (SELECT evil.caught()) x';
             CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.glue);
             CREATE FUNCTION evil.far(public.vector, public.vector) RETURNS float8 LANGUAGE sql AS 'SELECT 0::float8 FROM (SELECT evil.caught()) x';
             CREATE OPERATOR evil.<=> (LEFTARG = public.vector, RIGHTARG = public.vector, FUNCTION = evil.far);
             CREATE TEMP TABLE ops_runbooks (runbook_id text); CREATE TEMP TABLE incident_audit (incident_id text);
             CREATE TEMP TABLE router_policy (version int); CREATE TEMP TABLE pg_extension (extname name);
             SET search_path = evil, pg_temp, pg_catalog",
        )
        .unwrap_or_else(|error| panic!("{}", told(&error)));
    for sql in [
        "SELECT count(*) FROM oncall.handle_alert('{\"text\": \"pool exhausted\", \"severity\": \"critical\"}'::pg_catalog.jsonb)",
        "SELECT count(*) FROM oncall.handle_alert('Disk full on db-2'::text)",
        "SELECT count(*) FROM oncall.triage_alert('Replication lag'::text)",
        "SELECT count(*) FROM oncall.route_incident('INC-0003')",
        "SELECT count(*) FROM oncall.explain_route('INC-0001')",
        "SELECT count(*) FROM oncall.incident_timeline('INC-0001')",
        "SELECT count(*) FROM oncall.search_runbooks('pool')",
        "SELECT count(*) FROM oncall.system_health_snapshot()",
        "SELECT count(oncall.embed_builtin('pool'))",
    ] {
        let rows = mallory.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {}", told(&error)));
        assert!(rows.get::<_, i64>(0) > 0, "{sql}");
    }
    assert_eq!(number(&mut boss, "SELECT count(*) FROM oncall.incident_audit"), 3);
}

#[test]
fn the_cast_of_a_type_runs_as_the_owner_of_the_table_that_a_trigger_hands_in_from() {
    let cluster = server(&Options::default());
    let mut boss = cluster.client().unwrap();
    boss.batch_execute("CREATE ROLE gateway LOGIN IN ROLE oncall_ingest; CREATE SCHEMA gate AUTHORIZATION gateway")
        .unwrap();
    let mut gateway = cluster.client_as("gateway", "postgres").unwrap();
    // to_jsonb() calls a cast to json, whoever made it, and the trigger's function belongs to a superuser.
    gateway
        .batch_execute(
            "CREATE TYPE gate.mark AS ENUM ('a');
             CREATE FUNCTION gate.told(gate.mark) RETURNS json LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM set_config('search_path', 'gate', false);
                 RETURN to_json(current_user::text);
             END $$;
             CREATE CAST (gate.mark AS json) WITH FUNCTION gate.told(gate.mark);
             CREATE FUNCTION gate.caught(jsonb, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'captured as %', current_user; END $$;
             CREATE OPERATOR gate.? (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = gate.caught);
             CREATE TABLE gate.events (body jsonb, mark gate.mark);
             CREATE TRIGGER whole AFTER INSERT ON gate.events FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger();
             CREATE TRIGGER body AFTER INSERT ON gate.events FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger('body')",
        )
        .unwrap_or_else(|error| panic!("{}", told(&error)));
    for client in [&mut gateway, &mut boss] {
        client
            .batch_execute("INSERT INTO gate.events VALUES ('{\"text\": \"Disk full\", \"n\": 1e400}', 'a')")
            .unwrap_or_else(|error| panic!("{}", told(&error)));
    }
    let handed_in = "SELECT count(*) FROM oncall.alert_inbox
                     WHERE payload ->> 'mark' = 'gateway' AND payload #>> '{body,text}' = 'Disk full'";
    assert_eq!(number(&mut boss, handed_in), 2);
    assert_eq!(number(&mut boss, "SELECT count(*) FROM oncall.alert_inbox WHERE payload ->> 'text' = 'Disk full'"), 2);
    for client in [&mut gateway, &mut boss] {
        let path: String = client.query_one("SHOW search_path", &[]).unwrap().get(0);
        assert_eq!(path, "\"$user\", public", "what the cast sets is gone after it");
    }
}

#[test]
fn how_a_session_writes_numbers_decides_nothing() {
    let reply = r#"{"incident_type": "ConnectionPoolExhaustion", "runbook_id": "RB-001", "confidence": 0.92,
        "recommended_actions": ["RB-001/raise-the-pool-size"], "root_cause_hypothesis": "The pool is too small."}"#;
    let pod = StubPod::start(Behaviour::Say(reply.to_owned()));
    let options = Options::default().set("oncall.autonomy", "on").set("oncall.model_url", &pod.url());
    let cluster = server(&options.set("oncall.chat_model", "stub-chat"));
    let mut boss = cluster.client().unwrap();
    boss.batch_execute("CREATE ROLE alice LOGIN IN ROLE oncall_operator").unwrap();
    for (threshold, route) in [(0.91, "autonomous"), (0.94, "escalate")] {
        let policy = format!("INSERT INTO oncall.router_policy (confidence_threshold) VALUES ({threshold})");
        boss.batch_execute(&policy).unwrap();
        // With one digit 0.94 is 0.9.
        for digits in [3, 0, -14, -15] {
            let mut alice = cluster.client_as("alice", "postgres").unwrap();
            alice.batch_execute(&format!("SET extra_float_digits = {digits}")).unwrap();
            let incident = handle(&mut alice, &pool_alert(&format!("{threshold} {digits}")));
            assert_eq!(incident.route.as_deref(), Some(route), "{threshold}, {digits} digits: {incident:?}");
        }
    }
}

/// What the four append-only tables hold, so that a change of any row shows.
fn state(client: &mut Client) -> Vec<String> {
    ["incident_audit", "incident_step", "inference_audit_log", "router_policy"]
        .iter()
        .flat_map(|table| client.query(&format!("SELECT t::text FROM oncall.{table} AS t ORDER BY 1"), &[]).unwrap())
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn not_even_a_superuser_changes_a_row_of_the_audit() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    handle(&mut client, &pool_alert("db-1"));
    client.batch_execute("SELECT * FROM oncall.ensure_log_partitions()").unwrap();
    handle(&mut client, &pool_alert("db-2"));
    let month: String = client
        .query_one(
            "SELECT tableoid::regclass::text FROM oncall.inference_audit_log ORDER BY trace_id DESC LIMIT 1",
            &[],
        )
        .unwrap()
        .get(0);
    assert!(month.starts_with("oncall.inference_audit_log_20"), "the log's month has a table of its own: {month}");
    client
        .batch_execute(
            "CREATE VIEW v AS SELECT * FROM oncall.incident_audit;
             CREATE TABLE copy_of AS SELECT incident_id FROM oncall.incident_audit;
             CREATE ROLE heir LOGIN",
        )
        .unwrap();
    let before = state(&mut client);
    assert!(before.len() > 8);

    let mut attempts: Vec<String> = Vec::new();
    for (table, assignment) in [
        ("oncall.incident_audit", "alert_text = 'forged'"),
        ("oncall.incident_step", "outcome = '{}'"),
        ("oncall.inference_audit_log", "generated_text = 'forged'"),
        (month.as_str(), "generated_text = 'forged'"),
        ("oncall.router_policy", "confidence_threshold = 0"),
    ] {
        attempts.push(format!("UPDATE {table} SET {assignment}"));
        attempts.push(format!("DELETE FROM {table}"));
        attempts.push(format!("TRUNCATE {table} CASCADE"));
        attempts.push(format!("UPDATE {table} SET {assignment} WHERE ctid = (SELECT min(ctid) FROM {table})"));
        attempts.push(format!("WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone"));
        attempts.push(format!("MERGE INTO {table} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE"));
        attempts.push(format!(
            "MERGE INTO {table} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN UPDATE SET {assignment}"
        ));
        attempts.push(format!("DO $$ BEGIN EXECUTE 'DELETE FROM {table}'; END $$"));
        attempts.push(format!("COPY (DELETE FROM {table} RETURNING *) TO '/dev/null'"));
    }
    attempts.extend(
        [
            "UPDATE v SET alert_text = 'forged'",
            "DELETE FROM oncall.incident_audit USING copy_of WHERE copy_of.incident_id = incident_audit.incident_id",
            "INSERT INTO oncall.incident_audit (incident_id, alert_text) VALUES ('INC-0001', 'forged')
             ON CONFLICT (incident_id) DO UPDATE SET alert_text = 'forged'",
            "BEGIN; DECLARE c CURSOR FOR SELECT * FROM oncall.incident_audit FOR UPDATE; FETCH c;
             DELETE FROM oncall.incident_audit WHERE CURRENT OF c",
            "UPDATE oncall.inference_audit_log SET execution_ts = execution_ts - interval '3 years'",
            "TRUNCATE oncall.inference_audit_log_default",
        ]
        .map(str::to_owned),
    );
    for replication_role in ["origin", "replica", "local"] {
        for sql in &attempts {
            let outcome = client.batch_execute(&format!("SET session_replication_role = {replication_role}; {sql}"));
            let error = outcome.err().unwrap_or_else(|| panic!("{replication_role}: {sql} went through"));
            assert_eq!(code(&error), "42501", "{replication_role}: {sql}: {}", told(&error));
            assert!(told(&error).contains("are never changed"), "{}", told(&error));
            client.batch_execute("ROLLBACK").unwrap();
        }
    }
    client.batch_execute("SET session_replication_role = origin").unwrap();
    assert_eq!(state(&mut client), before);

    // Nor a role that was made the owner of a table.
    client
        .batch_execute(
            "GRANT USAGE ON SCHEMA oncall TO heir; ALTER TABLE oncall.incident_step OWNER TO heir; ALTER TABLE oncall.incident_audit OWNER TO heir",
        )
        .unwrap();
    let mut heir = cluster.client_as("heir", "postgres").unwrap();
    for sql in [
        "DELETE FROM oncall.incident_step",
        "UPDATE oncall.incident_audit SET confidence = 1",
        "TRUNCATE oncall.incident_step",
    ] {
        refused(&mut heir, sql, "42501");
    }
    assert_eq!(state(&mut client), before);
}

#[test]
fn no_rule_or_trigger_rides_on_the_extensions_own_writing() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    let first = handle(&mut client, &pool_alert("db-1"));
    let kept = journal(&mut client, &first.id);
    // While the extension itself updates a row of the audit, somebody's rule or trigger wants more to change.
    for (plant, remove) in [
        (
            "CREATE RULE also AS ON INSERT TO oncall.incident_step DO ALSO DELETE FROM oncall.inference_audit_log",
            "DROP RULE also ON oncall.incident_step",
        ),
        (
            "CREATE RULE also AS ON UPDATE TO oncall.incident_audit DO ALSO DELETE FROM oncall.incident_step",
            "DROP RULE also ON oncall.incident_audit",
        ),
        (
            "CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN DELETE FROM oncall.incident_step WHERE incident_id = 'INC-0001'; RETURN NULL; END $$;
             CREATE TRIGGER also AFTER UPDATE ON oncall.incident_audit FOR EACH ROW EXECUTE FUNCTION also()",
            "DROP FUNCTION also CASCADE",
        ),
        (
            "CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN DELETE FROM oncall.incident_audit WHERE incident_id = 'INC-0001'; RETURN NEW; END $$;
             CREATE TRIGGER also BEFORE UPDATE ON oncall.incident_audit FOR EACH ROW EXECUTE FUNCTION also()",
            "DROP FUNCTION also CASCADE",
        ),
        (
            "CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN UPDATE oncall.router_policy SET confidence_threshold = 0; RETURN NULL; END $$;
             CREATE TRIGGER also AFTER UPDATE ON oncall.incident_audit FOR EACH ROW EXECUTE FUNCTION also()",
            "DROP FUNCTION also CASCADE",
        ),
    ] {
        client.batch_execute(plant).unwrap();
        let error = common::try_handle(&mut client, &pool_alert("db-2")).expect_err(plant);
        // Postgres itself refuses a rule where the extension wants its ON CONFLICT.
        assert!(["42501", "0A000"].contains(&code(&error)), "{plant}: {}", told(&error));
        client.batch_execute(remove).unwrap();
        assert_eq!(journal(&mut client, &first.id), kept, "{plant}");
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_audit"), 1);
    assert!(handle(&mut client, &pool_alert("db-2")).is_autonomous());
}
