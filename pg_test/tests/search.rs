//! The search goes by what is committed, whatever a session keeps of the runbooks in its memory.

mod common;

use common::{bare, code, load_runbooks, number, server, set, told, until};
use pg_test::{Cluster, Options};
use postgres::Client;

/// The best section for words, as `runbook/section`; none where nothing is near.
fn best(client: &mut Client, words: &str) -> Option<String> {
    let sql = "SELECT runbook_id || '/' || section FROM oncall.search_runbooks($1, 1) WHERE similarity > 0.2";
    let rows = client.query(sql, &[&words]).unwrap_or_else(|error| panic!("{}", told(&error)));
    rows.first().map(|row| row.get(0))
}

const WORDS: &str = "the coffee machine leaks";

fn write_section(client: &mut Client, content: &str) {
    let sql =
        "INSERT INTO oncall.ops_runbooks (runbook_id, title, section, content) VALUES ('COFFEE', 'Kitchen', 'Note', $1)
               ON CONFLICT (runbook_id, section) DO UPDATE SET content = $1";
    client.execute(sql, &[&content]).unwrap();
}

/// A server, a session that has searched once and so keeps what it read, and one that writes.
fn two_sessions(options: &Options) -> (Cluster, Client, Client) {
    let cluster = server(options);
    let (mut reader, writer) = (cluster.client().unwrap(), cluster.client().unwrap());
    assert_eq!(best(&mut reader, WORDS), None);
    (cluster, reader, writer)
}

const COFFEE: Option<&str> = Some("COFFEE/Note");

#[test]
fn what_another_session_writes_is_found_once_it_is_committed_and_no_sooner() {
    let (_cluster, mut reader, mut writer) = two_sessions(&Options::default());
    writer.batch_execute("BEGIN").unwrap();
    write_section(&mut writer, WORDS);
    assert_eq!(best(&mut reader, WORDS), None, "nobody else sees it yet");
    writer.batch_execute("COMMIT").unwrap();
    assert_eq!(best(&mut reader, WORDS).as_deref(), COFFEE);

    write_section(&mut writer, "Fold a paper plane.");
    assert_eq!(best(&mut reader, WORDS), None, "it says something else now");
    assert_eq!(best(&mut reader, "fold a paper plane").as_deref(), COFFEE);

    writer.execute("DELETE FROM oncall.ops_runbooks WHERE runbook_id = 'COFFEE'", &[]).unwrap();
    assert_eq!(best(&mut reader, "fold a paper plane"), None);

    assert!(best(&mut reader, "connection pool exhausted").is_some());
    writer.batch_execute("TRUNCATE oncall.ops_runbooks").unwrap();
    assert_eq!(best(&mut reader, "connection pool exhausted"), None);
}

#[test]
fn a_transaction_finds_what_it_has_written_itself_and_nothing_of_it_after_a_rollback() {
    let (_cluster, mut reader, _writer) = two_sessions(&Options::default());
    reader.batch_execute("BEGIN").unwrap();
    write_section(&mut reader, WORDS);
    assert_eq!(best(&mut reader, WORDS).as_deref(), COFFEE);
    reader.batch_execute("SAVEPOINT before").unwrap();
    write_section(&mut reader, "Fold a paper plane.");
    assert_eq!(best(&mut reader, "fold a paper plane").as_deref(), COFFEE);
    reader.batch_execute("ROLLBACK TO before").unwrap();
    assert_eq!(best(&mut reader, "fold a paper plane"), None);
    assert_eq!(best(&mut reader, WORDS).as_deref(), COFFEE);
    reader.batch_execute("ROLLBACK").unwrap();
    assert_eq!(best(&mut reader, WORDS), None);
}

#[test]
fn what_a_transaction_with_an_old_snapshot_has_read_is_not_kept() {
    let (_cluster, mut reader, mut writer) = two_sessions(&Options::default());
    reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TABLE of_my_own ()").unwrap();
    write_section(&mut writer, WORDS);
    assert_eq!(best(&mut reader, WORDS), None, "its snapshot is older");
    reader.batch_execute("COMMIT").unwrap();
    assert_eq!(best(&mut reader, WORDS).as_deref(), COFFEE);
}

