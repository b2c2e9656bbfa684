//! A connection pool that is exhausted, from the first client that waits to the last, with the real programs in between:
//! pgbench, PgBouncer, postgres_exporter, Prometheus, Alertmanager, and the workers.

mod common;

use std::fs;

use common::*;
use pg_test::Options;
use pg_test::lab::{Gateway, Load, Monitoring, PgBouncer, Site};
use pg_test::stub_sink::StubSink;
use serde_json::{Value, json};

/// Each transaction holds its server connection for a while, as one does whose query became slow.
const SLOW: &str = "SELECT pg_sleep(0.4);\n";

/// A production database with a pool of 50, its monitoring, and somebody to page.
struct Scene {
    sink: StubSink,
    _monitoring: Monitoring,
    gateway: Gateway,
    bouncer: PgBouncer,
    site: Site,
}

impl Scene {
    fn start() -> Self {
        let site = Site::start(Options::default()).unwrap();
        site.load_runbooks().unwrap();
        let bouncer = site.pool(50).unwrap();
        let sink = StubSink::start();
        site.page_to(&sink).unwrap();
        let gateway = Gateway::start(site.cluster()).unwrap();
        let monitoring = Monitoring::start(site.cluster(), &gateway).unwrap();
        let size = "pgbouncer_config_default_pool_size";
        until("Prometheus knows the size of the pool", || monitoring.value(size) == Some(50.0));
        Self { sink, _monitoring: monitoring, gateway, bouncer, site }
    }

    /// Wait until the workers have done their part at the incident of the alert.
    fn treated(&self) -> Value {
        self.site.treated("PgBouncerPoolExhausted", 2 * GUARD).unwrap()
    }

    fn waiting(&self) -> u32 {
        self.bouncer.waiting().unwrap()
    }

    /// The pages of this kind that the sink got.
    fn pages(&self, kind: &str) -> Vec<Value> {
        let bodies = self.sink.received().into_iter().map(|received| received.request.json()["data"].clone());
        bodies.filter(|page| page["kind"] == kind).collect()
    }
}

#[test]
fn a_pool_that_load_exhausts_is_enlarged_its_clients_are_served_and_the_audit_row_says_so() {
    let scene = Scene::start();
    let load = Load::through(&scene.bouncer, scene.site.cluster(), 110, SLOW).unwrap();
    until("clients wait", || scene.waiting() > 20);
    let incident = scene.treated();

    // What came in is what Alertmanager sent, word for word.
    let sent = scene.gateway.received().remove(0);
    assert_eq!((&sent["version"], &sent["receiver"]), (&json!("4"), &json!("pg_oncall")));
    let mut client = scene.site.client().unwrap();
    let row = client.query_one("SELECT payload, received_by::text FROM oncall.alert_inbox ORDER BY id LIMIT 1", &[]);
    let row = row.unwrap();
    assert_eq!((row.get::<_, Value>(0), row.get::<_, &str>(1)), (sent, "alert_gateway"));

    // What was decided and done, in the shape of the row.
    assert_eq!(incident["routing_decision"], "autonomous", "{incident:#}");
    assert_eq!(incident["runbook_retrieved"], "RB-001");
    assert_eq!(incident["classification"], "ConnectionPoolExhaustion");
    assert_eq!(incident["severity"], "P1");
    let action = &incident["remediation_action"];
    assert_eq!(action["tool"], "pgbouncer_set", "{action:#}");
    assert_eq!(action["param"], "default_pool_size");
    assert_eq!((&action["from"], &action["to"]), (&json!(50), &json!(120)));
    assert_eq!(action["outcome"], "done");
    let done = &action["actions"][0];
    assert_eq!(done["verified"], true);
    let waited = |when: &str| done[when]["clients_waiting"].as_i64().unwrap();
    assert!(waited("before") > 0 && waited("after") < waited("before"), "{done:#}");
    assert!(incident["diagnostics"]["active"].as_u64() > Some(0), "{:#}", incident["diagnostics"]);
    assert_eq!(incident["diagnostics"]["query"], "pg_stat_activity");
    assert_eq!(incident["notification"]["tracker_id"], incident["incident_id"]);
    assert!(incident["resolution_time_s"].is_number() && incident["escalation"].is_null());

    // It helped, and whoever is on call reads in the morning what was done and what is left to do.
    assert_eq!(scene.bouncer.setting("default_pool_size").unwrap().as_deref(), Some("120"));
    until("nobody waits", || scene.waiting() == 0);
    until("more than 50 are served at once", || scene.bouncer.pools().unwrap()[0].servers_active > 50);
    until("people are told", || !scene.pages("notice").is_empty());
    let note = scene.pages("notice").remove(0);
    let follow_up = action["follow_up"][0].as_str().unwrap();
    assert!(follow_up.contains("volatile") && follow_up.contains("pgbouncer.ini"), "{follow_up}");
    assert!(note["recommended"][0]["summary"].as_str().unwrap().contains(follow_up), "{note:#}");
    assert!(scene.pages("escalation").is_empty());

    // Prometheus sees that it is over, and Alertmanager says so.
    until("the incident is resolved by its sender", || {
        scene.site.audit("PgBouncerPoolExhausted").unwrap()["state"] == "resolved"
    });
    drop(load);

    // And volatile it is.
    scene.bouncer.reload().unwrap();
    assert_eq!(scene.bouncer.setting("default_pool_size").unwrap().as_deref(), Some("50"));
}

