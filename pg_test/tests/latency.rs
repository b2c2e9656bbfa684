//! A query that became slow on a table of a million rows, which is being written to: the index that is missing is built
//! and the statistics are refreshed, for real.

mod common;

use std::time::Instant;

use common::*;
use pg_test::Options;
use pg_test::lab::{Gateway, Load, Site};
use serde_json::{Value, json};

/// No index but the key, and statistics from before the rows came. The owner lets pg_oncall work on it.
const ORDERS: &str = "
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id int NOT NULL, created_at timestamptz NOT NULL, total numeric NOT NULL
) WITH (autovacuum_enabled = off);
ANALYZE orders;
INSERT INTO orders (customer_id, created_at, total)
SELECT n % 20000, now() - n * interval '10 s', n % 100 FROM generate_series(1, 1000000) AS n;
ALTER TABLE orders OWNER TO app;
GRANT app TO oncall_executor;
GRANT SELECT ON orders TO oncall_observer";

/// What the application does meanwhile, some hundred times a second.
const WRITES: &str = "\\set id random(1, 1000000)
UPDATE orders SET total = total + 1 WHERE id = :id;
INSERT INTO orders (customer_id, created_at, total) VALUES (:id % 20000, now(), 1);
\\sleep 5 ms
";

/// What became slow.
const QUERY: &str =
    "SELECT sum(total) FROM orders WHERE customer_id = 4711 AND created_at > now() - interval '30 days'";

/// What Alertmanager sends for a rule on the application's own latency.
fn latency_spike() -> Value {
    let labels = json!({
        "alertname": "QueryLatencySpike", "severity": "warning", "instance": "shop-1:8080", "job": "shop",
        "datname": "production", "relation": "orders",
    });
    let annotations = json!({
        "summary": "Query latency: p95 is 24 times the rolling baseline on the orders table",
        "description": "Sequential scans on orders are rising, the last ANALYZE is 9 days old.",
    });
    alertmanager_body("QueryLatencySpike", &labels, &annotations)
}

#[test]
fn a_missing_index_is_built_and_statistics_are_refreshed_while_the_application_writes() {
    let site = Site::start(Options::default()).unwrap();
    site.load_runbooks().unwrap();
    let mut client = site.client().unwrap();
    client.batch_execute(ORDERS).unwrap();
    let mut writers = Load::on(site.cluster(), 2, WRITES).unwrap();
    let scanned = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'orders'";
    until("the scans show in the statistics", || {
        client.query(QUERY, &[]).unwrap();
        number(&mut client, scanned) > 1_000_000
    });
    let written = "SELECT count(*) FROM orders";
    let rows = number(&mut client, written);

    let gateway = Gateway::start(site.cluster()).unwrap();
    let began = Instant::now();
    assert_eq!(gateway.post(&latency_spike()), 200);
    let incident = site.treated("QueryLatencySpike", GUARD).unwrap();
    println!("from the webhook to the complete audit row: {:.1} s", began.elapsed().as_secs_f64());

    assert_eq!(incident["routing_decision"], "autonomous", "{incident:#}");
    assert_eq!(incident["runbook_retrieved"], "RB-002");
    let actions = incident["remediation_action"]["actions"].as_array().unwrap();
    let ends: Vec<_> = actions.iter().map(|action| (&action["tool"], &action["end"], &action["verified"])).collect();
    let done = |tool| (json!(tool), json!("done"), json!(true));
    let expected = [done("create_index_concurrently"), done("vacuum_analyze")];
    assert_eq!(ends, expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>(), "{incident:#}");
    assert!(incident["escalation"].is_null());

    // The row says what it was good for.
    let (before, after) = (&actions[0]["before"]["query_ms"], &actions[0]["after"]["query_ms"]);
    println!("the query took {before} ms before and {after} ms afterwards");
    assert!(before.as_f64().unwrap() > 5.0 * after.as_f64().unwrap(), "{:#}", actions[0]);
    let changed = |when: &str| actions[1][when]["rows_changed_since_analyze"].as_i64().unwrap();
    assert!(changed("before") > 1_000_000 && changed("after") < changed("before") / 10, "{:#}", actions[1]);

    // And so does the database.
    let valid =
        "SELECT count(*) FROM pg_index WHERE indexrelid = 'orders_customer_created_idx'::regclass AND indisvalid";
    assert_eq!(number(&mut client, valid), 1);
    let plan = client.query(&format!("EXPLAIN {QUERY}"), &[]).unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("orders_customer_created_idx")), "{plan:#?}");
    assert!(writers.is_running() && number(&mut client, written) > rows, "the application went on writing");
}
