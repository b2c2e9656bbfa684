//! No address outside `oncall.allowed_hosts` is ever contacted, and the pod's key is seen by the pod alone.

mod common;

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{assert_objection, code, handle, number, objections, pool_alert, refused, server, session, set, told};
use pg_test::stub_pod::{Behaviour, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;
use serde_json::json;

/// A listener on every address of this machine that nobody may ever contact. It counts who does.
struct Trap {
    port: u16,
    touched: Arc<AtomicUsize>,
}

impl Trap {
    fn set() -> Self {
        // Both families on one socket, where the machine has IPv6.
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let touched = Arc::new(AtomicUsize::new(0));
        let count = touched.clone();
        thread::spawn(move || {
            for _stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, touched }
    }

    fn touched(&self) -> usize {
        self.touched.load(Ordering::SeqCst)
    }

    /// That the trap would have noticed: without this, a trap that is set wrongly proves nothing.
    fn assert_works(&self) {
        let before = self.touched();
        drop(std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        common::until("the trap notices", || self.touched() == before + 1);
    }
}

#[test]
fn an_address_that_is_not_allowed_is_never_contacted_however_it_is_written() {
    let trap = Trap::set();
    trap.assert_works();
    // The machine's own second address is allowed, its first is not.
    let cluster = server(&Options::default().set("oncall.allowed_hosts", "127.0.0.2, fd00::/8, allowed.invalid"));
    let pod = StubPod::start(Behaviour::Ok);
    let mut client = session(&cluster, &pod);
    let port = trap.port;
    let urls = [
        // A name, an address, the address in its other clothes.
        format!("http://localhost:{port}/v1"),
        format!("http://LOCALHOST.:{port}/v1"),
        format!("http://127.0.0.1:{port}/v1"),
        format!("http://127.0.0.1.:{port}/v1"),
        format!("http://[::ffff:127.0.0.1]:{port}/v1"),
        format!("http://[::ffff:7f00:1]:{port}/v1"),
        format!("http://[::127.0.0.1]:{port}/v1"),
        format!("http://[::1]:{port}/v1"),
        format!("http://[64:ff9b::7f00:1]:{port}/v1"),
        format!("http://2130706433:{port}/v1"),
        format!("http://0x7f000001:{port}/v1"),
        format!("http://0x7f.1:{port}/v1"),
        format!("http://0177.0.0.1:{port}/v1"),
        format!("http://127.1:{port}/v1"),
        format!("http://127.000.000.001:{port}/v1"),
        // "This machine", for Linux.
        format!("http://0.0.0.0:{port}/v1"),
        format!("http://0:{port}/v1"),
        format!("http://[::]:{port}/v1"),
        // An allowed host where it does not count.
        format!("http://127.0.0.2@127.0.0.1:{port}/v1"),
        format!("http://127.0.0.2:80@127.0.0.1:{port}/v1"),
        format!("http://allowed.invalid%40127.0.0.1:{port}/v1"),
        format!("http://127.0.0.1:{port}\\@127.0.0.2/v1"),
        format!("http://127.0.0.1:{port}#@127.0.0.2/v1"),
        format!("http://127.0.0.1:{port}?@127.0.0.2/v1"),
        format!("http://127.0.0.1:{port}/@127.0.0.2/v1"),
        format!("http://127.0.0.2.localhost:{port}/v1"),
        format!("http://allowed.invalid.localhost:{port}/v1"),
        // Digits and dots of other scripts, which some resolvers fold.
        format!("http://①②⑦.⓪.⓪.①:{port}/v1"),
        format!("http://127。0。0。1:{port}/v1"),
        format!("https://127.0.0.1:{port}/v1"),
    ];
    for (number, url) in urls.iter().enumerate() {
        set(&mut client, "oncall.model_url", url);
        let incident = handle(&mut client, &pool_alert(&number.to_string()));
        assert_objection(&mut client, &incident, "model_answered", "");
        let (_, reason) = objections(&mut client, &incident.id).remove(0);
        let says = ["allowed_hosts", "not allowed", "cannot be used", "cannot be reached"];
        assert!(says.iter().any(|words| reason.contains(words)), "{url}: {reason}");
        assert_eq!(trap.touched(), 1, "{url} was contacted");
    }

    // The plain case names the host and the setting.
    set(&mut client, "oncall.model_url", &format!("http://127.0.0.1:{port}/v1"));
    let incident = handle(&mut client, &pool_alert("plain"));
    assert_objection(&mut client, &incident, "model_answered", "127.0.0.1 is not among oncall.allowed_hosts");
    assert_eq!(trap.touched(), 1);
}

#[test]
fn a_listed_name_is_refused_where_it_resolves_to_an_unlisted_address() {
    let trap = Trap::set();
    let cluster = server(&Options::default().set("oncall.allowed_hosts", "localhost, 127.0.0.2"));
    let mut client = session(&cluster, &StubPod::start(Behaviour::Ok));
    set(&mut client, "oncall.model_url", &format!("http://localhost:{}/v1", trap.port));
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert_objection(&mut client, &incident, "model_answered", "(an address of localhost) is not among");
    assert_eq!(trap.touched(), 0);
}

#[test]
fn an_allowed_address_is_contacted() {
    // The other half: with the same list as above, what is listed works.
    let cluster = server(&Options::default().set("oncall.allowed_hosts", "127.0.0.2"));
    let mut client = session(&cluster, &StubPod::start(Behaviour::Ok));
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = common::background(move || listener.accept().map(drop).is_ok());
    set(&mut client, "oncall.model_url", &format!("http://{address}/v1"));
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert!(accepted.result());
    assert_objection(&mut client, &incident, "model_answered", "cannot be reached");
}

#[test]
fn a_redirect_is_not_followed_not_even_to_an_allowed_host() {
    let (trap, elsewhere) = (Trap::set(), StubPod::start(Behaviour::Ok));
    let cluster = server(&Options::default());
    let pod = StubPod::start(Behaviour::Ok);
    let mut client = session(&cluster, &pod);
    for (number, to) in [
        format!("http://0.0.0.0:{}/v1/chat/completions", trap.port),
        format!("http://127.0.0.1:{}/v1/chat/completions", trap.port),
        format!("//127.0.0.1:{}/v1/chat/completions", trap.port),
        format!("{}/chat/completions", elsewhere.url()),
    ]
    .into_iter()
    .enumerate()
    {
        pod.set(Behaviour::Redirect(to.clone()));
        let incident = handle(&mut client, &pool_alert(&number.to_string()));
        assert_objection(&mut client, &incident, "model_answered", &format!("a redirect to {to} is not followed"));
    }
    assert_eq!((trap.touched(), elsewhere.request_count()), (0, 0));
}

#[test]
fn proxies_of_the_servers_environment_are_ignored() {
    let trap = Trap::set();
    let proxy = format!("http://127.0.0.1:{}", trap.port);
    let mut options = Options::default();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        options = options.environment(name, &proxy);
    }
    let cluster = server(&options);
    let pod = StubPod::start(Behaviour::Ok);
    assert!(handle(&mut session(&cluster, &pod), &pool_alert("db-1")).is_autonomous());
    assert_eq!((trap.touched(), pod.request_count()), (0, 1));
}

#[test]
fn embeddings_go_by_the_same_list() {
    let trap = Trap::set();
    let cluster = server(&Options::default().set("oncall.allowed_hosts", "127.0.0.2"));
    let mut client = cluster.client().unwrap();
    set(&mut client, "oncall.embedding_url", &format!("http://127.0.0.1:{}/v1", trap.port));
    set(&mut client, "oncall.embedding_model", "stub-embed");
    for statement in [
        "SELECT * FROM oncall.search_runbooks('pool')",
        "SELECT * FROM oncall.reembed_runbooks()",
        "UPDATE oncall.ops_runbooks SET content = content || '.'",
    ] {
        let said = refused(&mut client, statement, "08006");
        assert!(said.contains("oncall.allowed_hosts") && said.contains("HINT: Add the host"), "{said}");
    }
    assert_eq!(trap.touched(), 0);
}

#[test]
fn the_list_is_the_cluster_owners() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    refused(&mut client, "SET oncall.allowed_hosts = '0.0.0.0/0'", "55P02");
    refused(&mut client, "ALTER DATABASE postgres SET oncall.allowed_hosts = '0.0.0.0/0'", "55P02");
    client
        .batch_execute(
            "CREATE ROLE boss LOGIN; GRANT oncall_admin, oncall_operator TO boss; CREATE ROLE nobody_special LOGIN",
        )
        .unwrap();
    let mut boss = cluster.client_as("boss", "postgres").unwrap();
    for setting in ["model_url", "embedding_url", "api_key_file", "chat_model", "embedding_model", "structured_dialect"]
    {
        refused(&mut boss, &format!("SET oncall.{setting} = 'none'"), "42501");
    }
    refused(&mut boss, "ALTER SYSTEM SET oncall.allowed_hosts = '0.0.0.0/0'", "42501");
    // A list that cannot be read allows nothing.
    client.batch_execute("ALTER SYSTEM SET oncall.allowed_hosts = '127.0.0.0/8, *'").unwrap();
    client.execute("SELECT pg_reload_conf()", &[]).unwrap();
    let pod = StubPod::start(Behaviour::Ok);
    common::until("the new list is in force", || {
        number(
            &mut client,
            "SELECT count(*) FROM pg_settings WHERE name = 'oncall.allowed_hosts' AND setting LIKE '%*'",
        ) == 1
    });
    let mut client = session(&cluster, &pod);
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert_objection(&mut client, &incident, "model_answered", "oncall.allowed_hosts cannot be used");
    assert_eq!(pod.request_count(), 0);
}

const KEY: &str = "kx7-this-is-the-pods-own-key-Zq9";

/// A key file of the server's account that nobody else may read.
fn key_file(cluster: &Cluster, name: &str, key: &str) -> PathBuf {
    let path = cluster.dir().join(name);
    write_key(cluster, &path, key).unwrap();
    path
}

fn write_key(cluster: &Cluster, path: &PathBuf, key: &str) -> io::Result<()> {
    fs::write(path, format!("{key}\n"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    cluster.tree().place.account.give(path).map_err(io::Error::other)
}

/// Every row of every table of the extension, as text.
fn everything_stored(client: &mut Client) -> String {
    let mut all = String::new();
    for table in ["incident_audit", "incident_step", "inference_audit_log", "ops_runbooks"] {
        for row in client.query(&format!("SELECT t::text FROM oncall.{table} AS t"), &[]).unwrap() {
            all.push_str(row.get(0));
            all.push('\n');
        }
    }
    assert!(!all.is_empty());
    all
}

#[test]
fn the_key_reaches_the_pod_as_a_bearer_and_nobody_else() {
    let options = Options::default()
        .set("log_statement", "all")
        .set("log_min_messages", "debug5")
        .set("log_error_verbosity", "verbose")
        .set("log_line_prefix", "");
    let cluster = server(&options);
    let pod = StubPod::start(Behaviour::Ok);
    let mut client = session(&cluster, &pod);
    let file = key_file(&cluster, "pod.key", KEY);
    set(&mut client, "oncall.api_key_file", file.to_str().unwrap());
    set(&mut client, "oncall.embedding_model", "stub-embed");
    client.execute("SELECT * FROM oncall.reembed_runbooks()", &[]).unwrap();
    assert!(handle(&mut client, &pool_alert("good")).is_autonomous());
    // Servers that repeat what they were sent, in an error or in an answer.
    pod.set(Behaviour::error(401, &format!("Incorrect API key provided: {KEY}.")));
    let incident = handle(&mut client, &pool_alert("quoted in an error"));
    assert_objection(&mut client, &incident, "model_answered", "Incorrect API key provided: [api key]");
    pod.set(Behaviour::NotJson);
    handle(&mut client, &pool_alert("not JSON"));
    pod.set(Behaviour::Say(
        json!({"incident_type": "X", "runbook_id": null, "confidence": 0.1, "recommended_actions": [KEY],
               "root_cause_hypothesis": format!("The header was Authorization: Bearer {KEY}.")})
        .to_string(),
    ));
    handle(&mut client, &pool_alert("quoted in an answer"));
    pod.set(Behaviour::Say(format!("no JSON, but {KEY}")));
    handle(&mut client, &pool_alert("quoted in a reply that does not parse"));

    let requests = pod.requests();
    assert!(requests.len() > 5);
    for request in &requests {
        let bearers: Vec<_> = request.headers.iter().filter(|(_, value)| value.contains(KEY)).collect();
        assert_eq!(bearers.len(), 1, "{:?}", request.headers);
        assert_eq!((bearers[0].0.as_str(), bearers[0].1.as_str()), ("authorization", &*format!("Bearer {KEY}")));
        assert!(!String::from_utf8_lossy(&request.body).contains(KEY), "the key is in no body");
        assert!(!request.path.contains(KEY));
    }
    assert!(!everything_stored(&mut client).contains(KEY), "the key is in a table");
    assert!(!cluster.log().contains(KEY), "the key is in the server's log");

    // The setting holds the file's name, and even that is not for everybody.
    let shown: Vec<String> =
        client.query("SELECT setting FROM pg_settings", &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert!(!shown.iter().any(|setting| setting.contains(KEY)));
    client
        .batch_execute("CREATE ROLE curious LOGIN; GRANT oncall_admin, oncall_operator, oncall_reader TO curious")
        .unwrap();
    client.batch_execute(&format!("ALTER SYSTEM SET oncall.api_key_file = '{}'", file.display())).unwrap();
    client.execute("SELECT pg_reload_conf()", &[]).unwrap();
    let mut curious = cluster.client_as("curious", "postgres").unwrap();
    for setting in ["api_key_file", "model_url", "embedding_url", "allowed_hosts"] {
        let sql = format!("SELECT setting FROM pg_settings WHERE name = 'oncall.{setting}'");
        assert!(curious.query(&sql, &[]).unwrap().is_empty(), "{setting} shows in pg_settings");
        refused(&mut curious, &format!("SHOW oncall.{setting}"), "42501");
        let current = curious.query(&format!("SELECT current_setting('oncall.{setting}')"), &[]).unwrap_err();
        assert_eq!(code(&current), "42501", "{}", told(&current));
    }
}

#[test]
fn a_rotated_key_takes_effect_with_the_next_call() {
    let cluster = server(&Options::default());
    let pod = StubPod::start(Behaviour::Ok);
    let mut client = session(&cluster, &pod);
    let file = key_file(&cluster, "pod.key", "old-key");
    set(&mut client, "oncall.api_key_file", file.to_str().unwrap());
    handle(&mut client, &pool_alert("db-1"));
    write_key(&cluster, &file, "new-key").unwrap();
    handle(&mut client, &pool_alert("db-2"));
    set(&mut client, "oncall.api_key_file", "");
    handle(&mut client, &pool_alert("db-3"));
    let sent: Vec<Option<String>> =
        pod.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [Some("Bearer old-key".to_owned()), Some("Bearer new-key".to_owned()), None]);
}

#[test]
fn without_a_usable_key_the_pod_is_not_asked_and_the_incident_escalates() {
    let cluster = server(&Options::default());
    let pod = StubPod::start(Behaviour::Ok);
    let mut client = session(&cluster, &pod);
    let missing = cluster.dir().join("nowhere.key");
    let directory = cluster.data();
    let empty = key_file(&cluster, "empty.key", "");
    let lines = key_file(&cluster, "lines.key", "one\nX-Evil: two");
    let binary = cluster.dir().join("binary.key");
    fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o600)).unwrap();
    cluster.tree().place.account.give(&binary).unwrap();
    let open = key_file(&cluster, "open.key", KEY);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    for (number, (file, words)) in [
        (&missing, "cannot be read"),
        (&directory, "names no file"),
        (&open, "chmod 0600"),
        (&binary, "cannot be read"),
        (&empty, "one line of printable ASCII"),
        (&lines, "one line of printable ASCII"),
    ]
    .into_iter()
    .enumerate()
    {
        set(&mut client, "oncall.api_key_file", file.to_str().unwrap());
        let incident = handle(&mut client, &pool_alert(&number.to_string()));
        assert_objection(&mut client, &incident, "model_answered", words);
    }
    let stored = everything_stored(&mut client);
    assert!(!stored.contains(cluster.dir().to_str().unwrap()), "the place of the key file is told");
    assert!(!stored.contains("X-Evil"), "what stands in the file is told");
    assert_eq!(pod.request_count(), 0);
}

#[test]
fn a_key_file_that_belongs_to_another_account_escalates() {
    let cluster = server(&Options::default());
    if cluster.tree().place.account == pg_test::place::Account::Ours {
        // Then there is no other account to write as; the file that cannot be read is covered above.
        return;
    }
    let pod = StubPod::start(Behaviour::Ok);
    let mut client = session(&cluster, &pod);
    let path = cluster.dir().join("roots.key");
    fs::write(&path, KEY).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    set(&mut client, "oncall.api_key_file", path.to_str().unwrap());
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert_objection(&mut client, &incident, "model_answered", "permission denied");
    assert_eq!(pod.request_count(), 0);
}