#[test]
fn one_statement_that_began_before_a_change_does_not_leave_its_old_view_to_the_next() {
    let (_cluster, mut reader, mut writer) = two_sessions(&Options::default());
    // The snapshot of the statement is taken, the change is committed, and only then the statement searches.
    let slow = std::thread::spawn(move || {
        let sql = "SELECT pg_sleep(2), (SELECT count(*) FROM oncall.search_runbooks($1, 1))";
        reader.query(sql, &[&WORDS]).unwrap();
        reader
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    write_section(&mut writer, WORDS);
    let mut reader = slow.join().unwrap();
    assert_eq!(best(&mut reader, WORDS).as_deref(), COFFEE);
}

#[test]
fn rows_of_a_replica_s_session_and_prepared_transactions_are_found_too() {
    let (_cluster, mut reader, mut writer) = two_sessions(&Options::default().set("max_prepared_transactions", "2"));
    set(&mut writer, "session_replication_role", "replica");
    let copy = "INSERT INTO oncall.ops_runbooks (runbook_id, title, section, content, destructive, embedding_model, embedding, builtin_embedding)
                SELECT 'COFFEE', 'Kitchen', 'Note', $1, false, 'builtin', oncall.embed_builtin($1), oncall.embed_builtin($1)::halfvec";
    writer.execute(copy, &[&WORDS]).unwrap();
    assert_eq!(best(&mut reader, WORDS).as_deref(), COFFEE);

    writer
        .batch_execute("BEGIN; DELETE FROM oncall.ops_runbooks WHERE runbook_id = 'COFFEE'; PREPARE TRANSACTION 'gone'")
        .unwrap();
    assert_eq!(best(&mut reader, WORDS).as_deref(), COFFEE);
    assert_eq!(best(&mut writer, WORDS).as_deref(), COFFEE);
    writer.batch_execute("COMMIT PREPARED 'gone'").unwrap();
    assert_eq!(best(&mut reader, WORDS), None);
    assert_eq!(best(&mut writer, WORDS), None);
}

#[test]
fn what_a_statement_that_fails_has_read_in_its_midst_is_not_kept() {
    let (_cluster, mut reader, _writer) = two_sessions(&Options::default());
    write_section(&mut reader, "Fold a paper plane.");
    // A function may search while the statement that calls it writes, and see what that has written.
    let in_the_midst = format!(
        "WITH written AS (
             UPDATE oncall.ops_runbooks SET content = '{WORDS}' WHERE runbook_id = 'COFFEE' RETURNING 1
         ), counted AS (SELECT count(*) AS n FROM written)
         SELECT (SELECT count(*) FROM oncall.search_runbooks('paper plane' || n, 1)), 1 / (n - n) FROM counted"
    );
    let failure = reader.batch_execute(&in_the_midst).unwrap_err();
    assert_eq!(code(&failure), "22012", "{}", told(&failure));
    assert_eq!(best(&mut reader, "fold a paper plane").as_deref(), COFFEE);
    assert_eq!(best(&mut reader, WORDS), None);
}

#[test]
fn what_a_subscription_brings_is_found_too() {
    let cluster = bare(&Options::default().set("wal_level", "logical"));
    let mut publisher = cluster.client().unwrap();
    publisher.batch_execute("CREATE DATABASE subscriber").unwrap();
    let mut reader = cluster.client_as("postgres", "subscriber").unwrap();
    reader.batch_execute("CREATE EXTENSION pg_oncall CASCADE").unwrap();
    // By hand: CREATE SUBSCRIPTION in the publisher's own cluster would wait for itself.
    publisher.batch_execute("CREATE PUBLICATION runbooks FOR TABLE oncall.ops_runbooks").unwrap();
    publisher.execute("SELECT pg_create_logical_replication_slot('runbooks', 'pgoutput')", &[]).unwrap();
    let connection = format!("host={} port={} dbname=postgres user=postgres", cluster.dir().display(), cluster.port());
    let subscribe = format!(
        "CREATE SUBSCRIPTION runbooks CONNECTION '{connection}' PUBLICATION runbooks
         WITH (create_slot = false, slot_name = 'runbooks', copy_data = false)"
    );
    reader.batch_execute(&subscribe).unwrap();

    assert_eq!(best(&mut reader, WORDS), None);
    write_section(&mut publisher, WORDS);
    until("the row is there", || number(&mut reader, "SELECT count(*) FROM oncall.ops_runbooks") == 1);
    assert_eq!(best(&mut reader, WORDS).as_deref(), COFFEE);
    publisher.batch_execute("DELETE FROM oncall.ops_runbooks").unwrap();
    until("the row is gone", || number(&mut reader, "SELECT count(*) FROM oncall.ops_runbooks") == 0);
    assert_eq!(best(&mut reader, WORDS), None);
    reader.batch_execute("DROP SUBSCRIPTION runbooks").unwrap();
}

/// How often an index over vectors was scanned, in all sessions.
fn index_scans(client: &mut Client) -> i64 {
    client.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    number(client, "SELECT sum(idx_scan)::bigint FROM pg_stat_user_indexes WHERE indexrelname LIKE '%embedding_idx'")
}

#[test]
fn many_sections_are_searched_by_the_indexes_and_few_in_memory_with_the_same_answer() {
    let cluster = bare(&Options::default());
    let mut client = cluster.client().unwrap();
    load_runbooks(&cluster, &mut client);
    let words = "connection pool exhausted, clients wait in PgBouncer";
    let answer = |client: &mut Client| -> Vec<(String, String, f64)> {
        let sql = "SELECT runbook_id, section, similarity::float8 FROM oncall.search_runbooks($1, 5)";
        client.query(sql, &[&words]).unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    };
    let before = index_scans(&mut client);
    let in_memory = answer(&mut client);
    assert_eq!(index_scans(&mut client), before);
    let sections = number(&mut client, "SELECT count(*) FROM oncall.ops_runbooks");
    set(&mut client, "oncall.flat_search_sections", &sections.to_string());
    assert_eq!(answer(&mut client), in_memory);
    assert_eq!(index_scans(&mut client), before, "as many as may be are not too many");
    set(&mut client, "oncall.flat_search_sections", &(sections - 1).to_string());
    assert_eq!(answer(&mut client), in_memory);
    assert!(index_scans(&mut client) > before);
}

#[test]
fn each_of_some_hundred_sections_is_searched() {
    let cluster = bare(&Options::default());
    let mut client = cluster.client().unwrap();
    let word = |number: &str| format!("translate(md5({number}::text), '0123456789', 'ghijklmnop')");
    let insert = format!(
        "INSERT INTO oncall.ops_runbooks (runbook_id, section, content)
         SELECT 'RB-' || n % 7, 'Section ' || n, {} FROM generate_series(1, 600) AS n",
        word("n")
    );
    client.batch_execute(&insert).unwrap();
    for number in (1..=600).step_by(37) {
        let words: String = client.query_one(&format!("SELECT {}", word(&number.to_string())), &[]).unwrap().get(0);
        assert_eq!(best(&mut client, &words), Some(format!("RB-{}/Section {number}", number % 7)));
    }
}
