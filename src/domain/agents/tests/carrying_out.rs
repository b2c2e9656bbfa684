use super::*;
use crate::policy::{Approval, step_hash};
use crate::tool::Tool;

fn ends(resolution: &Resolution) -> Vec<(String, String)> {
    let actions = resolution.remediation_action.as_ref().unwrap()["actions"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    actions.iter().map(|action| (text(&action["step"]), text(&action["end"]))).collect()
}

fn first_action(resolution: &Resolution) -> Value {
    resolution.remediation_action.as_ref().unwrap()["actions"][0].clone()
}

#[test]
fn each_step_is_guarded_measured_carried_out_verified_and_measured_again_before_the_next_begins() {
    let script = Script::builtin(all_well);
    let resolution = script.treat(&incident(&["RB-001"], Autonomy::On));
    let remedy: Vec<(Purpose, String)> =
        script.tools().into_iter().filter(|(purpose, _)| *purpose != Purpose::Diagnostic).collect();
    let raise = "RB-001/raise-the-pool-size".to_owned();
    let reserve = "RB-001/open-the-reserve-pool".to_owned();
    let set = "pgbouncer_set".to_owned();
    assert_eq!(
        remedy,
        [
            (Purpose::Guard, raise.clone()),
            (Purpose::Measure, raise.clone()),
            (Purpose::Action, set.clone()),
            (Purpose::Verify, raise.clone()),
            (Purpose::Measure, raise.clone()),
            (Purpose::Guard, reserve.clone()),
            (Purpose::Measure, reserve.clone()),
            (Purpose::Action, set),
            (Purpose::Verify, reserve.clone()),
            (Purpose::Measure, reserve.clone()),
        ]
    );
    assert_eq!(ends(&resolution), [(raise, "done".to_owned()), (reserve, "done".to_owned())]);
    assert_eq!(resolution.escalated, None);
}

#[test]
fn the_audit_shows_the_first_action_flat_as_the_article_has_it_and_what_is_left_for_the_morning() {
    let script = Script::builtin(all_well);
    let resolution = script.treat(&incident(&["RB-001"], Autonomy::On));
    let flat = resolution.remediation_action.unwrap();
    assert_eq!(flat["tool"], "pgbouncer_set");
    assert_eq!((&flat["param"], &flat["from"], &flat["to"]), (&json!("default_pool_size"), &json!(50), &json!(120)));
    assert!(flat["follow_up"][0].as_str().unwrap().contains("pgbouncer.ini"), "PgBouncer forgets a SET");
    assert_eq!(flat["actions"][0]["before"]["cl_waiting"], 148);
    assert_eq!(resolution.notification["slack"], "ops");
    assert_eq!(resolution.notification["tracker_id"], "INC-0047");
    assert_eq!((&resolution.diagnostics["active"], &resolution.diagnostics["idle_in_tx"]), (&json!(198), &json!(34)));
    assert_eq!(resolution.diagnostics["query"], "pg_stat_activity");
}

#[test]
fn under_dry_run_everything_is_looked_at_and_nothing_touched() {
    let script = Script::builtin(all_well);
    let resolution = script.treat(&incident(&["RB-002"], Autonomy::DryRun));
    assert_eq!(script.writes(), [""; 0]);
    assert!(!script.ran(Purpose::Guard).is_empty());
    assert!(ends(&resolution).iter().all(|(_, end)| end == "planned"));
    let page = &script.pages()[0];
    assert!(page.title.starts_with("[dry run] ") && page.done[0].outcome.contains("nothing was touched"));
    assert!(page.recommended.iter().any(|action| action.approve.is_some()), "whoever reads it may want it done");
}

#[test]
fn a_guard_that_says_no_stops_the_work_and_what_the_world_is_ready_for_is_proposed() {
    let holds = |call: &ToolCall, _: usize| match call.purpose() {
        Purpose::Guard => says(call.step().unwrap().as_str() == "RB-004/end-the-sessions-that-idle-in-a-transaction"),
        Purpose::Verify => says(false),
        _ => all_well(call, 0),
    };
    let script = Script::builtin(holds);
    let resolution = script.treat(&incident(&["RB-001", "RB-004"], Autonomy::On));
    assert_eq!(script.writes(), [""; 0]);
    assert_eq!(
        ends(&resolution),
        [
            ("RB-001/raise-the-pool-size".to_owned(), "refused".to_owned()),
            ("RB-001/open-the-reserve-pool".to_owned(), "not_reached".to_owned())
        ]
    );
    let proposals: Vec<&str> = resolution.proposals.iter().map(|id| id.as_str()).collect();
    assert_eq!(proposals, ["RB-004/end-the-sessions-that-idle-in-a-transaction"]);

    let pages = script.pages();
    let [page] = pages.as_slice() else { panic!("one page: {pages:?}") };
    let first = &page.recommended[0];
    assert!(first.destructive);
    assert_eq!(
        first.approve.as_deref(),
        Some("SELECT * FROM oncall.approve_step('INC-0047', 'RB-004/end-the-sessions-that-idle-in-a-transaction');")
    );
    assert!(page.evidence[0].finding.contains("The guard says no"), "{:?}", page.evidence[0]);
    assert!(page.evidence.iter().any(|evidence| evidence.finding.contains("state=idle in transaction")));
}

#[test]
fn a_step_whose_aim_is_reached_already_is_passed_over_but_when_all_are_a_person_looks() {
    let so = |call: &ToolCall, _: usize| match (call.purpose(), call.step().map(|step| step.as_str())) {
        (Purpose::Guard, Some("RB-001/raise-the-pool-size")) => says(false),
        _ => all_well(call, 0),
    };
    let script = Script::builtin(so);
    let resolution = script.treat(&incident(&["RB-001"], Autonomy::On));
    assert_eq!(ends(&resolution).into_iter().map(|(_, end)| end).collect::<Vec<_>>(), ["already_so", "done"]);
    assert_eq!(resolution.escalated, None);

    let all_so =
        |call: &ToolCall, _: usize| if call.purpose() == Purpose::Guard { says(false) } else { all_well(call, 0) };
    let resolution = Script::builtin(all_so).treat(&incident(&["RB-001"], Autonomy::On));
    assert!(resolution.escalated.unwrap().contains("nothing left to do"));
}

#[test]
fn a_guard_that_cannot_be_asked_is_no_yes_and_the_missing_grant_is_told() {
    let hint = "GRANT USAGE ON FOREIGN SERVER pgbouncer TO oncall_observer";
    let broken = move |call: &ToolCall, _: usize| match call.purpose() {
        Purpose::Guard | Purpose::Verify => {
            failed("42501", "permission denied for foreign server pgbouncer", Some(hint))
        }
        _ => all_well(call, 0),
    };
    let script = Script::builtin(broken);
    let resolution = script.treat(&incident(&["RB-001"], Autonomy::On));
    assert_eq!(script.writes(), [""; 0]);
    assert!(resolution.escalated.unwrap().contains(hint));
    assert!(script.pages()[0].evidence[0].finding.contains(hint));
}

#[test]
fn verify_is_asked_a_few_times_since_the_world_needs_a_moment() {
    let late = |call: &ToolCall, before: usize| match call.purpose() {
        Purpose::Verify => says(before >= 3),
        _ => all_well(call, 0),
    };
    let script = Script::builtin(late);
    let resolution = script.treat(&incident(&["RB-002"], Autonomy::On));
    assert_eq!(resolution.escalated, None);
    assert_eq!(script.ran(Purpose::Verify).len(), 8);
}

#[test]
fn where_verify_goes_on_saying_no_the_step_is_undone_and_a_person_looks() {
    let broken = |call: &ToolCall, _: usize| match call.purpose() {
        Purpose::Verify => says(false),
        _ => all_well(call, 0),
    };
    let script = Script::builtin(broken);
    let resolution = script.treat(&incident(&["RB-002"], Autonomy::On));
    assert_eq!(script.writes(), ["create_index_concurrently", "drop_index_concurrently"]);
    let first = first_action(&resolution);
    assert_eq!(
        (&first["end"], &first["rollback"], &first["verified"]),
        (&json!("failed"), &json!("done"), &json!(false))
    );
    assert_eq!(ends(&resolution)[1].1, "not_reached");
    assert!(resolution.escalated.unwrap().contains("verify says no"));
}

#[test]
fn what_fails_on_its_way_is_cleared_away_and_what_was_refused_at_once_is_left_alone() {
    let fails = |sqlstate: &'static str| {
        move |call: &ToolCall, _: usize| match call.purpose() {
            Purpose::Action => failed(sqlstate, "could not create it", Some("GRANT it")),
            Purpose::Verify => says(false),
            _ => all_well(call, 0),
        }
    };
    let script = Script::builtin(fails("57014"));
    script.treat(&incident(&["RB-002"], Autonomy::On));
    assert_eq!(
        script.writes(),
        ["create_index_concurrently", "drop_index_concurrently"],
        "an invalid index may be left"
    );

    // An index of that name that somebody else has made is not ours to drop.
    for sqlstate in ["42501", "42P07"] {
        let script = Script::builtin(fails(sqlstate));
        let resolution = script.treat(&incident(&["RB-002"], Autonomy::On));
        assert_eq!(script.writes(), ["create_index_concurrently"]);
        assert!(resolution.escalated.unwrap().contains("hint: GRANT it"));
    }
}

