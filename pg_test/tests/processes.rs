//! The background processes: one pump in each database that has the extension, whatever happens to it.

mod common;

use std::time::Instant;

use common::{bare, code, number, refused, told, until};
use pg_test::{Cluster, Options};
use postgres::Client;

const PUMP: &str = "pg_oncall pump";
const LAUNCHER: &str = "pg_oncall launcher";

/// The processes of a kind, in a database, or in none.
fn pids(client: &mut Client, kind: &str, database: Option<&str>) -> Vec<i32> {
    let sql =
        "SELECT pid FROM pg_stat_activity WHERE backend_type = $1 AND datname IS NOT DISTINCT FROM $2 ORDER BY pid";
    client.query(sql, &[&kind, &database]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// The pump of a database, as soon as there is one.
fn pump(client: &mut Client, database: &str) -> i32 {
    let mut found = Vec::new();
    until(&format!("{database} has a pump"), || {
        found = pids(client, PUMP, Some(database));
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "one pump a database");
    found[0]
}

/// The pump that comes after this one.
fn next_pump(client: &mut Client, database: &str, before: i32) -> i32 {
    until(&format!("{database} has another pump"), || {
        pids(client, PUMP, Some(database)).first().is_some_and(|&pid| pid != before)
    });
    pump(client, database)
}

fn until_no_pump(client: &mut Client, database: &str) {
    until(&format!("{database} has no pump"), || pids(client, PUMP, Some(database)).is_empty());
}

fn set_up(options: &Options) -> (Cluster, Client) {
    let cluster = bare(options);
    let client = cluster.client().unwrap();
    (cluster, client)
}

/// A further database with the extension; its pump.
fn database_with_extension(cluster: &Cluster, client: &mut Client, name: &str) -> i32 {
    client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    install(cluster, name);
    pump(client, name)
}

fn install(cluster: &Cluster, database: &str) {
    cluster.client_as("postgres", database).unwrap().batch_execute("CREATE EXTENSION pg_oncall CASCADE").unwrap();
}

/// The lines of the server's log that somebody would have to look into.
fn complaints(cluster: &Cluster) -> Vec<String> {
    let bad = |line: &&str| ["WARNING:", "ERROR:", "FATAL:", "PANIC:"].iter().any(|level| line.contains(level));
    cluster.log().lines().filter(bad).map(str::to_owned).collect()
}

fn reload(client: &mut Client, setting: &str) {
    client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
}

#[test]
fn a_pump_comes_with_the_extension_and_goes_with_it() {
    let cluster = Cluster::start(&Options::default().workers()).unwrap();
    let mut client = cluster.client().unwrap();
    until("the launcher is there", || !pids(&mut client, LAUNCHER, None).is_empty());
    client.batch_execute("CREATE EXTENSION vector").unwrap();
    client.batch_execute("CREATE EXTENSION pg_oncall").unwrap();
    let committed = Instant::now();
    pump(&mut client, "postgres");
    println!("from CREATE EXTENSION to the pump: {} ms", committed.elapsed().as_millis());
    client.batch_execute("DROP EXTENSION pg_oncall").unwrap();
    let dropped = Instant::now();
    until_no_pump(&mut client, "postgres");
    println!("from DROP EXTENSION to its end: {} ms", dropped.elapsed().as_millis());
    assert_eq!(complaints(&cluster), [""; 0]);
}

#[test]
fn an_extension_that_is_rolled_back_gets_no_pump() {
    let cluster = Cluster::start(&Options::default().workers()).unwrap();
    let mut client = cluster.client().unwrap();
    client.batch_execute("BEGIN; CREATE EXTENSION pg_oncall CASCADE; ROLLBACK").unwrap();
    // The launcher answers calls in their order: with this one it has seen all before.
    database_with_extension(&cluster, &mut client, "other");
    assert_eq!(pids(&mut client, PUMP, Some("postgres")), [0; 0]);
}

#[test]
fn fifteen_fast_pairs_of_drop_and_create_leave_one_pump_at_work() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    let first = pump(&mut client, "postgres");
    for _ in 0..15 {
        client.batch_execute("DROP EXTENSION pg_oncall").unwrap();
        client.batch_execute("CREATE EXTENSION pg_oncall").unwrap();
    }
    let last = next_pump(&mut client, "postgres", first);
    assert_eq!(pids(&mut client, PUMP, Some("postgres")), [last]);
    assert_eq!(complaints(&cluster), [""; 0]);
}

#[test]
fn an_extension_dropped_and_made_in_one_transaction_gets_a_new_pump() {
    let (_cluster, mut client) = set_up(&Options::default().workers());
    let before = pump(&mut client, "postgres");
    client.batch_execute("BEGIN; DROP EXTENSION pg_oncall; CREATE EXTENSION pg_oncall; COMMIT").unwrap();
    next_pump(&mut client, "postgres", before);
}

#[test]
fn a_reload_sends_the_pumps_away_and_brings_them_back() {
    let (_cluster, mut client) = set_up(&Options::default().workers());
    pump(&mut client, "postgres");
    reload(&mut client, "oncall.workers = off");
    until_no_pump(&mut client, "postgres");
    assert_eq!(pids(&mut client, LAUNCHER, None).len(), 1);
    reload(&mut client, "oncall.workers = on");
    pump(&mut client, "postgres");
}

#[test]
fn a_terminated_pump_is_replaced_and_a_cancel_disturbs_none() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    let before = pump(&mut client, "postgres");
    // A cancel that meets one of its first statements ends that statement, as it should.
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall pump' AND wait_event = 'Extension'";
    until("the pump waits", || number(&mut client, waits) == 1);
    client.execute("SELECT pg_cancel_backend($1)", &[&before]).unwrap();
    client.execute("SELECT pg_terminate_backend($1)", &[&before]).unwrap();
    let terminated = Instant::now();
    next_pump(&mut client, "postgres", before);
    println!("from pg_terminate_backend to the next pump: {} ms", terminated.elapsed().as_millis());
    // It had survived the cancel until then.
    assert!(cluster.log().contains("due to administrator command"), "{}", cluster.log());
    assert!(!cluster.log().contains("canceling statement"), "{}", cluster.log());
}

#[test]
fn a_terminated_launcher_is_replaced_and_adopts_the_pumps() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    let pump_before = pump(&mut client, "postgres");
    let before = pids(&mut client, LAUNCHER, None)[0];
    client.execute("SELECT pg_terminate_backend($1)", &[&before]).unwrap();
    until("there is another launcher", || pids(&mut client, LAUNCHER, None).first().is_some_and(|&pid| pid != before));
    // It serves, so it has looked at every database.
    database_with_extension(&cluster, &mut client, "other");
    assert_eq!(pids(&mut client, PUMP, Some("postgres")), [pump_before]);
    // The end of a pump that it did not start itself is no secret to it either.
    client.execute("SELECT pg_terminate_backend($1)", &[&pump_before]).unwrap();
    next_pump(&mut client, "postgres", pump_before);
}

