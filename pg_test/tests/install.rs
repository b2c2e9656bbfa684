//! The extension installs, says what it lacks, and goes away without a trace.

use pg_test::{Cluster, Options, Result};

fn sqlstate(error: &postgres::Error) -> Option<&str> {
    error.code().map(postgres::error::SqlState::code)
}

#[test]
fn create_extension_works_in_a_fresh_cluster() -> Result<()> {
    let cluster = Cluster::start(&Options::default())?;
    let mut client = cluster.client()?;
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE")?;
    let row = client.query_one("SELECT extversion FROM pg_extension WHERE extname = 'pg_oncall'", &[])?;
    assert_eq!(row.get::<_, String>(0), env!("CARGO_PKG_VERSION"));
    Ok(())
}

#[test]
fn without_preloading_the_error_names_the_line_to_add() -> Result<()> {
    let cluster = Cluster::start(&Options::default().preload(""))?;
    let mut client = cluster.client()?;
    let refused = client.batch_execute("CREATE EXTENSION pg_oncall CASCADE").expect_err("it is not preloaded");
    assert_eq!(sqlstate(&refused), Some("55000"));
    let hint = refused.as_db_error().and_then(|error| error.hint()).unwrap_or_default();
    assert!(hint.contains("shared_preload_libraries = 'pg_oncall'"), "hint: {hint:?}");
    Ok(())
}

#[test]
fn drop_extension_leaves_no_object_behind() -> Result<()> {
    let cluster = Cluster::start(&Options::default())?;
    let mut client = cluster.client()?;
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE; DROP EXTENSION pg_oncall CASCADE")?;
    let left = "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'oncall'";
    assert_eq!(client.query_one(left, &[])?.get::<_, i64>(0), 0);
    // A second installation meets nothing of the first, the cluster-wide roles included.
    client.batch_execute("CREATE EXTENSION pg_oncall")?;
    Ok(())
}

#[test]
fn a_database_in_another_encoding_is_told_at_once() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let mut client = cluster.client().unwrap();
    client.batch_execute("CREATE DATABASE old ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0").unwrap();
    let error = cluster.client_as("postgres", "old").unwrap().batch_execute("CREATE EXTENSION pg_oncall CASCADE");
    let error = error.unwrap_err();
    let error = error.as_db_error().expect("the server refuses it");
    assert_eq!(error.code().code(), "0A000");
    assert_eq!(error.detail(), Some("The database \"old\" is in LATIN1."));
    assert!(error.hint().is_some_and(|hint| hint.contains("ENCODING 'UTF8'")));
}