#[test]
fn an_index_that_is_there_and_valid_is_not_dropped_because_the_action_failed() {
    let raced = |call: &ToolCall, _: usize| match call.purpose() {
        Purpose::Action => failed("55P03", "canceling statement due to lock timeout", None),
        _ => all_well(call, 0),
    };
    let script = Script::builtin(raced);
    let resolution = script.treat(&incident(&["RB-002"], Autonomy::On));
    assert_eq!(script.writes(), ["create_index_concurrently"]);
    assert!(resolution.escalated.is_some());
}

#[test]
fn a_vacuum_that_was_skipped_is_a_failure_whatever_verify_says() {
    let skipped = |call: &ToolCall, _: usize| match call.tool().map(|tool| tool.as_str()) {
        Some("vacuum_analyze") => ToolOutcome::Done {
            rows: Vec::new(),
            truncated: false,
            affected: 0,
            warnings: vec!["permission denied to vacuum \"orders\", skipping it".to_owned()],
        },
        _ => all_well(call, 0),
    };
    let resolution = Script::builtin(skipped).treat(&incident(&["RB-002"], Autonomy::On));
    assert_eq!(ends(&resolution).into_iter().map(|(_, end)| end).collect::<Vec<_>>(), ["done", "failed"]);
    assert!(resolution.escalated.unwrap().contains("permission denied to vacuum"));
}

