//! The client against a real llama.cpp server: what its wire looks like is not for us to say.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use oncall_model::{ApiKey, ChatAnswer, Dialect, Embeddings, Kind, ModelError, Pod, PodSettings, Question, Timeouts};
use pg_test::llama::{Lab, Llama, Model};
use serde_json::{Value, json};

const KEY: &str = "sk-local";

fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("llama");
    LAB.get_or_init(|| Lab::prepare(&folder).unwrap_or_else(|e| panic!("the llama.cpp lab cannot be built: {e}")))
}

fn serve(model: Model) -> (Llama, PodSettings) {
    let llama = Llama::start(lab(), model, Some(KEY)).unwrap();
    let settings = PodSettings {
        api_key: Some(ApiKey::new(KEY).unwrap()),
        timeouts: Timeouts::within(Duration::from_secs(60)),
        ..PodSettings::new(llama.url())
    };
    (llama, settings)
}

fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "required": ["incident_type", "confidence", "recommended_actions"],
        "properties": {
            "incident_type": {"type": "string", "enum": ["ConnectionPoolExhaustion", "DiskSpace", "unknown"]},
            "confidence": {"type": "integer", "minimum": 0, "maximum": 100},
            "recommended_actions": {
                "type": "array", "maxItems": 2,
                "items": {"type": "string", "enum": ["RB-001/raise-the-pool-size", "RB-001/kill-idle"]},
            },
        },
    })
}

fn ask(pod: &Pod, user: &str, max_tokens: u32) -> Result<ChatAnswer, ModelError> {
    let system = "You triage alerts. Reply with JSON only.";
    pod.chat(&Question { system, user, schema_name: "triage", schema: &schema(), max_tokens })
}

fn embed(pod: &Pod, texts: &[&str], dimension: Option<usize>) -> Result<Embeddings, ModelError> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    pod.embed(&texts, Kind::Query, dimension)
}

#[test]
fn the_schema_constrains_the_answer_in_each_dialect_that_llama_cpp_speaks() {
    let (_llama, settings) = serve(Model::Chat { context: 4096 });
    for dialect in [Dialect::JsonSchema, Dialect::JsonObjectSchema] {
        let pod = Pod::new(PodSettings { dialect, ..settings.clone() }).unwrap();
        for alert in ["pgbouncer pool exhausted", "disk 91% full", "replication lag 40 s"] {
            let answer = ask(&pod, alert, 400).unwrap();
            let reply: Value =
                serde_json::from_str(&answer.text).unwrap_or_else(|e| panic!("{dialect:?} {e}: {answer:?}"));
            assert!(
                schema()["properties"]["incident_type"]["enum"].as_array().unwrap().contains(&reply["incident_type"])
            );
            assert!((0..=100).contains(&reply["confidence"].as_i64().unwrap()), "{reply}");
            assert!(reply["recommended_actions"].as_array().unwrap().len() <= 2, "{reply}");
            assert!(!answer.truncated && answer.tokens_in > Some(0) && answer.tokens_out > Some(0));
        }
    }
}

#[test]
fn the_same_question_gets_the_same_answer() {
    let (_llama, settings) = serve(Model::Chat { context: 4096 });
    let pod = Pod::new(settings).unwrap();
    assert_eq!(ask(&pod, "pool exhausted", 400).unwrap().text, ask(&pod, "pool exhausted", 400).unwrap().text);
}

#[test]
fn a_dialect_that_the_server_does_not_know_gets_an_answer_that_nothing_constrained() {
    let (_llama, settings) = serve(Model::Chat { context: 4096 });
    for dialect in [Dialect::GuidedJson, Dialect::None] {
        let pod = Pod::new(PodSettings { dialect, ..settings.clone() }).unwrap();
        let text = ask(&pod, "pool exhausted", 60).unwrap().text;
        assert!(serde_json::from_str::<Value>(&text).is_err(), "random weights do not write JSON by chance: {text}");
    }
}

#[test]
fn an_answer_cut_off_at_max_tokens_is_no_answer_in_either_form_that_the_server_gives_it() {
    let (_llama, settings) = serve(Model::Chat { context: 4096 });
    let pod = Pod::new(settings).unwrap();
    for max_tokens in [1, 5, 10, 20, 40] {
        match ask(&pod, "pool exhausted", max_tokens) {
            Ok(answer) => assert!(answer.truncated, "{max_tokens}: {answer:?}"),
            Err(ModelError::Unusable { .. }) => {}
            Err(other) => panic!("{max_tokens}: {other:?}"),
        }
    }
}

