//! Tools that end other people's sessions, run as the role that they run as: they find them, and say when they may not.

mod common;

use common::*;
use pg_test::{Cluster, Options};
use postgres::Client;

/// The statement of a tool, with its parameters put in as they are: quoting has its own tests.
fn rendered(client: &mut Client, tool: &str, parameters: &[(&str, &str)]) -> String {
    let row = client.query_one("SELECT template FROM oncall.tool WHERE name = $1", &[&tool]).unwrap();
    let template: String = row.get(0);
    parameters.iter().fold(template, |sql, (name, value)| sql.replace(&format!("{{{name}}}"), value))
}

/// A server with the role `app`, and a session that acts as `oncall_executor`.
fn cast() -> (Cluster, Client) {
    let cluster = bare(&Options::default());
    let mut executor = cluster.client().unwrap();
    executor.batch_execute("CREATE ROLE app LOGIN; CREATE ROLE somebody LOGIN SUPERUSER").unwrap();
    (cluster, executor)
}

/// A session of this role that began a transaction and does nothing.
fn idle_in_transaction(cluster: &Cluster, role: &str) -> Client {
    let mut client = cluster.client_as(role, "postgres").unwrap();
    client.batch_execute("BEGIN").unwrap();
    client
}

const IDLE: (&str, &[(&str, &str)]) =
    ("terminate_idle_in_transaction", &[("min_idle", "'0 s'"), ("max_sessions", "100")]);

#[test]
fn ending_sessions_without_the_right_to_is_an_error_and_not_an_empty_success() {
    let (cluster, mut executor) = cast();
    let mut held = idle_in_transaction(&cluster, "app");
    let sql = rendered(&mut executor, IDLE.0, IDLE.1);
    executor.batch_execute("SET ROLE oncall_executor").unwrap();
    refused(&mut executor, &sql, "42501");
    held.batch_execute("COMMIT").expect("the session is still there");
}

#[test]
fn sessions_idle_in_transaction_are_ended_once_their_role_is_granted() {
    let (cluster, mut executor) = cast();
    let mut held = idle_in_transaction(&cluster, "app");
    executor.batch_execute("GRANT app TO oncall_executor").unwrap();
    let sql = rendered(&mut executor, IDLE.0, IDLE.1);
    executor.batch_execute("SET ROLE oncall_executor").unwrap();
    assert_eq!(executor.query(&sql, &[]).unwrap().len(), 1);
    until("the session is gone", || held.is_closed() || held.simple_query("SELECT 1").is_err());
}

#[test]
fn a_superuser_who_idles_in_a_transaction_saves_nobody_else() {
    let (cluster, mut executor) = cast();
    // The oldest transaction comes first, and nobody but a superuser may end a superuser's.
    let mut administrator = idle_in_transaction(&cluster, "somebody");
    let _held = idle_in_transaction(&cluster, "app");
    executor.batch_execute("GRANT pg_signal_backend TO oncall_executor").unwrap();
    let sql = rendered(&mut executor, IDLE.0, IDLE.1);
    executor.batch_execute("SET ROLE oncall_executor").unwrap();
    assert_eq!(executor.query(&sql, &[]).unwrap().len(), 1);
    administrator.batch_execute("COMMIT").expect("the superuser's session is left alone");
}

#[test]
fn the_head_of_a_blocking_chain_is_found_by_a_role_that_owns_none_of_its_sessions() {
    let (cluster, mut executor) = cast();
    executor.batch_execute("CREATE TABLE contended (); ALTER TABLE contended OWNER TO app").unwrap();
    let mut blocker = idle_in_transaction(&cluster, "app");
    blocker.batch_execute("LOCK TABLE contended").unwrap();
    let mut waiter = cluster.client_as("app", "postgres").unwrap();
    let pid = backend_pid(&mut waiter);
    let waiting = background(move || waiter.batch_execute("SELECT * FROM contended"));
    let blocked = format!("SELECT cardinality(pg_blocking_pids({pid}))::bigint");
    until("somebody waits", || number(&mut executor, &blocked) == 1);

    let sql = rendered(&mut executor, "terminate_root_blocker", &[("min_waiters", "1"), ("min_wait", "'0 s'")]);
    executor.batch_execute("SET ROLE oncall_executor").unwrap();
    refused(&mut executor, &sql, "42501");
    executor.batch_execute("RESET ROLE; GRANT app TO oncall_executor; SET ROLE oncall_executor").unwrap();
    assert_eq!(executor.query(&sql, &[]).unwrap().len(), 1);
    waiting.result().expect("whoever waited goes on");
}