#[test]
fn an_outcome_that_nobody_knows_is_settled_by_verify_and_never_tried_again() {
    let unknown = |verified: bool| {
        move |call: &ToolCall, _: usize| match (call.purpose(), call.tool().map(|tool| tool.as_str())) {
            (Purpose::Action, Some("create_index_concurrently")) => {
                ToolOutcome::Unknown { reason: "the executor was killed".to_owned() }
            }
            (Purpose::Verify, _) => says(verified),
            _ => all_well(call, 0),
        }
    };
    let script = Script::builtin(unknown(true));
    let resolution = script.treat(&incident(&["RB-002"], Autonomy::On));
    assert_eq!(script.ran(Purpose::Action), ["create_index_concurrently", "vacuum_analyze"]);
    assert_eq!(resolution.escalated, None);

    let script = Script::builtin(unknown(false));
    let resolution = script.treat(&incident(&["RB-002"], Autonomy::On));
    assert_eq!(script.ran(Purpose::Action), ["create_index_concurrently"]);
    assert_eq!(first_action(&resolution)["end"], "unknown");
    assert!(resolution.escalated.unwrap().contains("the executor was killed"));
}

#[test]
fn a_measure_that_fails_holds_nothing_up_and_says_why() {
    let unmeasured = |call: &ToolCall, _: usize| match call.purpose() {
        Purpose::Measure => failed("42501", "permission denied for table orders", None),
        _ => all_well(call, 0),
    };
    let resolution = Script::builtin(unmeasured).treat(&incident(&["RB-002"], Autonomy::On));
    assert_eq!(resolution.escalated, None);
    assert!(first_action(&resolution)["before"]["error"].as_str().unwrap().contains("permission denied"));
}

