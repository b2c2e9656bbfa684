//! A pod that fails costs quality, never an alert: `handle_alert` against a pod that misbehaves in every way there is.

mod common;

use std::time::Duration;

use common::{
    POOL_STEP, RESERVE_STEP, assert_nothing_unmapped_was_approved, assert_objection, handle, incidents, inferences,
    journal, number, objections, outline, pool_alert, server, session, set,
};
use pg_test::stub_pod::{Behaviour, Replies, StubPod};
use pg_test::{Cluster, Options};
use postgres::Client;
use serde_json::json;

fn good_reply() -> Behaviour {
    Behaviour::Say(reply(0.9, &[POOL_STEP]))
}

fn reply(confidence: f64, actions: &[&str]) -> String {
    json!({
        "incident_type": "ConnectionPoolExhaustion", "runbook_id": "RB-001", "confidence": confidence,
        "recommended_actions": actions, "root_cause_hypothesis": "The pool is too small.",
    })
    .to_string()
}

fn set_up() -> (Cluster, StubPod, Client) {
    let cluster = server(&Options::default());
    let pod = StubPod::start(Behaviour::Ok);
    let client = session(&cluster, &pod);
    (cluster, pod, client)
}

#[test]
fn a_pod_that_answers_well_is_followed() {
    let (_cluster, pod, mut client) = set_up();
    pod.replies(Replies { confidence: 0.83, actions: 2, ..Replies::default() });
    let incident = handle(&mut client, &pool_alert("db-1"));

    assert_eq!(incident.route.as_deref(), Some("autonomous"));
    assert_eq!(incident.by(), "stub");
    assert_eq!(incident.confidence, Some(0.83), "its confidence, not the builtin model's");
    assert_eq!(incident.actions, [POOL_STEP, RESERVE_STEP], "its steps, in its order");
    assert_eq!(incident.classification.as_deref(), Some("StubIncident"));
    assert_eq!(objections(&mut client, &incident.id), []);
    assert_eq!(
        outline(&mut client, &incident.id),
        ["retrieve done", "metrics done", "chat done", "triage done", "route done"]
    );
    let inferences = inferences(&mut client, &incident.id);
    assert_eq!(inferences.len(), 1, "one question, one answer: {inferences:?}");
    assert_eq!(inferences[0].context["generator"], "stub-chat");
    assert_eq!(inferences[0].context["fallback_triggered"], false);
    assert!(inferences[0].answer.as_deref().is_some_and(|answer| answer.contains("0.83")));
    assert_eq!(pod.request_count(), 1);
}