#[test]
fn after_a_crash_and_after_a_restart_every_pump_is_back() {
    let (mut cluster, mut client) = set_up(&Options::default().workers());
    database_with_extension(&cluster, &mut client, "other");
    for (killed, database) in [(PUMP, Some("postgres")), (LAUNCHER, None)] {
        let victim = pids(&mut client, killed, database)[0];
        cluster.signal("KILL", victim.unsigned_abs()).unwrap();
        until("the server accepts connections again", || {
            client.is_closed() || client.batch_execute("SELECT 1").is_err()
        });
        until("the server accepts connections again", || cluster.client().map(|new| client = new).is_ok());
        pump(&mut client, "postgres");
        pump(&mut client, "other");
    }
    let stopping = Instant::now();
    cluster.restart("INT").unwrap();
    println!("a fast restart: {} ms", stopping.elapsed().as_millis());
    let mut client = cluster.client().unwrap();
    pump(&mut client, "postgres");
    pump(&mut client, "other");
    assert!(!cluster.log().contains("PANIC"), "{}", cluster.log());
}

#[test]
fn a_database_with_a_pump_can_be_renamed_copied_moved_and_dropped() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    let before = database_with_extension(&cluster, &mut client, "app");
    client.batch_execute("ALTER DATABASE app RENAME TO shop").unwrap();
    let before = next_pump(&mut client, "shop", before);
    client.batch_execute("CREATE DATABASE copy TEMPLATE shop").unwrap();
    next_pump(&mut client, "shop", before);
    let before = pump(&mut client, "copy");
    client.batch_execute("SET allow_in_place_tablespaces = on").unwrap();
    client.batch_execute("CREATE TABLESPACE elsewhere LOCATION ''").unwrap();
    client.batch_execute("ALTER DATABASE copy SET TABLESPACE elsewhere").unwrap();
    next_pump(&mut client, "copy", before);
    client.batch_execute("DROP DATABASE copy").unwrap();
    client.batch_execute("DROP DATABASE shop").unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_oncall pump'"), 1);
    assert_eq!(complaints(&cluster), [""; 0]);
}