#[test]
fn a_step_that_the_catalogue_no_longer_admits_is_not_begun() {
    let mut incident = incident(&["RB-002"], Autonomy::On);
    let rows: Vec<Tool> = Catalogue::clone(&incident.catalogue).into();
    let rest = rows.into_iter().filter(|tool| tool.name.as_str() != "create_index_concurrently");
    incident.catalogue = Catalogue::new(rest).unwrap().into();
    let script = Script::builtin(all_well);
    let resolution = script.treat(&incident);
    assert_eq!(script.writes(), [""; 0]);
    assert!(resolution.escalated.unwrap().contains("there is no tool create_index_concurrently"));
}

/// An incident whose one step leaves the pool's size open.
fn open_step() -> Incident {
    let whole = incident(&["RB-001"], Autonomy::On);
    let mut step = serde_json::to_value(&whole.retrieval.steps[0]).unwrap();
    step["parameters"]["value"] = json!({"min": 60, "max": 120});
    let retrieval = Retrieval { steps: vec![serde_json::from_value(step).unwrap()], ..whole.retrieval };
    let actions = retrieval.steps.iter().map(|step| step.id.to_string()).collect();
    incident_with(retrieval, "ConnectionPoolExhaustion", actions, Autonomy::On, whole.catalogue)
}

fn choosing(answer: &'static str) -> Script {
    let chat = move |request: &ChatRequest| match request.purpose {
        "remediation" => Ok(answer.to_owned()),
        _ => Err(ModelError::NoPod),
    };
    Script::new(chat, all_well)
}

