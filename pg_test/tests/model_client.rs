//! The client against a pod that misbehaves: each fault has its name, and none takes longer than it may.

use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use oncall_model::egress::AllowedHosts;
use oncall_model::{ApiKey, ChatAnswer, Dialect, Kind, ModelError, Pod, PodSettings, Question, SetUpError, Timeouts};
use pg_test::stub_pod::{Behaviour, Replies, StubPod};
use serde_json::{Value, json};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn settings(stub: &StubPod) -> PodSettings {
    PodSettings {
        chat_model: Some("chat".to_owned()),
        embedding_model: Some("embed".to_owned()),
        timeouts: Timeouts::within(Duration::from_secs(10)),
        ..PodSettings::new(stub.url())
    }
}

fn pod(stub: &StubPod) -> Pod {
    Pod::new(settings(stub)).unwrap()
}

/// A pod that is given up soon: for what never ends.
fn hasty(stub: &StubPod, total: Duration) -> Pod {
    Pod::new(PodSettings { timeouts: Timeouts::within(total), ..settings(stub) }).unwrap()
}

fn ask(pod: &Pod) -> Result<ChatAnswer, ModelError> {
    let schema = json!({"type": "object"});
    pod.chat(&Question {
        system: "You triage alerts.",
        user: "pool exhausted\nsteps:\n- RB-001/raise-the-pool-size\n- RB-001/kill-idle",
        schema_name: "triage",
        schema: &schema,
        max_tokens: 300,
    })
}

fn embed(pod: &Pod, texts: &[&str], dimension: Option<usize>) -> Result<Vec<Vec<f32>>, ModelError> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    pod.embed(&texts, Kind::Query, dimension).map(|embeddings| embeddings.vectors)
}