#[test]
fn a_pool_that_idle_transactions_hold_is_not_enlarged_but_freed_once_a_person_approves() {
    let scene = Scene::start();
    let mut client = scene.site.client().unwrap();
    hasten(&scene, &mut client);
    // Sessions of the application may be ended, once somebody says so.
    client.batch_execute("GRANT app TO oncall_executor; CREATE ROLE alice LOGIN IN ROLE oncall_operator").unwrap();
    let _holders = Load::idle_in_transaction(&scene.bouncer, scene.site.cluster(), 50).unwrap();
    let idle = "SELECT count(*) FROM pg_stat_activity
                WHERE state = 'idle in transaction' AND state_change < now() - interval '10 s'";
    until("50 sessions idle in transaction", || number(&mut client, idle) == 50);
    let load = Load::through(&scene.bouncer, scene.site.cluster(), 20, "SELECT pg_sleep(0.01);\n").unwrap();
    until("clients wait", || scene.waiting() == 20);

    // RB-001 was right for the alert and wrong for the world.
    let incident = scene.treated();
    let id = incident["incident_id"].as_str().unwrap().to_owned();
    assert_eq!(incident["routing_decision"], "autonomous", "{incident:#}");
    let first = &incident["remediation_action"]["actions"][0];
    assert_eq!((&first["step"], &first["end"]), (&json!(POOL_STEP), &json!("refused")), "{first:#}");
    assert!(incident["escalation"].as_str().unwrap().contains(POOL_STEP));
    assert_eq!(incident["diagnostics"]["idle_in_tx"], 50);
    assert_eq!(scene.bouncer.setting("default_pool_size").unwrap().as_deref(), Some("50"));
    assert!(journal(&mut client, &id).iter().all(|step| step.kind != "action"), "nothing was done");

    // The page says why, what was seen, and what to type.
    until("a person is paged", || !scene.pages("escalation").is_empty());
    let page = scene.pages("escalation").remove(0);
    let step = "RB-004/end-the-sessions-that-idle-in-a-transaction";
    let seen = page["evidence"].to_string();
    assert!(seen.contains("idle in transaction") && seen.contains(POOL_STEP), "{page:#}");
    let recommended = page["recommended"].as_array().unwrap().iter().find(|action| action["step_id"] == step);
    let recommended = recommended.unwrap_or_else(|| panic!("{page:#}"));
    assert_eq!(recommended["destructive"], true);

    let mut alice = scene.site.cluster().client_as("alice", "production").unwrap();
    alice.batch_execute(recommended["approve"].as_str().unwrap()).unwrap_or_else(|error| panic!("{}", told(&error)));
    until("nobody waits", || scene.waiting() == 0);
    until("the clients are served", || load.transactions_per_second() > Some(10.0));
    until("the audit row is complete", || {
        let incident = scene.site.audit("PgBouncerPoolExhausted").unwrap();
        let actions = incident["remediation_action"]["actions"].as_array().cloned().unwrap_or_default();
        actions
            .iter()
            .any(|action| action["step"] == step && action["approved_by"] == "alice" && action["end"] == "done")
    });
    let left = number(&mut client, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'");
    assert_eq!(left, 0);
}

/// RB-004 looks for sessions that have idled for two minutes. Nobody would run a test that waits for so long.
fn hasten(scene: &Scene, client: &mut postgres::Client) {
    let directory = scene.site.cluster().tree().runbooks().unwrap();
    let file = "RB-004-pool-held-by-idle-in-transaction.md";
    let markdown = fs::read_to_string(directory.join(file)).unwrap();
    let hastened = markdown.replace("2 min", "10 s");
    assert_ne!(hastened, markdown);
    client.query("SELECT * FROM oncall.load_runbook($1, $2)", &[&hastened, &file]).unwrap();
}
