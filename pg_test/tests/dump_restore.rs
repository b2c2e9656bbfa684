//! A dump holds what people and alerts brought in, and a restore goes on where it left off.

mod common;

use std::process::Command;

use common::{Step, assert_objection, bare, handle, incidents, journal, number, pool_alert, refused, server, set};
use pg_test::process::capture;
use pg_test::stub_pod::{Behaviour, Replies, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;

/// What `pg_dump` writes of the database `postgres`.
fn dump(cluster: &Cluster, arguments: &[&str]) -> String {
    let mut pg_dump = Command::new(cluster.tree().bindir().join("pg_dump"));
    pg_dump.arg("-h").arg(cluster.dir()).args(["-p", &cluster.port().to_string(), "-U", "postgres"]).args(arguments);
    capture(pg_dump.arg("postgres")).expect("pg_dump dumps")
}

/// Restore a dump into a new database, stopping at the first error.
fn restore(cluster: &Cluster, dump: &str) -> Client {
    cluster.client().unwrap().batch_execute("CREATE DATABASE restored").unwrap();
    cluster.psql_as("postgres", "restored", dump).unwrap_or_else(|error| panic!("the restore fails: {error}"));
    cluster.client_as("postgres", "restored").unwrap()
}

/// Every row of a table, in no order of its own.
fn rows(client: &mut Client, table: &str) -> Vec<String> {
    let sql = format!("SELECT t::text FROM oncall.{table} AS t ORDER BY 1");
    client.query(&sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

const TABLES: [&str; 16] = [
    "approval",
    "delivery",
    "sink",
    "health_snapshot",
    "labelled_alert",
    "maintenance_window",
    "retention",
    "ops_runbooks",
    "incident_audit",
    "incident_step",
    "inference_audit_log",
    "router_policy",
    "audit_thresholds",
    "tool",
    "circuit_breaker",
    "alert_inbox",
];

/// The rows, but for what tells when the extension was installed here.
fn comparable(client: &mut Client, table: &str) -> Vec<String> {
    match table {
        "router_policy" => {
            let sql = "SELECT concat_ws(' ', version, severity, incident_type, confidence_threshold, note) FROM oncall.router_policy ORDER BY version";
            client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
        }
        "circuit_breaker" => {
            let sql = "SELECT concat_ws(' ', state, reason) FROM oncall.circuit_breaker";
            client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
        }
        table => rows(client, table),
    }
}

#[test]
fn a_restored_database_has_every_row_and_goes_on_counting() {
    let pod = StubPod::start(Behaviour::Ok);
    let cluster = bare(
        &Options::default()
            .set("oncall.model_url", &pod.url())
            .set("oncall.chat_model", "stub-chat")
            .set("oncall.embedding_model", "stub-embed"),
    );
    let mut client = cluster.client().unwrap();
    common::load_runbooks(&cluster, &mut client);
    for instance in ["db-1", "db-2", "db-3"] {
        handle(&mut client, &pool_alert(instance));
    }
    handle(&mut client, &pool_alert("db-2"));
    client
        .batch_execute(
            "SELECT * FROM oncall.ensure_log_partitions();
             INSERT INTO oncall.alert_inbox (source, payload) VALUES ('gateway', '\"the disk is full\"');
             INSERT INTO oncall.router_policy (severity, confidence_threshold, note) VALUES ('P1', 0.9, 'ours');
             UPDATE oncall.audit_thresholds SET min_sample_size = 99 WHERE metric_category = 'Retrieval.TopScore';
             INSERT INTO oncall.audit_thresholds (metric_category) VALUES ('Our.Metric');
             INSERT INTO oncall.sink (name, format, url) VALUES ('ops', 'generic', 'http://127.0.0.1:9/hook');
             SELECT oncall.page_incident('INC-0001', 'have a look');
             -- The machine that it is restored on allows other hosts: a row that was checked once is not checked again.
             INSERT INTO oncall.sink (name, format, url, enabled, checked_at)
             VALUES ('elsewhere', 'generic', 'https://hooks.example.com/', false, now());
             INSERT INTO oncall.approval (incident_id, step_id, parameters, action, proposed_by)
             SELECT incident_id, 'RB-004/x', '{}', 'SELECT 1', 'alice' FROM oncall.incident_audit;
             SELECT * FROM oncall.resolve_incident((SELECT max(incident_id) FROM oncall.incident_audit), 'a drill', true);
             SELECT * FROM oncall.keep_health_snapshot();
             INSERT INTO oncall.maintenance_window (during, labels)
             VALUES (tstzrange(now(), now() + interval '1 h'), '{\"instance\": \"db-9\"}');
             UPDATE oncall.retention SET keep = '1 day' WHERE what = 'journal';
             DELETE FROM oncall.ops_runbooks WHERE runbook_id = 'RB-008';
             UPDATE oncall.ops_runbooks SET content = content || ' Ask Kim.' WHERE runbook_id = 'RB-001' AND section = 'Escalate'",
        )
        .unwrap();
    handle(&mut client, &pool_alert("db-4"));
    let asked = pod.request_count();

    let dump = dump(&cluster, &[]);
    let mut restored = restore(&cluster, &dump);
    assert_eq!(pod.request_count(), asked, "neither the dump nor the restore asks a model");
    for table in TABLES {
        assert_eq!(comparable(&mut restored, table), comparable(&mut client, table), "{table}");
    }

    // It goes on: numbers, versions, open incidents, the policy in force, the guard.
    let repeat = handle(&mut restored, &pool_alert("db-2"));
    assert_eq!((repeat.id.as_str(), repeat.count), ("INC-0002", 3));
    pod.replies(Replies { confidence: 0.85, ..Replies::default() });
    let next = handle(&mut restored, &pool_alert("db-5"));
    assert_eq!(next.id, "INC-0005");
    assert_objection(&mut restored, &next, "confidence_reaches_threshold", "below the threshold 0.9");
    let version = "INSERT INTO oncall.router_policy (note) VALUES ('the next') RETURNING version";
    assert_eq!(restored.query_one(version, &[]).unwrap().get::<_, i64>(0), 3);
    restored.batch_execute("SELECT oncall.page_incident('INC-0001', 'once more')").unwrap();
    let numbers = "SELECT count(DISTINCT page_no) FROM oncall.delivery";
    assert_eq!(number(&mut restored, numbers), 2, "pages go on being numbered");
    refused(&mut restored, "DELETE FROM oncall.incident_audit", "42501");
    refused(&mut restored, "TRUNCATE oncall.incident_step", "42501");
    let newest = "SELECT count(*) FROM oncall.inference_audit_log GROUP BY trace_id ORDER BY 1 DESC LIMIT 1";
    assert_eq!(number(&mut restored, newest), 1, "the log's numbers go on as well");
    let steps: Vec<Step> = journal(&mut restored, "INC-0001");
    assert_eq!(steps, journal(&mut client, "INC-0001"));
    assert_eq!(incidents(&mut client).len(), 4, "the original is untouched");
}

#[test]
fn an_own_tool_and_the_runbook_that_uses_it_are_restored() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    client
        .batch_execute(
            r#"INSERT INTO oncall.tool (name, kind, summary, template, parameters)
               VALUES ('our_checkpoint', 'remediation', 'Checkpoint.', 'CHECKPOINT', '{}');
               SELECT * FROM oncall.load_runbook(E'---\nid: RB-900\ntitle: Checkpoints\nincident_type: X\n---\n\nWords.\n\n## Do it\n\nNow.\n\n```yaml step\ntool: our_checkpoint\ndestructive: false\nguard: SELECT true\nverify: SELECT true\nrollback: {tool: our_checkpoint, parameters: {}}\n```\n')"#,
        )
        .unwrap();
    let dump = dump(&cluster, &[]);
    let mut restored = restore(&cluster, &dump);
    for table in ["tool", "ops_runbooks"] {
        assert_eq!(rows(&mut restored, table), rows(&mut client, table), "{table}");
    }
}

#[test]
fn an_open_breaker_is_open_after_a_restore() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    client.batch_execute("UPDATE oncall.circuit_breaker SET state = 'open', reason = 'we do not trust it'").unwrap();
    let dump = dump(&cluster, &[]);
    let mut restored = restore(&cluster, &dump);
    let incident = handle(&mut restored, &pool_alert("db-1"));
    assert_objection(&mut restored, &incident, "breaker_closed", "open");
    assert_eq!(comparable(&mut restored, "circuit_breaker"), ["open we do not trust it"]);
}

#[test]
fn a_catalogue_of_another_dimension_is_restored_in_three_steps() {
    // The extension's script makes the column for 1024 dimensions; it has to be fitted before the rows come.
    let cluster = server(&Options::default());
    let pod = StubPod::start(Behaviour::Ok);
    pod.replies(Replies { dimension: 384, ..Replies::default() });
    let mut client = cluster.client().unwrap();
    set(&mut client, "oncall.embedding_url", &pod.url());
    set(&mut client, "oncall.embedding_model", "small");
    client.execute("SELECT * FROM oncall.reembed_runbooks()", &[]).unwrap();
    let asked = pod.request_count();
    let script = [
        dump(&cluster, &["--section=pre-data"]),
        "SELECT oncall_internal.fit_embedding(384), oncall_internal.index_embedding();\n".to_owned(),
        dump(&cluster, &["--section=data", "--section=post-data"]),
    ];
    let mut restored = restore(&cluster, &script.concat());
    assert_eq!(rows(&mut restored, "ops_runbooks"), rows(&mut client, "ops_runbooks"));
    assert_eq!(pod.request_count(), asked);
    let plan =
        "SELECT count(*) FROM pg_index WHERE indexrelid = 'oncall.ops_runbooks_embedding_idx'::regclass AND indisvalid";
    assert_eq!(number(&mut restored, plan), 1);
}

#[test]
fn drop_extension_leaves_the_roles_and_nothing_else() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    handle(&mut client, &pool_alert("db-1"));
    client.batch_execute("SELECT * FROM oncall.ensure_log_partitions(); DROP EXTENSION pg_oncall").unwrap();
    for catalogue in [
        "pg_class WHERE relnamespace",
        "pg_proc WHERE pronamespace",
        "pg_type WHERE typnamespace",
        "pg_operator WHERE oprnamespace",
    ] {
        let sql = format!(
            "SELECT count(*) FROM {catalogue} IN (SELECT oid FROM pg_namespace WHERE nspname IN ('oncall', 'oncall_internal'))"
        );
        assert_eq!(number(&mut client, &sql), 0, "{catalogue}");
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM pg_namespace WHERE nspname = 'oncall_internal'"), 0);
    assert_eq!(number(&mut client, "SELECT count(*) FROM pg_event_trigger"), 0);
    assert_eq!(number(&mut client, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'oncall\\_%'"), 6);
    // The library is loaded still, and harms nobody.
    client.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1); DROP TABLE t").unwrap();
    client.batch_execute("CREATE EXTENSION pg_oncall").unwrap();
    assert_eq!(
        handle(&mut client, &pool_alert("db-1")).id,
        "INC-0001",
        "a new installation knows nothing of the old one"
    );
}
