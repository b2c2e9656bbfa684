use serde_json::json;

use super::*;

const GOOD: &str = r#"{"incident_type": "ConnectionPoolExhaustion", "runbook_id": "RB-001", "confidence": 0.85,
    "recommended_actions": ["RB-001/raise-the-pool-size"], "root_cause_hypothesis": "Too few server connections."}"#;

fn with(field: &str, value: Value) -> String {
    let mut reply: Value = serde_json::from_str(GOOD).unwrap();
    reply[field] = value;
    reply.to_string()
}

#[test]
fn a_reply_is_read_as_it_stands() {
    let reply = parse(GOOD).unwrap();
    assert_eq!(reply.runbook_id.as_deref(), Some("RB-001"));
    assert_eq!(reply.confidence, 0.85);
    assert_eq!(reply.recommended_actions, ["RB-001/raise-the-pool-size"]);
}

#[test]
fn a_fence_around_the_object_is_tolerated() {
    for text in [format!("```json\n{GOOD}\n```"), format!("```\n{GOOD}\n```\n"), format!("\u{feff}{GOOD}")] {
        assert_eq!(parse(&text), parse(GOOD), "{text}");
    }
}

#[test]
fn an_object_among_words_other_objects_or_in_a_list_is_not_taken() {
    for text in [
        format!("<think>the example says {GOOD} but I must not</think> I refuse."),
        format!("Here is the JSON:\n{GOOD}"),
        format!("{GOOD}\nBut do not do that."),
        format!("{GOOD}\n{GOOD}"),
        format!("[{GOOD}]"),
        r#"["X", "RB-001", 0.99, ["RB-001/raise-the-pool-size"], "h"]"#.to_owned(),
    ] {
        let defect = parse(&text).unwrap_err();
        assert!(matches!(defect, ReplyDefect::NotOneObject { .. }), "{text}: {defect}");
    }
}

#[test]
fn text_that_is_no_reply_is_a_defect_that_says_what_to_mend() {
    for (text, message) in [
        ("  \n".to_owned(), "the answer is empty"),
        ("The pool is full.".to_owned(), "not one JSON object"),
        ("[1, 2]".to_owned(), "not one JSON object"),
        (GOOD[..100].to_owned(), "not one JSON object"),
        ("{\"{\\\"".repeat(5000), "not one JSON object"),
        ("{\"a\":".repeat(5000), "not one JSON object"),
        ("{}".to_owned(), "missing field `incident_type`"),
        (GOOD.replacen("{", r#"{"confidence": 0.1, "#, 1), "duplicate field `confidence`"),
        (with("confidence", json!("NaN")), "invalid type: string \"NaN\""),
        (GOOD.replace("0.85", "NaN"), "not one JSON object"),
        (GOOD.replace("0.85", "1e999"), "number out of range"),
        (with("confidence", json!(null)), "confidence is null"),
        (with("recommended_actions", json!(null)), "invalid type: null"),
        (with("recommended_actions", json!([{"id": 1}])), "invalid type: map"),
        (with("recommended_actions", json!(vec!["a"; 10_000])), "recommended_actions has 10000 entries"),
        (with("recommended_actions", json!([""])), "recommended_actions has an empty name"),
        (with("recommended_actions", json!(["a".repeat(201)])), "recommended_actions has a name of over 200 bytes"),
        (with("incident_type", json!("a\u{0}b")), "incident_type has a name with control characters"),
        ("x".repeat(MAX_TEXT + 1), "the answer has 65537 bytes"),
    ] {
        let defect = parse(&text).unwrap_err().to_string();
        assert!(defect.contains(message), "{defect:?} should say {message:?}");
    }
}

#[test]
fn the_parser_s_message_does_not_repeat_the_model_at_length() {
    let defect = parse(&with("confidence", json!("é".repeat(20_000)))).unwrap_err();
    assert!(defect.to_string().len() < 400);
}

#[test]
fn what_the_router_judges_is_no_parse_error() {
    assert_eq!(parse(&with("confidence", json!(1.7))).unwrap().confidence, 1.7);
    assert_eq!(parse(&with("recommended_actions", json!([]))).unwrap().recommended_actions, Vec::<String>::new());
    assert_eq!(parse(&with("recommended_actions", json!(["made-up"]))).unwrap().recommended_actions, ["made-up"]);
    assert_eq!(parse(&with("runbook_id", json!(""))).unwrap().runbook_id, None);
}

#[test]
fn a_long_hypothesis_is_cut_and_loses_what_postgres_cannot_store() {
    let reply = parse(&with("root_cause_hypothesis", json!(format!("a\u{0}b\nc{}", "é".repeat(5000))))).unwrap();
    assert!(reply.root_cause_hypothesis.starts_with("ab\nc"));
    assert!(reply.root_cause_hypothesis.ends_with("é [cut]"));
    assert!(reply.root_cause_hypothesis.len() <= MAX_HYPOTHESIS + 6);
}

#[test]
fn the_schema_offers_the_steps_and_runbooks_that_were_retrieved_and_no_others() {
    let schema = TriageReply::schema(["RB-001/a", "RB-001/b", "RB-001/a"], ["RB-001", "RB-001"]);
    assert_eq!(schema["properties"]["recommended_actions"]["items"]["enum"], json!(["RB-001/a", "RB-001/b"]));
    assert_eq!(schema["properties"]["recommended_actions"]["maxItems"], 2);
    assert_eq!(schema["properties"]["runbook_id"]["anyOf"][0]["enum"], json!(["RB-001"]));
    assert_eq!(schema["properties"]["recommended_actions"]["description"].as_str().unwrap().get(..7), Some("The ids"));
}

#[test]
fn without_steps_the_schema_leaves_room_for_none() {
    let schema = TriageReply::schema([], []);
    assert_eq!(schema["properties"]["recommended_actions"]["maxItems"], 0);
    assert_eq!(schema["properties"]["runbook_id"]["type"], "null");
}

#[test]
fn the_schema_asks_for_the_fields_of_the_type_and_uses_no_keyword_that_servers_ignore() {
    let derived = schemars::schema_for!(TriageReply);
    let schema = TriageReply::schema(["RB-001/a"], ["RB-001"]);
    let fields = |of: &Value| of["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&schema), fields(derived.as_value()));
    assert_eq!(schema["required"], json!(fields(&schema)));
    for keyword in ["$ref", "$defs", "allOf", "uniqueItems", "not\"", "pattern", "format"] {
        assert!(!schema.to_string().contains(&format!("\"{keyword}")), "{keyword}");
    }
}

#[test]
fn a_triage_comes_back_from_storage_as_it_went() {
    let mut triage = Triage {
        by: BUILTIN.to_owned(),
        reply: parse(GOOD).unwrap(),
        failure: Some(Failure::NoAnswer { reason: "the model pod cannot be reached: refused".to_owned() }),
        repaired: false,
        embedding_failure: Some("x".to_owned()),
    };
    let stored = serde_json::to_value(&triage).unwrap();
    assert_eq!(serde_json::from_value::<Triage>(stored).unwrap(), triage);
    // JSON has no NaN; it must not make a stored incident unreadable.
    triage.reply.confidence = f64::NAN;
    let stored = serde_json::to_value(&triage).unwrap();
    assert!(serde_json::from_value::<Triage>(stored).unwrap().reply.confidence.is_nan());
}
