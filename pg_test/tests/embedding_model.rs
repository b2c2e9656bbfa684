//! Another embedding model than the builtin one: its dimension fits the column, or the error says what to do.

mod common;

use std::path::Path;

use common::{bare, code, handle, load_runbooks, number, pool_alert, refused, server, session, set, told};
use pg_test::llama::{Lab, Llama, Model};
use pg_test::stub_pod::{Behaviour, Replies, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;
use serde_json::json;

/// A double whose vectors have as many dimensions as those of a small real model.
fn small_pod() -> StubPod {
    let pod = StubPod::start(Behaviour::Ok);
    pod.replies(Replies { dimension: 384, ..Replies::default() });
    pod
}

fn use_embeddings_of(client: &mut Client, url: &str, model: &str) {
    set(client, "oncall.embedding_url", url);
    set(client, "oncall.embedding_model", model);
}

fn column_type(client: &mut Client) -> String {
    let sql = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
               WHERE attrelid = 'oncall.ops_runbooks'::regclass AND attname = 'embedding'";
    client.query_one(sql, &[]).unwrap().get(0)
}

/// Model, dimensions and number of sections, as `reembed_runbooks` tells them.
fn reembed(client: &mut Client) -> (String, i32, i64) {
    let row =
        client.query_one("SELECT * FROM oncall.reembed_runbooks()", &[]).unwrap_or_else(|e| panic!("{}", told(&e)));
    (row.get(0), row.get(1), row.get(2))
}

/// The column, its index and every row are of one model; nothing is left behind.
fn assert_fitted(client: &mut Client, model: &str, dimensions: i32) {
    assert_eq!(column_type(client), format!("vector({dimensions})"));
    assert_eq!(
        number(client, &format!("SELECT count(*) FROM oncall.ops_runbooks WHERE embedding_model <> '{model}'")),
        0
    );
    assert_eq!(
        number(client, "SELECT count(*) FROM oncall.ops_runbooks WHERE vector_dims(builtin_embedding) <> 1024"),
        0,
        "the builtin vectors stay"
    );
    let index =
        "SELECT count(*) FROM pg_index WHERE indexrelid = 'oncall.ops_runbooks_embedding_idx'::regclass AND indisvalid";
    assert_eq!(number(client, index), 1);
    let not_null = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'oncall.ops_runbooks'::regclass
                    AND attname = 'embedding' AND attnotnull";
    assert_eq!(number(client, not_null), 1);
    assert_eq!(number(client, "SELECT count(*) FROM pg_class WHERE relname = 'oncall_reembedding'"), 0);
    let member = "SELECT count(*) FROM pg_depend WHERE objid = 'oncall.ops_runbooks_embedding_idx'::regclass
                  AND refobjid = 'oncall.ops_runbooks'::regclass AND deptype = 'a'";
    assert!(number(client, member) > 0, "the new index goes with its table");
}

fn assert_wrong_dimension(said: &str) {
    assert!(
        said.contains("the embedding model gives vectors of 384 dimensions, the column embedding has 1024")
            && said.contains("HINT: Re-embed the runbooks")
            && said.contains("SELECT * FROM oncall.reembed_runbooks()"),
        "{said}"
    );
}

#[test]
fn loading_with_a_model_of_another_dimension_says_so_and_reembedding_fits_the_column() {
    let cluster = bare(&Options::default());
    let (pod, mut client) = (small_pod(), cluster.client().unwrap());
    use_embeddings_of(&mut client, &pod.url(), "small");

    let directory = cluster.tree().runbooks().unwrap().display().to_string();
    let error = client.query("SELECT * FROM oncall.load_runbooks($1)", &[&directory]).unwrap_err();
    assert_eq!(code(&error), "42804");
    assert_wrong_dimension(&told(&error));
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.ops_runbooks"), 0);

    assert_eq!(reembed(&mut client), ("small".to_owned(), 384, 0), "it works on an empty catalogue");
    load_runbooks(&cluster, &mut client);
    assert!(number(&mut client, "SELECT count(*) FROM oncall.ops_runbooks") > 40);
    assert_fitted(&mut client, "small", 384);
}

#[test]
fn a_search_ranks_by_the_weighted_sum_of_both_models() {
    let cluster = server(&Options::default());
    let (pod, mut client) = (small_pod(), cluster.client().unwrap());
    use_embeddings_of(&mut client, &pod.url(), "small");
    let sections = number(&mut client, "SELECT count(*) FROM oncall.ops_runbooks");
    assert_eq!(reembed(&mut client), ("small".to_owned(), 384, sections));
    assert_fitted(&mut client, "small", 384);

    let query = "clients wait for a connection of the pool";
    let found = client
        .query("SELECT runbook_id, section, similarity::float8 FROM oncall.search_runbooks($1, 5)", &[&query])
        .unwrap();
    assert_eq!(found.len(), 5);
    // The vector that the pod was asked for last is the query's; what it said is not kept, so it is asked again.
    let asked = pod.requests().pop().unwrap().json()["input"][0].as_str().unwrap().to_owned();
    let vector = pg_vector_of(&pod, &asked);
    for row in &found {
        let (runbook, section, similarity): (String, String, f64) = (row.get(0), row.get(1), row.get(2));
        let sql = "SELECT 0.7 * (1 - (builtin_embedding <=> oncall.embed_builtin($3)))
                        + 0.3 * (1 - (embedding <=> $4::text::vector))
                   FROM oncall.ops_runbooks WHERE runbook_id = $1 AND section = $2";
        let sum: f64 = client.query_one(sql, &[&runbook, &section, &query, &vector]).unwrap().get(0);
        assert!((sum - similarity).abs() < 0.001, "{runbook}/{section}: {similarity} is told, {sum} it is");
    }
    // And the weights are policy.
    client.batch_execute("INSERT INTO oncall.router_policy (builtin_weight, pod_weight) VALUES (0, 1)").unwrap();
    let best = client.query_one("SELECT similarity::float8 FROM oncall.search_runbooks($1, 1)", &[&query]).unwrap();
    let sql = "SELECT max(1 - (embedding <=> $1::text::vector)) FROM oncall.ops_runbooks";
    let nearest: f64 = client.query_one(sql, &[&vector]).unwrap().get(0);
    assert!((best.get::<_, f64>(0) - nearest).abs() < 0.001);
}

/// The double's vector of a text, as the literal that SQL reads.
fn pg_vector_of(pod: &StubPod, text: &str) -> String {
    let settings = oncall_model::PodSettings {
        embedding_model: Some("small".to_owned()),
        ..oncall_model::PodSettings::new(pod.url())
    };
    let pod = oncall_model::Pod::new(settings).unwrap();
    let vectors = pod.embed(&[text.to_owned()], oncall_model::Kind::Query, None).unwrap().vectors;
    json!(vectors[0]).to_string()
}

#[test]
fn an_alert_is_looked_up_by_both_models() {
    let cluster = server(&Options::default());
    let pod = small_pod();
    let mut client = session(&cluster, &pod);
    set(&mut client, "oncall.embedding_model", "small");
    reembed(&mut client);
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert!(incident.is_autonomous());
    let steps = common::journal(&mut client, &incident.id);
    assert_eq!((steps[0].kind.as_str(), steps[0].status.as_str()), ("embed", "done"));
    assert_eq!(steps[0].outcome["dimensions"], 384);
    assert_eq!(steps[0].model.as_deref(), Some("small"));
    assert_eq!(steps[1].request["weights"], json!({"builtin": 0.7, "pod": 0.3}));
}

#[test]
fn models_are_not_mixed_search_and_load_raise_and_an_alert_is_handled_without_the_pod() {
    let cluster = server(&Options::default());
    // Of the same dimension as the builtin vectors, so that nothing but the name tells them apart.
    let pod = StubPod::start(Behaviour::Ok);
    let mut client = session(&cluster, &pod);
    set(&mut client, "oncall.embedding_model", "large");

    let mixed = "the runbooks are embedded by builtin, but the embedding model is large";
    let said = refused(&mut client, "SELECT * FROM oncall.search_runbooks('pool')", "55000");
    assert!(said.contains(mixed) && said.contains("HINT: Re-embed"), "{said}");
    let directory = cluster.tree().runbooks().unwrap().display().to_string();
    let load = format!("SELECT * FROM oncall.load_runbooks('{directory}')");
    assert!(refused(&mut client, &load, "55000").contains(mixed));

    let incident = handle(&mut client, &pool_alert("db-1"));
    assert!(incident.is_autonomous(), "degraded, not down");
    let note = incident.triage["embedding_failure"].as_str().unwrap_or_default();
    assert!(note.contains("embedded by builtin") && note.contains("oncall.reembed_runbooks()"), "{note}");
    assert_eq!(common::outline(&mut client, &incident.id)[0], "embed failed");

    reembed(&mut client);
    assert_fitted(&mut client, "large", 1024);
    assert_eq!(handle(&mut client, &pool_alert("db-2")).triage["embedding_failure"], json!(null));

    // And back: the builtin model refuses the pod's vectors as the pod's did the builtin ones.
    set(&mut client, "oncall.embedding_model", "builtin");
    let said = refused(&mut client, &load, "55000");
    assert!(said.contains("embedded by large, but the embedding model is builtin"), "{said}");
    reembed(&mut client);
    assert_fitted(&mut client, "builtin", 1024);
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.ops_runbooks WHERE embedding <> builtin_embedding"), 0);
}

#[test]
fn a_section_that_is_changed_by_plain_sql_is_embedded_by_the_model_in_use() {
    let cluster = server(&Options::default());
    let (pod, mut client) = (small_pod(), cluster.client().unwrap());
    use_embeddings_of(&mut client, &pod.url(), "small");
    reembed(&mut client);
    let before = pod.request_count();
    client
        .batch_execute("UPDATE oncall.ops_runbooks SET content = 'Quite another text.' WHERE runbook_id = 'RB-001' AND section = 'Impact'")
        .unwrap();
    assert_eq!(pod.request_count() - before, 1);
    let sql = "SELECT count(*) FROM oncall.ops_runbooks WHERE section = 'Impact' AND runbook_id = 'RB-001'
               AND builtin_embedding = oncall.embed_builtin(concat_ws(E'\\n', title, title, title, section, content))";
    assert_eq!(number(&mut client, sql), 1, "the builtin vector follows the text as well");
    assert_fitted(&mut client, "small", 384);
    // A change of what is not text asks nobody.
    client.batch_execute("UPDATE oncall.ops_runbooks SET position = position, severity = severity").unwrap();
    assert_eq!(pod.request_count() - before, 1);
    // A pod that fails keeps the change out, rather than a section without a vector in.
    pod.set(Behaviour::error(503, "loading"));
    let said = refused(&mut client, "UPDATE oncall.ops_runbooks SET content = content || '.'", "08006");
    assert!(said.contains("503") && said.contains("HINT: Nothing was written"), "{said}");
}

#[test]
fn sessions_that_searched_before_go_on_after_another_one_reembeds() {
    let cluster = server(&Options::default());
    let (large, small) = (StubPod::start(Behaviour::Ok), small_pod());
    let mut other = session(&cluster, &large);
    let search = "SELECT * FROM oncall.search_runbooks('pool exhausted')";
    assert_eq!(other.query(search, &[]).unwrap().len(), 5);
    handle(&mut other, &pool_alert("db-1"));
    let mut client = cluster.client().unwrap();
    use_embeddings_of(&mut client, &small.url(), "small");
    reembed(&mut client);
    assert_eq!(client.query(search, &[]).unwrap().len(), 5, "the session that did it");
    // What the other session keeps, plans and the column's length, is not what it was.
    use_embeddings_of(&mut other, &small.url(), "small");
    assert_eq!(other.query(search, &[]).unwrap().len(), 5, "a session that searched before");
    assert_eq!(handle(&mut other, &pool_alert("db-2")).triage["embedding_failure"], json!(null));
}

#[test]
fn a_search_works_where_nothing_may_be_written() {
    let cluster = server(&Options::default());
    let mut client = cluster.client().unwrap();
    let incident = handle(&mut client, &pool_alert("db-1"));
    let triaged = client.query_one("SELECT incident_id FROM oncall.triage_alert('another'::text)", &[]).unwrap();
    set(&mut client, "default_transaction_read_only", "on");
    assert_eq!(client.query("SELECT * FROM oncall.search_runbooks('pool exhausted')", &[]).unwrap().len(), 5);
    for id in [incident.id, triaged.get(0)] {
        let rows =
            client.query("SELECT * FROM oncall.explain_route($1)", &[&id]).unwrap_or_else(|e| panic!("{}", told(&e)));
        assert_eq!(rows.len(), 12);
    }
    refused(&mut client, "SELECT * FROM oncall.handle_alert('x'::text)", "25006");
}

#[test]
fn reembedding_that_fails_half_way_changes_nothing() {
    let cluster = server(&Options::default());
    let (pod, mut client) = (small_pod(), cluster.client().unwrap());
    use_embeddings_of(&mut client, &pod.url(), "small");
    pod.first([Behaviour::Ok, Behaviour::Ok, Behaviour::Ok]);
    pod.set(Behaviour::error(401, "no more"));
    refused(&mut client, "SELECT * FROM oncall.reembed_runbooks()", "08006");
    set(&mut client, "oncall.embedding_model", "builtin");
    assert_fitted(&mut client, "builtin", 1024);
    assert_eq!(client.query("SELECT * FROM oncall.search_runbooks('pool exhausted')", &[]).unwrap().len(), 5);
}

fn lab() -> Lab {
    // The folder is shared with the tests of the client: the environment is built once.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("llama");
    Lab::prepare(&folder).unwrap_or_else(|error| panic!("the llama.cpp lab cannot be built: {error}"))
}

fn sections_of(client: &mut Client, query: &str) -> Vec<String> {
    let rows = client.query("SELECT DISTINCT runbook_id FROM oncall.search_runbooks($1, 3)", &[&query]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_real_embedding_model_behind_llama_cpp_serves_the_catalogue_and_an_alert() {
    let llama = Llama::start(&lab(), Model::Embedding, None).unwrap();
    let cluster = server(&Options::default().set("oncall.request_timeout", "2min"));
    let mut client = cluster.client().unwrap();
    use_embeddings_of(&mut client, &llama.url(), "all-MiniLM-L6-v2");
    assert_wrong_dimension(&refused(
        &mut client,
        "UPDATE oncall.ops_runbooks SET content = content || ' ' WHERE runbook_id = 'RB-001'",
        "42804",
    ));
    let (model, dimensions, _) = reembed(&mut client);
    assert_eq!((model.as_str(), dimensions), ("all-MiniLM-L6-v2", 384));
    assert_fitted(&mut client, "all-MiniLM-L6-v2", 384);
    assert!(
        sections_of(&mut client, "every client waits because the pgbouncer pool is exhausted")
            .contains(&"RB-001".to_owned())
    );
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert_eq!((incident.by(), &incident.triage["embedding_failure"]), ("builtin", &json!(null)));
    let steps = common::journal(&mut client, &incident.id);
    assert_eq!(steps[0].outcome["dimensions"], 384);
    assert_eq!(steps[1].outcome["sections"][0]["runbook_id"], "RB-001");
    // Without the server the alert is still handled, and a search says what is missing.
    drop(llama);
    let incident = handle(&mut client, &pool_alert("db-2"));
    assert!(incident.triage["embedding_failure"].as_str().is_some_and(|note| note.contains("cannot be reached")));
    assert_eq!(incident.classification.as_deref(), Some("ConnectionPoolExhaustion"));
    refused(&mut client, "SELECT * FROM oncall.search_runbooks('pool')", "08006");
}

#[test]
fn whatever_a_real_chat_model_of_random_weights_says_nothing_unmapped_is_approved() {
    let llama = Llama::start(&lab(), Model::Chat { context: 16_384 }, None).unwrap();
    // One token a byte: a short prompt is a long one for it.
    let cluster: Cluster = server(
        &Options::default()
            .set("oncall.request_timeout", "2min")
            .set("oncall.top_k", "2")
            .set("oncall.prompt_tokens", "1300"),
    );
    let mut client = cluster.client().unwrap();
    set(&mut client, "oncall.model_url", &llama.url());
    set(&mut client, "oncall.chat_model", "tiny-chat");
    let texts = [
        "Connection pool exhaustion: pool_size=50, active=198",
        "Query latency: p95 is 24 times the baseline on orders",
        "WAL volume 97% full, an inactive slot retains 80 GB",
        "Sessions idle in transaction for 40 minutes",
        "Transaction id wraparound in 12 million transactions",
        "Replication lag 340 s on standby-2",
        "120 sessions wait for a lock on invoices",
        "Autovacuum has not run on events for 9 days",
        "The coffee machine is out of beans",
        "すべての接続が拒否されました",
    ];
    let mut answered = 0;
    for round in 0..20 {
        // Held to the schema it takes its time; left alone it says anything, and is cut off soon.
        let (dialect, tokens) = if round % 4 == 0 { ("json_schema", "800") } else { ("none", "64") };
        set(&mut client, "oncall.structured_dialect", dialect);
        set(&mut client, "oncall.max_tokens", tokens);
        let text = texts[round % texts.len()];
        let alert = json!({"text": format!("{text} (round {round})"), "severity": "warning", "labels": {"instance": round.to_string()}});
        let incident = handle(&mut client, &alert);
        assert_eq!(incident.state, "routed");
        if incident.by() == "builtin" {
            assert_eq!(incident.route.as_deref(), Some("escalate"), "{incident:?}");
            assert!(!common::objections(&mut client, &incident.id).is_empty());
        } else {
            answered += 1;
        }
    }
    common::assert_nothing_unmapped_was_approved(&mut client);
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_audit"), 20);
    let chats =
        number(&mut client, "SELECT count(*) FROM oncall.incident_step WHERE kind = 'chat' AND status = 'done'");
    println!("{answered} of 20 answers could be read; {chats} answers in all");
    assert!(chats >= 20, "the server did answer, or this shows nothing");
}
