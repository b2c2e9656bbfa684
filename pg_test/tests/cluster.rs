//! The private servers that all other tests stand on.

use pg_test::place::{Account, is_root};
use pg_test::{Cluster, Error, Options, Result};

/// These tests are about the servers: no extension is loaded.
fn plain() -> Options {
    Options::default().preload("")
}

#[test]
fn two_servers_at_once_do_not_see_each_other() -> Result<()> {
    let (one, two) = (Cluster::start(&plain())?, Cluster::start(&plain())?);
    one.client()?.batch_execute("CREATE TABLE only_here ()")?;
    let seen = two.psql("SELECT to_regclass('only_here') IS NULL AS absent")?;
    assert!(seen.contains(" t\n"), "{seen}");
    Ok(())
}

/// Root's servers are nobody's until there is a postgres. A person has one account only, and starts two servers as that.
#[test]
fn a_server_starts_whoever_made_the_data_of_the_one_before() -> Result<()> {
    let first = Cluster::start(&plain())?;
    let mut tree = first.tree().clone();
    if is_root()? {
        tree.place.account = Account::Other { uid: 65534, gid: 65534 };
    }
    let second = Cluster::start_in(&tree, &plain())?;
    assert_eq!(Account::owning(&second.dir().join("data"))?, tree.place.account);
    assert_eq!(Account::owning(&first.dir().join("data"))?, first.tree().place.account);
    Ok(())
}

#[test]
fn a_crash_loses_no_committed_row_and_the_sockets_stay_where_they_were() -> Result<()> {
    let mut cluster = Cluster::start(&plain().durable())?;
    cluster.client()?.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")?;
    cluster.restart("QUIT")?;
    let row = cluster.client()?.query_one("SELECT n FROM t", &[])?;
    assert_eq!(row.get::<_, i32>(0), 7);
    assert!(cluster.log().contains("was not properly shut down"), "{}", cluster.log());
    Ok(())
}

#[test]
fn settings_reach_the_server_with_their_quotes() -> Result<()> {
    let cluster = Cluster::start(&plain().set("cluster_name", "it's ours").set("work_mem", "5MB"))?;
    let mut client = cluster.client()?;
    let show = |client: &mut postgres::Client, name: &str| -> Result<String> {
        Ok(client.query_one(&format!("SHOW {name}"), &[])?.get(0))
    };
    assert_eq!(show(&mut client, "cluster_name")?, "it's ours");
    assert_eq!(show(&mut client, "work_mem")?, "5MB");
    assert_eq!(show(&mut client, "listen_addresses")?, "");
    Ok(())
}

#[test]
fn an_error_in_a_psql_script_is_an_error_with_its_text() -> Result<()> {
    let cluster = Cluster::start(&plain())?;
    match cluster.psql("SELECT 1;\nSELECT 1/0;\n") {
        Err(Error::Command { output, .. }) => {
            assert!(output.contains("division by zero"), "{output}")
        }
        other => panic!("psql should have failed, but: {other:?}"),
    }
    Ok(())
}

#[test]
fn a_setting_that_the_server_refuses_is_told_with_the_servers_log() {
    match Cluster::start(&plain().set("shared_buffers", "much")) {
        Err(Error::Server { log, .. }) => assert!(log.contains("shared_buffers"), "{log}"),
        other => panic!("the server should have refused, but: {other:?}"),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_servers_environment_is_not_ours() -> Result<()> {
    let cluster = Cluster::start(&plain().environment("HTTP_PROXY", "http://127.0.0.1:1"))?;
    let pid_file = std::fs::read_to_string(cluster.data().join("postmaster.pid")).expect("it is running");
    let pid = pid_file.lines().next().expect("the first line is its process id");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("it is ours");
    let names: Vec<&[u8]> = environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| variable.split(|byte| *byte == b'=').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.contains(&b"HTTP_PROXY".as_slice()));
    // Cargo sets several of these for a test; none of them may change what the server does.
    assert!(!names.iter().any(|name| name.starts_with(b"CARGO") || name.starts_with(b"RUST")));
    Ok(())
}