#[test]
fn a_database_that_could_not_be_dropped_gets_its_pump_back() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    let before = database_with_extension(&cluster, &mut client, "app");
    let _in_use = cluster.client_as("postgres", "app").unwrap();
    refused(&mut client, "DROP DATABASE app", "55006");
    next_pump(&mut client, "app", before);
}

#[test]
fn nobody_but_the_owner_can_send_a_pump_away() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    let before = database_with_extension(&cluster, &mut client, "app");
    client.batch_execute("CREATE ROLE mallory LOGIN CREATEDB").unwrap();
    let mut mallory = cluster.client_as("mallory", "postgres").unwrap();
    refused(&mut mallory, "ALTER DATABASE app RENAME TO mine", "42501");
    refused(&mut mallory, "CREATE DATABASE mine TEMPLATE app", "42501");
    refused(&mut mallory, "ALTER DATABASE app SET TABLESPACE pg_default", "42501");
    refused(&mut mallory, "DROP DATABASE app", "42501");
    refused(&mut mallory, &format!("SELECT pg_terminate_backend({before})"), "42501");
    // No lock that SQL can take is the pump's.
    mallory
        .batch_execute("SELECT pg_advisory_lock(n), pg_advisory_lock(n, 47) FROM generate_series(0, 100) AS n")
        .unwrap();
    client.execute("SELECT pg_terminate_backend($1)", &[&pump(&mut cluster.client().unwrap(), "app")]).unwrap();
    let after = next_pump(&mut client, "app", before);
    assert_ne!(before, after);
}

#[test]
fn a_template_has_no_pump() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    database_with_extension(&cluster, &mut client, "app");
    client.batch_execute("ALTER DATABASE app IS_TEMPLATE true").unwrap();
    until_no_pump(&mut client, "app");
    client.batch_execute("CREATE DATABASE made TEMPLATE app").unwrap();
    pump(&mut client, "made");
    assert_eq!(pids(&mut client, PUMP, Some("app")), [0; 0]);
    client.batch_execute("ALTER DATABASE app IS_TEMPLATE false").unwrap();
    pump(&mut client, "app");
}

#[test]
fn a_pump_waits_for_a_free_worker_process() {
    // One for the launcher, one for a pump.
    let options =
        Options::default().workers().set("max_worker_processes", "2").set("max_logical_replication_workers", "0");
    let (cluster, mut client) = set_up(&options);
    pump(&mut client, "postgres");
    client.batch_execute("CREATE DATABASE other").unwrap();
    install(&cluster, "other");
    let waits = "SELECT count(*) FROM oncall.worker_status() WHERE kind = 'launcher' AND waiting_for LIKE '%max_worker_processes%'";
    until("the launcher says what it waits for", || number(&mut client, waits) == 1);
    assert_eq!(pids(&mut client, PUMP, Some("other")), [0; 0]);
    client.batch_execute("DROP EXTENSION pg_oncall").unwrap();
    pump(&mut client, "other");
}