#[test]
fn an_open_parameter_is_chosen_by_the_model_within_the_bounds_of_the_step() {
    let script = choosing(r#"{"parameters": {"value": 80}, "reason": "148 wait"}"#);
    let resolution = script.treat(&open_step());
    assert_eq!(first_action(&resolution)["parameters"]["value"], 80);
    let chats = script.chats();
    let asked = chats.iter().find(|chat| chat["purpose"] == "remediation").unwrap();
    let schema = &asked["schema"]["properties"]["parameters"];
    assert_eq!(schema["properties"], json!({"value": {"type": "integer", "minimum": 60, "maximum": 120}}));
    assert!(!asked.to_string().contains("{{"), "every placeholder is filled");
    assert!(asked["prompt"]["user"].as_str().unwrap().contains(r#"- value: {"min":60,"max":120}"#));
}

#[test]
fn what_a_model_chooses_out_of_bounds_or_beside_the_question_is_not_carried_out() {
    for answer in [
        r#"{"parameters": {"value": 121}, "reason": ""}"#,
        r#"{"parameters": {"value": "80; DROP TABLE orders"}, "reason": ""}"#,
        r#"{"parameters": {"value": 80, "server": "evil"}, "reason": ""}"#,
        r#"{"parameters": {"value": 80, "value": 81}, "reason": ""}"#,
        r#"{"parameters": {"ｖalue": 80}, "reason": ""}"#,
        r#"{"parameters": {}, "reason": ""}"#,
        r#"{"parameters": {"value": 80}, "tool": "pause_writes"}"#,
        r#"{"parameters": {"value": 8e1}, "reason": ""}"#,
        "80",
        "",
        "```sql\nDROP TABLE orders\n```",
    ] {
        let script = choosing(answer);
        let resolution = script.treat(&open_step());
        assert_eq!(script.writes(), [""; 0], "{answer}");
        assert!(resolution.escalated.is_some(), "{answer}");
    }
}

#[test]
fn without_a_model_an_open_parameter_is_nobodys_to_choose() {
    let script = Script::builtin(all_well);
    let resolution = script.treat(&open_step());
    assert_eq!(script.writes(), [""; 0]);
    assert!(resolution.escalated.unwrap().contains("there is no model to choose"));
    let page = &script.pages()[0];
    assert_eq!(
        page.recommended[0].approve.as_deref(),
        Some(r#"SELECT * FROM oncall.approve_step('INC-0047', 'RB-001/raise-the-pool-size', '{"value":60}');"#)
    );
}

#[test]
fn a_step_that_is_bound_by_its_runbook_asks_no_model() {
    let chat = |request: &ChatRequest| match request.purpose {
        "remediation" => panic!("asked for nothing"),
        _ => Err(ModelError::NoPod),
    };
    Script::new(chat, all_well).treat(&incident(&["RB-002"], Autonomy::On));
}

fn approval(incident: &Incident, id: &str) -> Approval {
    let step = incident.retrieval.step(id).unwrap();
    let hash = step_hash(step, &BTreeMap::new(), &incident.catalogue).unwrap();
    Approval { step: step.id.clone(), parameters: BTreeMap::new(), hash, approved_by: "ann".to_owned() }
}

#[test]
fn what_a_person_approved_is_carried_out_whatever_autonomy_says_and_its_outcome_is_told() {
    let incident = incident(&["RB-004"], Autonomy::DryRun);
    let approval = approval(&incident, "RB-004/end-the-sessions-that-idle-in-a-transaction");
    let script = Script::builtin(all_well);
    let outcome = script.run(carry_out_approved(&script, &incident, &approval));
    assert_eq!(script.writes(), ["terminate_idle_in_transaction"]);
    let work = outcome.work.unwrap();
    assert_eq!((work.end, work.approved_by.as_deref()), (End::Done, Some("ann")));
    assert!(script.pages()[0].title.contains("approved by ann, was carried out"));
}

#[test]
fn an_approved_step_that_has_changed_since_is_not_carried_out() {
    let mut incident = incident(&["RB-004"], Autonomy::On);
    let approval = approval(&incident, "RB-004/end-the-sessions-that-idle-in-a-transaction");
    incident.retrieval.steps[0]
        .parameters
        .insert("max_sessions".to_owned(), crate::runbook::Binding::Fixed(json!(1000)));
    let script = Script::builtin(all_well);
    let outcome = script.run(carry_out_approved(&script, &incident, &approval));
    assert_eq!(script.writes(), [""; 0]);
    assert!(outcome.summary.contains("is not what was approved"), "{}", outcome.summary);

    incident.retrieval.steps.clear();
    let script = Script::builtin(all_well);
    let outcome = script.run(carry_out_approved(&script, &incident, &approval));
    assert!(outcome.summary.contains("is not there any more"));
}

#[test]
fn an_approved_step_is_guarded_all_the_same() {
    let incident = incident(&["RB-004"], Autonomy::On);
    let approval = approval(&incident, "RB-004/end-the-sessions-that-idle-in-a-transaction");
    let gone =
        |call: &ToolCall, _: usize| if call.purpose() == Purpose::Guard { says(false) } else { all_well(call, 0) };
    let script = Script::builtin(gone);
    script.run(carry_out_approved(&script, &incident, &approval));
    assert_eq!(script.writes(), [""; 0]);
}

#[test]
fn what_a_person_approved_stands_beside_what_was_done_before_and_takes_its_place_only_where_nothing_was_done() {
    let action = |tool: &str, outcome: &str, follow_up: Value| {
        let mut action = json!({"tool": tool, "outcome": outcome, "actions": [{"step": tool}]});
        if !follow_up.is_null() {
            action["follow_up"] = follow_up;
        }
        action
    };
    let both = |stood: &str, later: &str| {
        with_later(action("first", stood, json!(["write it down"])), action("second", later, json!(null)))
    };
    for (stood, later, flat) in [
        ("done", "done", "first"),
        ("done", "failed", "first"),
        ("refused", "done", "second"),
        ("planned", "done", "second"),
        ("refused", "failed", "first"),
    ] {
        let action = both(stood, later);
        assert_eq!(action["tool"], flat, "{stood}, {later}");
        assert_eq!(action["actions"], json!([{"step": "first"}, {"step": "second"}]));
        assert_eq!(action["follow_up"], json!(["write it down"]));
    }
    let alone = action("second", "done", json!(null));
    assert_eq!(with_later(Value::Null, alone.clone()), alone);
}