#[test]
fn a_pod_that_gives_no_answer_escalates_with_the_reason_and_the_builtin_view() {
    let (_cluster, pod, mut client) = set_up();
    set(&mut client, "oncall.request_timeout", "2s");
    let slow = Duration::from_secs(20);
    let long = 10 << 20;
    let faults = [
        ("slow to begin", Behaviour::SlowHead(slow), "did not answer in time"),
        ("slow to end", Behaviour::SlowBody(slow), "did not answer in time"),
        ("cut off", Behaviour::CutOff, "closed before the answer was complete"),
        ("reset", Behaviour::Reset, "cannot be reached"),
        ("busy for long", Behaviour::busy("3600"), "answered 429: too many requests"),
        ("broken", Behaviour::error(500, "CUDA out of memory"), "answered 500: CUDA out of memory"),
        ("behind a broken proxy", Behaviour::error(502, "bad gateway"), "answered 502: bad gateway"),
        ("unwilling", Behaviour::error(401, "invalid api key"), "answered 401: invalid api key"),
        ("no model", Behaviour::NotJson, "not a chat completion"),
        ("silent", Behaviour::Empty, "it is empty"),
        ("endless", Behaviour::Long { bytes: long, announced: true }, "longer than"),
        ("endless without saying so", Behaviour::Long { bytes: long, announced: false }, "longer than"),
        (
            "elsewhere",
            Behaviour::Redirect("http://127.0.0.1:9/v1".to_owned()),
            "a redirect to http://127.0.0.1:9/v1 is not",
        ),
    ];
    let count = faults.len();
    for (name, behaviour, words) in faults {
        println!("a pod that is {name}");
        pod.set(behaviour);
        let incident = handle(&mut client, &pool_alert(name));

        assert_objection(&mut client, &incident, "model_answered", words);
        assert_objection(&mut client, &incident, "answer_parsed", "no answer");
        assert_eq!(incident.by(), "builtin");
        assert_eq!(incident.classification.as_deref(), Some("ConnectionPoolExhaustion"), "the page has a view");
        assert_eq!(incident.actions, [POOL_STEP, RESERVE_STEP], "and a suggestion");
        assert!(incident.hypothesis.is_some_and(|text| !text.is_empty()));

        let steps = journal(&mut client, &incident.id);
        let chats: Vec<_> = steps.iter().filter(|step| step.kind == "chat").collect();
        assert_eq!(chats.len(), 1, "{steps:#?}");
        assert_eq!(chats[0].status, "failed");
        let reason = chats[0].outcome["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(words), "{reason}");

        let inferences = inferences(&mut client, &incident.id);
        let [asked, stood_in] = inferences.as_slice() else { panic!("{inferences:#?}") };
        assert_eq!((asked.model.as_str(), &asked.answer), ("stub-chat", &None));
        assert!(asked.context["fallback_triggered"].is_null(), "a failed call is no sample of its own");
        assert!(asked.context["failed"]["reason"].as_str().is_some_and(|reason| reason.contains(words)), "{asked:?}");
        assert_eq!(stood_in.model, "builtin");
        assert_eq!(stood_in.context["fallback_triggered"], true);
        assert_eq!(stood_in.context["previous_generator"], "stub-chat");
        assert!(stood_in.context["reason"].as_str().is_some_and(|reason| reason.contains(words)), "{stood_in:?}");
    }
    assert_eq!(incidents(&mut client).len(), count, "one audit row for each alert");
    assert_nothing_unmapped_was_approved(&mut client);
}

#[test]
fn a_pod_that_is_not_there_escalates_and_its_return_is_noticed() {
    let (_cluster, pod, mut client) = set_up();
    // A port that was free a moment ago: nobody answers there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    set(&mut client, "oncall.model_url", &format!("http://{nobody}/v1"));
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert_objection(&mut client, &incident, "model_answered", "cannot be reached");
    set(&mut client, "oncall.model_url", &pod.url());
    assert!(handle(&mut client, &pool_alert("db-2")).is_autonomous());
}

#[test]
fn a_busy_pod_is_asked_again_when_it_says_so() {
    let (_cluster, pod, mut client) = set_up();
    pod.first([Behaviour::busy("0"), Behaviour::error(502, "starting")]);
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert!(incident.is_autonomous(), "{:?}", objections(&mut client, &incident.id));
    assert_eq!(pod.request_count(), 3);
    assert_eq!(outline(&mut client, &incident.id).iter().filter(|step| *step == "chat done").count(), 1);
    assert_eq!(inferences(&mut client, &incident.id).len(), 1, "an inference with retries is one inference");
}

#[test]
fn a_reply_of_the_wrong_shape_is_repaired_once() {
    let (_cluster, pod, mut client) = set_up();
    for (name, first) in [
        ("schema", Behaviour::SchemaViolating),
        ("truncated", Behaviour::Truncated),
        ("prose", Behaviour::Say("I would raise the pool size.".to_owned())),
        ("two objects", Behaviour::Say(format!("{0} or {0}", reply(0.9, &[POOL_STEP])))),
        ("long", Behaviour::Say("x".repeat(100_000))),
    ] {
        println!("{name}");
        pod.first([first, good_reply()]);
        let incident = handle(&mut client, &pool_alert(name));
        assert!(incident.is_autonomous(), "{:?}", objections(&mut client, &incident.id));
        assert_eq!(incident.triage["repaired"], true);
        let steps = journal(&mut client, &incident.id);
        let purposes: Vec<_> =
            steps.iter().filter(|step| step.kind == "chat").map(|step| step.request["purpose"].clone()).collect();
        assert_eq!(purposes, ["triage", "triage repair"]);
        assert_eq!(inferences(&mut client, &incident.id).len(), 2, "two questions, two inferences");
    }
}

#[test]
fn a_reply_that_is_wrong_twice_escalates() {
    let (_cluster, pod, mut client) = set_up();
    for (name, behaviour, words) in [
        ("schema", Behaviour::SchemaViolating, "has not the fields"),
        ("truncated", Behaviour::Truncated, "was cut off"),
        ("prose", Behaviour::Say("Sorry, I can't.".to_owned()), "not one JSON object"),
        ("no number", Behaviour::Say(reply(0.9, &[POOL_STEP]).replace("0.9", "null")), "confidence is null"),
        ("NaN", Behaviour::Say(reply(0.9, &[POOL_STEP]).replace("0.9", "NaN")), "not one JSON object"),
        ("too many", Behaviour::Say(reply(0.9, &[POOL_STEP; 17])), "17 entries"),
        ("a NUL in a name", Behaviour::Say(reply(0.9, &["RB-001/raise\0"])), "control characters"),
        ("a NUL as it is", Behaviour::Say("\0".to_owned()), "not one JSON object"),
    ] {
        println!("{name}");
        pod.set(behaviour);
        let before = pod.request_count();
        let incident = handle(&mut client, &pool_alert(name));
        assert_objection(&mut client, &incident, "answer_parsed", words);
        assert_eq!(pod.request_count() - before, 2, "one repair round and no more");
        assert_eq!(incident.by(), "builtin");
        let inferences = inferences(&mut client, &incident.id);
        assert_eq!(inferences.len(), 3, "{inferences:#?}");
        assert_eq!(inferences[2].context["fallback_triggered"], true);
    }
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.incident_audit"), 8);
}

#[test]
fn a_pod_that_breaks_in_the_repair_round_escalates() {
    let (_cluster, pod, mut client) = set_up();
    pod.first([Behaviour::SchemaViolating]);
    pod.set(Behaviour::error(401, "key expired"));
    let incident = handle(&mut client, &pool_alert("db-1"));
    assert_objection(&mut client, &incident, "answer_parsed", "answered 401: key expired");
    assert_eq!(
        outline(&mut client, &incident.id),
        ["retrieve done", "metrics done", "chat done", "chat failed", "triage done", "route done"]
    );
}

#[test]
fn a_confident_answer_that_is_wrong_escalates_with_its_reason() {
    let (_cluster, pod, mut client) = set_up();
    let disk = json!({
        "text": "Filesystem /pg_wal has 3% space left, an inactive replication slot retains WAL",
        "severity": "critical",
        "labels": {"alertname": "NodeFilesystemAlmostOutOfSpace", "instance": "db-3"},
    });
    let wrong = |step: &str| Behaviour::ConfidentlyWrong(step.to_owned());
    let cases = [
        ("an unknown step", pool_alert("1"), wrong("RB-001/drop-everything"), "actions_are_known"),
        ("an unknown runbook", pool_alert("2"), wrong("RB-999/raise-the-pool-size"), "actions_are_known"),
        (
            "a runbook that was not retrieved",
            pool_alert("3"),
            wrong("RB-002/refresh-the-statistics"),
            "actions_are_known",
        ),
        ("prose for a step", pool_alert("4"), wrong("raise the pool size"), "actions_are_known"),
        ("SQL for a step", pool_alert("5"), wrong("DROP DATABASE production"), "actions_are_known"),
        ("a destructive step", disk, wrong("RB-003/pause-the-write-workloads"), "actions_are_safe"),
        ("no action", pool_alert("6"), Behaviour::Say(reply(0.99, &[])), "has_actions"),
        (
            "an action twice",
            pool_alert("7"),
            Behaviour::Say(reply(0.99, &[POOL_STEP, POOL_STEP])),
            "actions_are_distinct",
        ),
        (
            "one bad among good",
            pool_alert("8"),
            Behaviour::Say(reply(0.99, &[POOL_STEP, "RB-001/x"])),
            "actions_are_known",
        ),
        ("a confidence of 1.7", pool_alert("9"), Behaviour::Say(reply(1.7, &[POOL_STEP])), "confidence_is_valid"),
        ("a negative confidence", pool_alert("10"), Behaviour::Say(reply(-1.0, &[POOL_STEP])), "confidence_is_valid"),
        ("a confidence of 1e300", pool_alert("11"), Behaviour::Say(reply(1e300, &[POOL_STEP])), "confidence_is_valid"),
        ("doubt", pool_alert("12"), Behaviour::Say(reply(0.7499, &[POOL_STEP])), "confidence_reaches_threshold"),
    ];
    for (name, alert, behaviour, condition) in cases {
        println!("{name}");
        pod.set(behaviour);
        let incident = handle(&mut client, &alert);
        assert_objection(&mut client, &incident, condition, "");
        assert_eq!(incident.by(), "stub", "it did answer, and the answer could be read");
        assert_eq!(inferences(&mut client, &incident.id).len(), 1, "nothing stood in for it");
    }
    assert_nothing_unmapped_was_approved(&mut client);
}

#[test]
fn an_embedding_that_fails_is_noted_and_the_builtin_embedder_ranks_alone() {
    let (_cluster, pod, mut client) = set_up();
    let embedding_pod = StubPod::start(Behaviour::Ok);
    set(&mut client, "oncall.embedding_url", &embedding_pod.url());
    set(&mut client, "oncall.embedding_model", "stub-embed");
    client.execute("SELECT * FROM oncall.reembed_runbooks()", &[]).unwrap();
    set(&mut client, "oncall.request_timeout", "2s");
    for (name, behaviour, words) in [
        ("wrong dimension", Behaviour::WrongDimension(384), "384 dimensions where the catalogue has 1024"),
        ("broken", Behaviour::error(503, "loading model"), "answered 503: loading model"),
        ("slow", Behaviour::SlowHead(Duration::from_secs(20)), "did not answer in time"),
        ("empty", Behaviour::Empty, "0 embeddings for 1 texts"),
        ("no list of embeddings", Behaviour::NotJson, "not a list of embeddings"),
        ("no numbers", Behaviour::SchemaViolating, "not a list of embeddings"),
        ("10 MB", Behaviour::Long { bytes: 10 << 20, announced: false }, ""),
    ] {
        println!("{name}");
        embedding_pod.set(behaviour);
        let incident = handle(&mut client, &pool_alert(name));
        assert!(incident.is_autonomous(), "degraded, not down: {:?}", objections(&mut client, &incident.id));
        let note = incident.triage["embedding_failure"].as_str().unwrap_or_default();
        assert!(!note.is_empty() && note.contains(words), "{note:?}");
        let steps = journal(&mut client, &incident.id);
        assert_eq!((steps[0].kind.as_str(), steps[0].status.as_str()), ("embed", "failed"));
        assert!(steps[0].outcome["reason"].as_str().is_some_and(|reason| reason.contains(words)), "{:?}", steps[0]);
        let weights = &steps[1].request["weights"];
        assert_eq!(weights["pod"], 0.0, "the pod has no say in this search: {weights}");
        assert_eq!(steps[1].outcome["sections"][0]["runbook_id"], "RB-001");
    }
    embedding_pod.set(Behaviour::Ok);
    let incident = handle(&mut client, &pool_alert("well again"));
    assert_eq!(incident.triage["embedding_failure"], json!(null));
    assert_eq!(outline(&mut client, &incident.id)[0], "embed done");
    assert!(pod.request_count() > 0);
}

#[test]
fn settings_that_no_pod_can_be_made_of_escalate() {
    let (_cluster, _pod, mut client) = set_up();
    for (number, url) in ["localhost:8080", "ftp://localhost/v1", "http://", "not a url", "http://localhost/v1?key=1"]
        .into_iter()
        .enumerate()
    {
        set(&mut client, "oncall.model_url", url);
        let incident = handle(&mut client, &pool_alert(&number.to_string()));
        assert_objection(&mut client, &incident, "model_answered", "");
        assert_eq!(incident.by(), "builtin");
    }
}