#[test]
fn on_a_standby_nothing_runs_until_it_is_promoted() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    let on_primary = pump(&mut client, "postgres");
    let standby = cluster.standby(&Options::default().workers()).unwrap();
    let mut reader = standby.client().unwrap();
    assert_eq!(number(&mut reader, "SELECT count(*) FROM oncall.worker_status()"), 0);
    // What the primary does arrives there, and still starts nothing.
    client.batch_execute("CREATE TABLE marker ()").unwrap();
    until("the standby follows", || number(&mut reader, "SELECT count(to_regclass('marker'))") == 1);
    assert_eq!(number(&mut reader, "SELECT count(*) FROM oncall.worker_status()"), 0);
    reader.batch_execute("SELECT pg_promote()").unwrap();
    pump(&mut reader, "postgres");
    assert_eq!(pump(&mut client, "postgres"), on_primary);
}

#[test]
fn worker_status_shows_the_processes_of_this_database_to_readers() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    database_with_extension(&cluster, &mut client, "other");
    let pid = pump(&mut client, "postgres");
    client
        .batch_execute("CREATE ROLE reader LOGIN; GRANT oncall_reader TO reader; CREATE ROLE stranger LOGIN")
        .unwrap();
    let mut reader = cluster.client_as("reader", "postgres").unwrap();
    let sql = "SELECT pid, database, kind, waiting_for, since <= now() FROM oncall.worker_status()";
    let mut rows = Vec::new();
    until("both have said what they wait for", || {
        rows = reader.query(sql, &[]).unwrap_or_else(|error| panic!("{}", told(&error)));
        rows.len() == 2 && rows.iter().all(|row| row.get::<_, Option<&str>>(3).is_some())
    });
    assert_eq!(
        rows.iter().map(|row| (row.get(1), row.get(2))).collect::<Vec<(Option<&str>, &str)>>(),
        [(None, "launcher"), (Some("postgres"), "pump")]
    );
    assert_eq!(rows[1].get::<_, i32>(0), pid);
    let refused = cluster.client_as("stranger", "postgres").unwrap().query(sql, &[]).unwrap_err();
    assert_eq!(code(&refused), "42501");
    // While it waits, no transaction is open and nothing is kept from being vacuumed.
    let open = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pg_oncall%'
                AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL OR state <> 'idle')";
    until("they are at rest", || number(&mut client, open) == 0);
}

#[test]
fn a_second_pump_of_a_database_finds_the_first_and_ends_with_nothing_done() {
    let (cluster, mut client) = set_up(&Options::default().workers());
    let first = database_with_extension(&cluster, &mut client, "shop");
    // While the database is being renamed nobody gets into it: a pump that is started waits at the door.
    client.batch_execute("BEGIN; ALTER DATABASE shop RENAME TO other").unwrap();
    let mut watcher = cluster.client().unwrap();
    let at_the_door = "SELECT count(*) FROM pg_locks
                       WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND NOT granted";
    until("one waits", || number(&mut watcher, at_the_door) == 1);
    // A new launcher knows nothing of a pump that is not at work yet, and starts another.
    watcher.execute("SELECT pg_terminate_backend($1)", &[&pids(&mut client, LAUNCHER, None)[0]]).unwrap();
    until("two wait", || number(&mut watcher, at_the_door) == 2);
    client.batch_execute("ROLLBACK").unwrap();
    until("one of the two has seen the other", || cluster.log().contains("another pump is at work in this database"));
    let at_work = next_pump(&mut client, "shop", first);

    let mut shop = cluster.client_as("postgres", "shop").unwrap();
    let alert = r#"{"text": "the disk is full", "labels": {"alertname": "Disk", "instance": "db-1"}}"#;
    shop.batch_execute(&format!("INSERT INTO oncall.alert_inbox (source, payload) VALUES ('test', '{alert}')"))
        .unwrap();
    until("it is handled", || {
        number(&mut shop, "SELECT count(*) FROM oncall.incident_audit WHERE state = 'handled'") == 1
    });
    let done = "SELECT count(*) + 100 * max(attempts) FROM oncall.incident_work";
    assert_eq!(number(&mut shop, done), 101, "one piece of work, begun once");
    assert_eq!(number(&mut shop, "SELECT count(*) FROM oncall.incident_step WHERE kind = 'end'"), 1);
    // And nobody starts them over and over.
    assert_eq!(pids(&mut client, PUMP, Some("shop")), [at_work]);
    assert_eq!(cluster.log().matches("another pump is at work").count(), 1);
}