#[test]
fn a_prompt_beyond_the_context_is_refused_with_both_sizes() {
    let (_llama, settings) = serve(Model::Chat { context: 1024 });
    let error = ask(&Pod::new(settings).unwrap(), &"pool exhausted ".repeat(500), 100).unwrap_err();
    let ModelError::Status { status: 400, message } = &error else { panic!("{error:?}") };
    assert!(message.contains("exceeds the available context size (1024 tokens)"), "{message}");
}

#[test]
fn a_schema_that_the_server_cannot_read_is_refused_with_its_word() {
    let (_llama, settings) = serve(Model::Chat { context: 1024 });
    let (pod, schema) = (Pod::new(settings).unwrap(), json!({"type": "frobnicate"}));
    let question = Question { system: "s", user: "u", schema_name: "x", schema: &schema, max_tokens: 10 };
    let error = pod.chat(&question).unwrap_err();
    let ModelError::Status { status: 400, message } = &error else { panic!("{error:?}") };
    assert!(message.contains("frobnicate"), "{message}");
}

#[test]
fn a_wrong_key_no_key_and_a_wrong_path_say_what_is_wrong() {
    let (llama, settings) = serve(Model::Chat { context: 1024 });
    let wrong = Some(ApiKey::new("sk-wrong").unwrap());
    for api_key in [wrong, None] {
        let error = ask(&Pod::new(PodSettings { api_key, ..settings.clone() }).unwrap(), "x", 10).unwrap_err();
        assert_eq!(error, ModelError::Status { status: 401, message: "Invalid API Key".to_owned() });
    }
    let base_url = format!("{}/nowhere", llama.url());
    let error = ask(&Pod::new(PodSettings { base_url, ..settings.clone() }).unwrap(), "x", 10).unwrap_err();
    assert_eq!(error, ModelError::Status { status: 404, message: "File Not Found".to_owned() });
    let error = embed(&Pod::new(settings).unwrap(), &["x"], None).unwrap_err();
    assert!(matches!(error, ModelError::Status { .. }), "a chat server does not embed: {error:?}");
}

#[test]
fn a_real_embedding_model_gives_384_dimensions_and_knows_what_is_alike() {
    let (_llama, settings) = serve(Model::Embedding);
    let pod = Pod::new(PodSettings { embedding_batch: 2, ..settings }).unwrap();
    let texts = ["the connection pool is exhausted", "no free database connections left", "the cat sat on the mat"];
    let embeddings = embed(&pod, &texts, Some(384)).unwrap();
    let [pool, connections, cat] = embeddings.vectors.as_slice() else { panic!("{}", embeddings.vectors.len()) };
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    assert!((cosine(pool, pool) - 1.0).abs() < 1e-3, "unit length");
    assert!(cosine(pool, connections) > cosine(pool, cat) + 0.2);
    assert!(embeddings.tokens > Some(15));

    // Alone or in company, a text has the same vector.
    let alone = embed(&pod, &texts[2..], None).unwrap();
    assert!(cosine(&alone.vectors[0], cat) > 0.999);

    let error = embed(&pod, &texts, Some(1024)).unwrap_err();
    assert_eq!(error, ModelError::WrongDimension { expected: 1024, got: 384 });
}

#[test]
fn a_text_too_long_to_embed_is_an_error_and_the_next_one_is_embedded() {
    let (_llama, settings) = serve(Model::Embedding);
    let pod = Pod::new(settings).unwrap();
    let error = embed(&pod, &[&"pool ".repeat(900)], None).unwrap_err();
    let ModelError::Status { message, .. } = &error else { panic!("{error:?}") };
    assert!(message.contains("too large to process"), "{message}");
    assert_eq!(embed(&pod, &["pool"], Some(384)).unwrap().vectors.len(), 1);
}

#[test]
fn shutdown_ends_a_call_while_the_server_is_at_work() {
    let (_llama, settings) = serve(Model::Chat { context: 16384 });
    // Nothing constrains it and the end token is unlikely: this is work for seconds.
    let pod = Pod::new(PodSettings { dialect: Dialect::None, ..settings }).unwrap();
    let prompt = "pool exhausted ".repeat(900);
    let (calling, (send, answer)) = (pod.clone(), std::sync::mpsc::channel());
    std::thread::spawn(move || send.send(ask(&calling, &prompt, 2000)));
    std::thread::sleep(Duration::from_millis(30));
    assert!(answer.try_recv().is_err(), "the server is at work");
    let started = std::time::Instant::now();
    pod.shutdown();
    let error = answer.recv().unwrap().unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
    assert_eq!(error, ModelError::Unreachable { reason: "the call was ended".to_owned() });
}
