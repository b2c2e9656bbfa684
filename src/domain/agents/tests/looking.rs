use super::*;

fn looked_at(script: &Script) -> Vec<String> {
    script.ran(Purpose::Diagnostic)
}

/// A model of which only the diagnostics are scripted: what it answers in each round.
fn asking<const N: usize>(answers: [&'static str; N]) -> Script {
    let round = Cell::new(0);
    let chat = move |request: &ChatRequest| match request.purpose {
        "diagnostics" => {
            round.set(round.get() + 1);
            Ok(answers[round.get() - 1].to_owned())
        }
        _ => Err(ModelError::NoPod),
    };
    Script::new(chat, all_well)
}

#[test]
fn without_a_pod_the_queries_are_those_that_the_runbook_names() {
    let script = Script::builtin(all_well);
    script.treat(&incident(&["RB-001"], Autonomy::DryRun));
    assert_eq!(
        looked_at(&script),
        ["activity_by_state", "pgbouncer_pools", "lock_waits", "top_statements", "settings", "pgbouncer_config"]
    );
}

#[test]
fn a_model_chooses_from_the_list_sees_the_results_and_may_choose_once_more() {
    let script = asking([
        r#"{"queries": ["pgbouncer_pools(server=pgbouncer)"], "finding": "nothing yet"}"#,
        r#"{"queries": ["lock_waits"], "finding": "198 active sessions: the pool is busy"}"#,
    ]);
    let resolution = script.treat(&incident(&["RB-001"], Autonomy::DryRun));
    assert_eq!(looked_at(&script), ["activity_by_state", "pgbouncer_pools", "lock_waits"]);
    assert_eq!(resolution.diagnostics["finding"], "198 active sessions: the pool is busy");
    let chats: Vec<Value> = script.chats().into_iter().filter(|chat| chat["purpose"] == "diagnostics").collect();
    assert_eq!(chats.len(), 2);
    let second = chats[1]["prompt"]["user"].as_str().unwrap();
    assert!(!chats[0].to_string().contains("{{"), "every placeholder is filled");
    assert!(second.contains("4 may still be chosen") && second.contains(r#""from":"pgbouncer_pools""#), "{second}");
    assert!(!second.contains("hunter2"), "what a query gives is redacted");
    assert!(!resolution.diagnostics.to_string().contains("hunter2"));
    let listed = &chats[0]["schema"]["properties"]["queries"]["items"]["enum"];
    assert!(listed.as_array().unwrap().contains(&json!("pgbouncer_pools(server=pgbouncer)")));
}

#[test]
fn a_model_that_has_seen_enough_is_not_asked_again() {
    let script = asking([r#"{"queries": [], "finding": "clear"}"#]);
    script.treat(&incident(&["RB-001"], Autonomy::DryRun));
    assert_eq!(looked_at(&script), ["activity_by_state"]);
}

#[test]
fn a_wish_with_a_defect_is_void_as_a_whole_and_the_fixed_queries_are_run() {
    let thousand = format!(r#"{{"queries": {:?}, "finding": ""}}"#, vec!["lock_waits"; 1000]);
    for answer in [
        r#"{"queries": ["terminate_idle_in_transaction"], "finding": ""}"#,
        r#"{"queries": ["lock_waits", "SELECT pg_terminate_backend(1)"], "finding": ""}"#,
        r#"{"queries": ["pgbouncer_pools(server=evil)"], "finding": ""}"#,
        r#"{"queries": ["pgbouncer_pools"], "finding": ""}"#,
        r#"{"queries": ["lock_waіts"], "finding": "a look-alike"}"#,
        r#"{"queries": "lock_waits"}"#,
        "I would look at the locks.",
        thousand.leak(),
    ] {
        let script = asking([answer]);
        let resolution = script.treat(&incident(&["RB-001"], Autonomy::DryRun));
        assert_eq!(looked_at(&script).len(), 6, "{answer}");
        assert!(!resolution.diagnostics["trouble"].is_null(), "{answer}");
    }
}

#[test]
fn no_more_than_five_queries_are_chosen_in_all() {
    let script = asking([
        r#"{"queries": ["lock_waits", "blockers", "settings"], "finding": ""}"#,
        r#"{"queries": ["replication", "top_statements", "table_scans"], "finding": ""}"#,
    ]);
    let resolution = script.treat(&incident(&["RB-001"], Autonomy::DryRun));
    assert_eq!(looked_at(&script), ["activity_by_state", "lock_waits", "blockers", "settings"]);
    assert!(resolution.diagnostics["trouble"].as_str().unwrap().contains("3 queries were asked for where 2 may be"));
}

#[test]
fn a_query_that_fails_is_a_finding_and_holds_nothing_up() {
    let broken = |call: &ToolCall, _: usize| match call.purpose() {
        Purpose::Diagnostic => failed("53300", "too many connections", None),
        _ => all_well(call, 0),
    };
    let resolution = Script::builtin(broken).treat(&incident(&["RB-001"], Autonomy::On));
    assert_eq!(resolution.escalated, None);
    assert_eq!(resolution.diagnostics["looked_at"][0]["error"], "too many connections (53300)");
}

#[test]
fn only_diagnostics_whose_every_value_is_known_are_on_offer() {
    let offers = super::super::offers::offers(&incident(&["RB-002"], Autonomy::On));
    assert!(offers.contains_key("activity_by_state"));
    assert!(!offers.keys().any(|label| label.starts_with("pgbouncer")), "no retrieved runbook names a server");
    assert!(offers.values().all(|call| call.purpose() == Purpose::Diagnostic));
}