fn unusable<T: std::fmt::Debug>(result: Result<T, ModelError>) -> String {
    match result {
        Err(ModelError::Unusable { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn status<T: std::fmt::Debug>(result: Result<T, ModelError>) -> (u16, String) {
    match result {
        Err(ModelError::Status { status, message }) => (status, message),
        other => panic!("{other:?}"),
    }
}

fn unreachable<T: std::fmt::Debug>(result: Result<T, ModelError>) -> String {
    match result {
        Err(ModelError::Unreachable { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn phase<T: std::fmt::Debug>(result: Result<T, ModelError>) -> String {
    match result {
        Err(ModelError::Timeout { phase }) => phase,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_question_is_answered_with_text_counts_and_time() {
    let stub = StubPod::start(Behaviour::Ok);
    let answer = ask(&pod(&stub)).unwrap();
    let reply: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(reply["recommended_actions"], json!(["RB-001/raise-the-pool-size"]));
    assert_eq!(reply["confidence"], json!(0.9));
    assert_eq!(answer.model, "stub");
    assert!(!answer.truncated && answer.tokens_in > Some(0) && answer.tokens_out > Some(0));
    assert!(answer.latency > Duration::ZERO && answer.latency < Duration::from_secs(5));

    let request = stub.requests().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.json()["model"], "chat");
    assert_eq!(request.json()["response_format"]["type"], "json_schema");
}

#[test]
fn the_base_url_is_a_prefix_with_or_without_a_slash_at_its_end() {
    let stub = StubPod::start(Behaviour::Ok);
    for (base, path) in [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/openai/v1", "/openai/v1/chat/completions"),
        ("", "/chat/completions"),
    ] {
        let base_url = format!("http://127.0.0.1:{}{base}", stub.port());
        ask(&Pod::new(PodSettings::new(base_url)).unwrap()).unwrap();
        assert_eq!(stub.requests().last().unwrap().path, path);
    }
}

#[test]
fn a_base_url_that_can_be_no_pods_is_refused_at_set_up() {
    let allowed = AllowedHosts::parse("localhost, evil.test").unwrap();
    for url in ["", "localhost:8080", "ftp://localhost/v1", "http://", "http://key@localhost/v1", "http://0x7f.1/v1"] {
        let settings = PodSettings { allowed: allowed.clone(), ..PodSettings::new(url) };
        assert!(Pod::new(settings).is_err(), "{url}");
    }
    let said = Pod::new(PodSettings::new("http://localhost/v1?key=1")).unwrap_err();
    assert!(matches!(&said, SetUpError::Url { .. }) && said.to_string().contains("no query"), "{said}");
    let settings = PodSettings { ca_pem: Some(b"no PEM".to_vec()), ..PodSettings::new("https://localhost/v1") };
    assert!(matches!(Pod::new(settings), Err(SetUpError::Certificate(_))));
}

#[test]
fn each_dialect_arrives_in_its_own_field() {
    let stub = StubPod::start(Behaviour::Ok);
    for (dialect, field) in [
        (Dialect::JsonSchema, "/response_format/json_schema/schema"),
        (Dialect::JsonObjectSchema, "/response_format/schema"),
        (Dialect::GuidedJson, "/guided_json"),
    ] {
        ask(&Pod::new(PodSettings { dialect, ..settings(&stub) }).unwrap()).unwrap();
        let body = stub.requests().last().unwrap().json();
        assert_eq!(body.pointer(field), Some(&json!({"type": "object"})), "{dialect:?}");
    }
    ask(&Pod::new(PodSettings { dialect: Dialect::None, ..settings(&stub) }).unwrap()).unwrap();
    let body = stub.requests().last().unwrap().json();
    assert!(body["messages"][0]["content"].as_str().unwrap().contains("JSON Schema"));
    assert!(body.get("response_format").is_none() && body.get("guided_json").is_none());
}

#[test]
fn embeddings_come_in_the_order_of_the_texts_over_several_batches() {
    let stub = StubPod::start(Behaviour::Ok);
    stub.replies(Replies { dimension: 64, ..Replies::default() });
    let pod = Pod::new(PodSettings { embedding_batch: 3, ..settings(&stub) }).unwrap();
    let texts = ["pool", "disk", "lag", "bloat", "locks", "wal", "vacuum"];
    let together = embed(&pod, &texts, Some(64)).unwrap();
    assert_eq!(stub.request_count(), 3);
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(vec![vector.clone()], embed(&pod, &[text], Some(64)).unwrap(), "{text}");
    }
    assert_eq!(stub.request_count(), 3 + texts.len() as u64);
    assert_eq!(embed(&pod, &[], Some(64)), Ok(vec![]));
    assert_eq!(stub.request_count(), 3 + texts.len() as u64, "nothing to embed, nothing sent");
}

#[test]
fn tokens_of_all_batches_are_summed_and_the_model_is_the_servers_word() {
    let stub = StubPod::start(Behaviour::Ok);
    let pod = Pod::new(PodSettings { embedding_batch: 1, ..settings(&stub) }).unwrap();
    let texts = ["two words".to_owned(), "and three more".to_owned()];
    let embeddings = pod.embed(&texts, Kind::Passage, None).unwrap();
    assert_eq!((embeddings.tokens, embeddings.model.as_str()), (Some(5), "stub"));
}

#[test]
fn queries_and_passages_get_their_prefixes() {
    let stub = StubPod::start(Behaviour::Ok);
    let prefixes =
        PodSettings { query_prefix: "query: ".into(), passage_prefix: "passage: ".into(), ..settings(&stub) };
    let pod = Pod::new(prefixes).unwrap();
    for (kind, sent) in [(Kind::Query, "query: pool"), (Kind::Passage, "passage: pool")] {
        pod.embed(&["pool".to_owned()], kind, None).unwrap();
        let body = stub.requests().last().unwrap().json();
        assert_eq!(body, json!({"model": "embed", "input": [sent]}));
    }
}

#[test]
fn a_wrong_dimension_says_what_came_and_what_the_catalogue_has() {
    let stub = StubPod::start(Behaviour::WrongDimension(384));
    let error = embed(&pod(&stub), &["pool"], Some(1024)).unwrap_err();
    assert_eq!(error, ModelError::WrongDimension { expected: 1024, got: 384 });
    assert_eq!(stub.request_count(), 1, "asking again changes nothing");
}

#[test]
fn answers_that_are_none_are_unusable_at_once_and_not_asked_for_again() {
    let stub = StubPod::start(Behaviour::Ok);
    let pod = pod(&stub);
    let mut asked = 0;
    for (behaviour, why) in [
        (Behaviour::NotJson, "not a chat completion"),
        (Behaviour::Empty, "it is empty"),
        (Behaviour::Say("  ".to_owned()), "it is empty"),
        (Behaviour::error(500, "output that does not match the expected peg-native format"), "peg-native"),
    ] {
        stub.set(behaviour.clone());
        let said = unusable(ask(&pod));
        assert!(said.contains(why), "{behaviour:?}: {said}");
        asked += 1;
        assert_eq!(stub.request_count(), asked, "{behaviour:?}");
    }
    for (behaviour, why) in [
        (Behaviour::NotJson, "not a list of embeddings"),
        (Behaviour::Empty, "0 embeddings for 1 texts"),
        (Behaviour::SchemaViolating, "not a list of embeddings"),
    ] {
        stub.set(behaviour.clone());
        let said = unusable(embed(&pod, &["pool"], None));
        assert!(said.contains(why), "{behaviour:?}: {said}");
    }
}

#[test]
fn what_only_the_domain_can_judge_is_passed_on_as_text() {
    let stub = StubPod::start(Behaviour::SchemaViolating);
    assert!(ask(&pod(&stub)).unwrap().text.contains(r#""confidence":"very""#));
    stub.set(Behaviour::ConfidentlyWrong("RB-003/drop-the-table".to_owned()));
    let text = ask(&pod(&stub)).unwrap().text;
    assert!(text.contains("RB-003/drop-the-table") && text.contains("0.99"), "{text}");
    stub.set(Behaviour::Truncated);
    let answer = ask(&pod(&stub)).unwrap();
    assert!(answer.truncated && serde_json::from_str::<Value>(&answer.text).is_err());
}

#[test]
fn an_answer_of_ten_megabytes_is_refused_whether_or_not_its_length_is_announced() {
    let stub = StubPod::start(Behaviour::Ok);
    let pod = pod(&stub);
    for announced in [true, false] {
        stub.set(Behaviour::Long { bytes: 10_000_000, announced });
        let said = unusable(ask(&pod));
        assert_eq!(said, "it is longer than 1048576 bytes", "announced: {announced}");
        let said = unusable(embed(&pod, &["pool"], None));
        assert_eq!(said, "it is longer than 262144 bytes", "announced: {announced}");
    }
    stub.set(Behaviour::Ok);
    assert!(ask(&pod).is_ok(), "the pod is as good as before");
}

#[test]
fn an_answer_of_exactly_the_most_bytes_is_taken() {
    for announced in [true, false] {
        let stub = StubPod::start(Behaviour::Long { bytes: 4096, announced });
        let with = |max_answer_bytes| Pod::new(PodSettings { max_answer_bytes, ..settings(&stub) }).unwrap();
        assert!(ask(&with(4096)).is_ok(), "announced: {announced}");
        assert_eq!(unusable(ask(&with(4095))), "it is longer than 4095 bytes", "announced: {announced}");
    }
}

#[test]
fn a_long_explanation_of_an_error_does_not_hide_its_status() {
    let stub = StubPod::start(Behaviour::Status(400, None, "x".repeat(5_000_000)));
    assert_eq!(status(ask(&pod(&stub))), (400, "no message".to_owned()));
    stub.set(Behaviour::Status(400, None, "y".repeat(5_000)));
    let (code, message) = status(ask(&pod(&stub)));
    assert_eq!((code, message.chars().count()), (400, 301));
}

#[test]
fn a_refusal_is_never_asked_again() {
    let stub = StubPod::start(Behaviour::Ok);
    let pod = pod(&stub);
    for (asked, code) in (1..).zip([400, 401, 403, 404, 413, 422]) {
        stub.set(Behaviour::error(code, "no"));
        assert_eq!(status(ask(&pod)), (code, "no".to_owned()));
        assert_eq!(stub.request_count(), asked, "{code}");
    }
}

#[test]
fn a_busy_pod_is_asked_again_until_it_answers() {
    let stub = StubPod::start(Behaviour::Ok);
    let pod = pod(&stub);
    for code in [408, 429, 502, 503, 504] {
        let before = stub.request_count();
        stub.first([Behaviour::error(code, "busy"), Behaviour::error(code, "busy")]);
        ask(&pod).unwrap();
        assert_eq!(stub.request_count() - before, 3, "{code}");
    }
}

#[test]
fn no_more_than_the_allowed_retries_are_made() {
    let stub = StubPod::start(Behaviour::error(503, "loading model"));
    for max_retries in [0, 1, 2] {
        let before = stub.request_count();
        let pod = Pod::new(PodSettings { max_retries, ..settings(&stub) }).unwrap();
        assert_eq!(status(ask(&pod)), (503, "loading model".to_owned()));
        assert_eq!(stub.request_count() - before, u64::from(max_retries) + 1);
    }
}

#[test]
fn a_servers_own_error_is_tried_again_once() {
    let stub = StubPod::start(Behaviour::error(500, "out of memory"));
    assert_eq!(status(ask(&pod(&stub))), (500, "out of memory".to_owned()));
    assert_eq!(stub.request_count(), 2);
    stub.set(Behaviour::Ok);
    stub.first([Behaviour::error(500, "hiccup")]);
    assert!(ask(&pod(&stub)).is_ok());
}

#[test]
fn a_broken_connection_is_tried_again() {
    let stub = StubPod::start(Behaviour::Ok);
    for behaviour in [Behaviour::Reset, Behaviour::CutOff] {
        stub.first([behaviour.clone(), behaviour.clone()]);
        let before = stub.request_count();
        ask(&pod(&stub)).unwrap();
        assert_eq!(stub.request_count() - before, 3, "{behaviour:?}");
    }
}

#[test]
fn a_connection_that_stays_broken_is_unreachable() {
    let stub = StubPod::start(Behaviour::CutOff);
    let said = unreachable(ask(&pod(&stub)));
    assert_eq!(said, "the connection closed before the answer was complete");
    stub.set(Behaviour::Reset);
    unreachable(ask(&pod(&stub)));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = unreachable(ask(&Pod::new(PodSettings::new(format!("http://{nobody}/v1"))).unwrap()));
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn retry_after_is_waited_for() {
    let stub = StubPod::start(Behaviour::Ok);
    stub.first([Behaviour::busy("1")]);
    let started = Instant::now();
    let answer = ask(&pod(&stub)).unwrap();
    assert!((MS(1000)..MS(3000)).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert!(answer.latency >= MS(1000), "the wait is part of the latency");

    // A date gone by means now; two backoffs would be 300 ms at least.
    stub.first([(); 2].map(|()| Behaviour::busy("Fri, 20 Nov 2020 10:00:00 GMT")));
    let started = Instant::now();
    ask(&pod(&stub)).unwrap();
    assert!(started.elapsed() < MS(280), "{:?}", started.elapsed());
}

#[test]
fn a_retry_after_beyond_the_total_time_ends_the_call_at_once() {
    for retry_after in ["60", "Fri, 20 Nov 2099 10:00:00 GMT"] {
        let stub = StubPod::start(Behaviour::busy(retry_after));
        let started = Instant::now();
        assert_eq!(status(ask(&pod(&stub))), (429, "too many requests".to_owned()));
        assert!(started.elapsed() < MS(500));
        assert_eq!(stub.request_count(), 1);
    }
}

#[test]
fn each_phase_has_its_own_timeout() {
    let stub = StubPod::start(Behaviour::SlowHead(Duration::from_secs(20)));
    let with = |timeouts| Pod::new(PodSettings { timeouts, ..settings(&stub) }).unwrap();
    let long = Timeouts::within(Duration::from_secs(10));
    let within = |phase_of: &dyn Fn() -> String| {
        let started = Instant::now();
        let phase = phase_of();
        assert!((MS(200)..MS(600)).contains(&started.elapsed()), "{phase}: {:?}", started.elapsed());
        phase
    };
    assert_eq!(within(&|| phase(ask(&with(Timeouts { response: MS(200), ..long })))), "response");
    assert_eq!(within(&|| phase(ask(&hasty(&stub, MS(200))))), "total");
    assert_eq!(stub.request_count(), 2, "a slow model is not asked twice");
    stub.set(Behaviour::SlowBody(Duration::from_secs(20)));
    assert_eq!(within(&|| phase(ask(&with(Timeouts { body: MS(200), ..long })))), "body");
}

#[test]
fn a_slow_answer_within_its_time_is_an_answer() {
    let stub = StubPod::start(Behaviour::SlowHead(MS(150)));
    assert!(ask(&pod(&stub)).unwrap().latency >= MS(150));
    stub.set(Behaviour::SlowBody(MS(150)));
    assert!(ask(&pod(&stub)).unwrap().latency >= MS(150));
}

#[test]
fn retries_and_waits_together_stay_within_the_total() {
    let stub = StubPod::start(Behaviour::error(503, "busy"));
    let pod = Pod::new(PodSettings { max_retries: 1000, ..hasty(&stub, MS(700)).settings().clone() }).unwrap();
    let started = Instant::now();
    assert_eq!(status(ask(&pod)).0, 503);
    assert!(started.elapsed() < MS(1000), "{:?}", started.elapsed());
    assert!((2..8).contains(&stub.request_count()), "{}", stub.request_count());
}

#[test]
fn connections_are_kept_alive_from_call_to_call() {
    let stub = StubPod::start(Behaviour::Ok);
    let pod = pod(&stub);
    for _ in 0..5 {
        ask(&pod).unwrap();
        embed(&pod.clone(), &["pool"], None).unwrap();
        stub.first([Behaviour::error(404, "not here")]);
        status(ask(&pod));
    }
    assert_eq!((stub.request_count(), stub.connection_count()), (15, 1));
}

#[test]
fn a_connection_that_the_pod_closed_meanwhile_is_replaced() {
    let stub = StubPod::start(Behaviour::Ok);
    let pod = Pod::new(PodSettings { max_retries: 0, ..settings(&stub) }).unwrap();
    ask(&pod).unwrap();
    stub.first([Behaviour::CutOff]);
    unreachable(ask(&pod));
    ask(&pod).unwrap();
    assert_eq!(stub.connection_count(), 2);
}

/// Start a call, end it from here once the pod has it, and say how long the ending took.
fn ended_after(stub: &StubPod, pod: &Pod) -> (Duration, Result<ChatAnswer, ModelError>) {
    let (done, answer) = mpsc::channel();
    let calling = pod.clone();
    let before = stub.request_count();
    thread::spawn(move || done.send(ask(&calling)));
    while stub.request_count() == before {
        thread::sleep(MS(1));
    }
    thread::sleep(MS(50));
    assert!(answer.try_recv().is_err(), "the call waits");
    let started = Instant::now();
    pod.shutdown();
    let answer = answer.recv_timeout(Duration::from_secs(5)).expect("the call ends");
    (started.elapsed(), answer)
}

#[test]
fn shutdown_ends_a_call_that_waits_for_its_answer_and_one_that_sleeps_between_attempts() {
    for behaviour in
        [Behaviour::SlowHead(Duration::from_secs(8)), Behaviour::SlowBody(Duration::from_secs(8)), Behaviour::busy("8")]
    {
        let stub = StubPod::start(behaviour.clone());
        let (took, answer) = ended_after(&stub, &pod(&stub));
        assert!(took < MS(100), "{behaviour:?}: {took:?}");
        assert_eq!(unreachable(answer), "the call was ended", "{behaviour:?}");
        assert_eq!(stub.request_count(), 1, "an ended call is not tried again");
    }
}

#[test]
fn a_pod_that_was_shut_down_sends_nothing_more_and_its_reopened_twin_does() {
    let stub = StubPod::start(Behaviour::Ok);
    let pod = pod(&stub);
    let late = pod.clone();
    pod.shutdown();
    assert_eq!(unreachable(ask(&late)), "the call was ended");
    assert_eq!(stub.request_count(), 0);
    assert!(ask(&pod.reopen()).is_ok());
    unreachable(ask(&late));
}

#[test]
fn the_key_is_sent_as_a_bearer_token_and_shown_nowhere_else() {
    let stub = StubPod::start(Behaviour::Ok);
    let key = "sk-5ecret-5ecret";
    let api_key = Some(ApiKey::new(&format!("{key}\n")).unwrap());
    let pod = Pod::new(PodSettings { api_key, ..settings(&stub) }).unwrap();
    ask(&pod).unwrap();
    embed(&pod, &["pool"], None).unwrap();
    for request in stub.requests() {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {key}").as_str()));
        assert!(!String::from_utf8_lossy(&request.body).contains(key));
    }
    assert!(!format!("{pod:?} {:#?}", pod.settings()).contains(key));

    // A server that quotes what it was sent, also across the place where a message is cut.
    for padding in [0, 290] {
        let body = format!("{} Bearer {key} is wrong", "x".repeat(padding));
        for behaviour in [Behaviour::Status(401, None, body.clone()), Behaviour::error(500, &body)] {
            stub.set(behaviour);
            let error = ask(&pod).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("5ecret"), "{error}");
        }
    }
    stub.set(Behaviour::Redirect(format!("http://127.0.0.1/{key}")));
    assert!(!ask(&pod).unwrap_err().to_string().contains(key));
}

#[test]
fn a_redirect_is_not_followed_and_the_other_host_hears_nothing() {
    let other = StubPod::start(Behaviour::Ok);
    let stub = StubPod::start(Behaviour::Redirect(other.url()));
    let (code, message) = status(ask(&pod(&stub)));
    assert_eq!(code, 307);
    assert!(message.contains(&other.url()) && message.contains("not followed"), "{message}");
    assert_eq!((stub.request_count(), other.connection_count()), (1, 0));
}

#[test]
fn a_name_that_is_not_listed_is_refused_before_any_connection() {
    let stub = StubPod::start(Behaviour::Ok);
    let with = |host: &str, allowed: &str| {
        let base_url = format!("http://{host}:{}/v1", stub.port());
        let allowed = AllowedHosts::parse(allowed).unwrap();
        ask(&Pod::new(PodSettings { allowed, ..PodSettings::new(base_url) }).unwrap())
    };
    let not_allowed = |address: &str| Err(ModelError::NotAllowed { address: address.to_owned() });
    assert!(with("localhost", "localhost, 127.0.0.0/8, ::1").is_ok());
    assert!(with("LOCALHOST", "localhost, 127.0.0.0/8, ::1").is_ok());
    assert!(with("[::ffff:127.0.0.1]", "127.0.0.1").is_ok());
    let connections = stub.connection_count();
    assert_eq!(with("127.0.0.1", "10.0.0.0/8"), not_allowed("127.0.0.1"));
    assert_eq!(with("0.0.0.0", "0.0.0.0/0"), not_allowed("0.0.0.0"));
    assert_eq!(with("pod.test", "localhost"), not_allowed("pod.test"));
    assert_eq!(stub.connection_count(), connections);
}

#[test]
fn a_listed_name_whose_addresses_are_not_listed_is_refused_before_any_connection() {
    let stub = StubPod::start(Behaviour::Ok);
    let base_url = format!("http://localhost:{}/v1", stub.port());
    let allowed = AllowedHosts::parse("localhost, 10.0.0.0/8").unwrap();
    let error = ask(&Pod::new(PodSettings { allowed, ..PodSettings::new(base_url) }).unwrap()).unwrap_err();
    let ModelError::NotAllowed { address } = error else { panic!("{error:?}") };
    assert!(
        address == "127.0.0.1 (an address of localhost)" || address == "::1 (an address of localhost)",
        "{address}"
    );
    assert_eq!(stub.connection_count(), 0);
}

/// The environment belongs to the process, so another process is needed: this test runs itself in one.
#[test]
fn proxies_of_the_environment_are_ignored() {
    const MARK: &str = "ONCALL_TEST_POD";
    if let Ok(base_url) = std::env::var(MARK) {
        ask(&Pod::new(PodSettings::new(base_url)).unwrap()).unwrap();
        return;
    }
    let (stub, proxy) = (StubPod::start(Behaviour::Ok), StubPod::start(Behaviour::Ok));
    let proxy_url = format!("http://127.0.0.1:{}", proxy.port());
    let mut test = std::process::Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "proxies_of_the_environment_are_ignored"]).env(MARK, stub.url());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        test.env(name, &proxy_url);
    }
    test.env_remove("no_proxy").env_remove("NO_PROXY");
    let output = test.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((stub.request_count(), proxy.connection_count()), (1, 0));
}

#[test]
fn many_calls_at_once_share_a_pod() {
    let stub = StubPod::start(Behaviour::SlowHead(MS(100)));
    let pod = pod(&stub);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| ask(&pod).unwrap());
        }
    });
    assert!(started.elapsed() < MS(1600), "32 calls of 100 ms took {:?}", started.elapsed());
    assert_eq!(stub.connection_count(), 32);
}
