use serde_json::json;

use super::*;
use crate::policy::{Approval, step_hash};

fn catalogue() -> Catalogue {
    serde_json::from_value(json!([
        {"name": "vacuum_analyze", "kind": "remediation", "summary": "s", "template": "VACUUM (ANALYZE) {table}",
         "parameters": {"table": {"type": "relation"}}},
        {"name": "pgbouncer_set", "kind": "remediation", "summary": "s",
         "template": "SELECT oncall.pgbouncer_set({server:literal}, {setting}, {value})",
         "parameters": {"server": {"type": "identifier"}, "setting": {"type": "enum", "values": ["default_pool_size"]},
                        "value": {"type": "integer", "min": 0, "max": 1000}}},
        {"name": "create_index", "kind": "remediation", "summary": "s",
         "template": "CREATE INDEX CONCURRENTLY {index} ON {table} ({columns})",
         "parameters": {"index": {"type": "identifier"}, "table": {"type": "relation"}, "columns": {"type": "columns"}}},
        {"name": "drop_index", "kind": "remediation", "summary": "s", "template": "DROP INDEX CONCURRENTLY {index}",
         "parameters": {"index": {"type": "relation"}}},
        {"name": "checkpoint", "kind": "remediation", "summary": "s", "template": "CHECKPOINT"},
        {"name": "activity", "kind": "diagnostic", "summary": "s", "template": "SELECT 1 LIMIT 1"},
    ]))
    .unwrap()
}

fn step(value: Value) -> Step {
    let mut whole = json!({"id": "RB-001/do-it", "destructive": false});
    whole.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

fn pool() -> Step {
    step(json!({"tool": "pgbouncer_set", "parameters": {
        "server": "pgbouncer", "setting": "default_pool_size", "value": {"min": 60, "max": 120}},
        "guard": "SELECT true", "verify": "SELECT true"}))
}

fn chosen(value: Value) -> BTreeMap<String, Value> {
    BTreeMap::from([("value".to_owned(), value)])
}

fn by_person(step: &Step, chosen: &BTreeMap<String, Value>) -> Approved {
    let hash = step_hash(step, chosen, &catalogue()).unwrap();
    let (step, parameters) = (step.id.clone(), chosen.clone());
    Approved::by_person(&Approval { step, parameters, hash, approved_by: "ann".to_owned() })
}

#[test]
fn an_action_is_rendered_from_the_template_and_values_within_the_steps_bounds() {
    let (step, chosen) = (pool(), chosen(json!(80)));
    let call = ToolCall::action(&by_person(&step, &chosen), &step, &chosen, &catalogue()).unwrap();
    assert_eq!(call.sql(), "SELECT oncall.pgbouncer_set('pgbouncer', 'default_pool_size', 80)");
    assert_eq!((call.purpose(), call.target()), (Purpose::Action, Some("server pgbouncer")));
}

#[test]
fn a_value_outside_the_steps_bounds_makes_no_call_though_the_tool_would_take_it() {
    let step = pool();
    let approved = by_person(&step, &chosen(json!(80)));
    for value in [json!(121), json!(59), json!("80"), json!(80.5), json!("80); DROP TABLE x; --"), Value::Null] {
        assert!(ToolCall::action(&approved, &step, &chosen(value.clone()), &catalogue()).is_err(), "{value}");
    }
    assert!(ToolCall::action(&approved, &step, &BTreeMap::new(), &catalogue()).is_err());
}

#[test]
fn an_approval_is_good_for_exactly_what_was_approved() {
    let original = pool();
    let eighty = chosen(json!(80));
    let approved = by_person(&original, &eighty);
    let refused = |step: &Step, chosen: &BTreeMap<String, Value>, catalogue: &Catalogue| {
        ToolCall::action(&approved, step, chosen, catalogue).unwrap_err()
    };
    let changed = CallError::Changed { step: original.id.clone() };
    assert_eq!(refused(&original, &chosen(json!(81)), &catalogue()), changed);
    let mut guardless = original.clone();
    guardless.guard = None;
    assert_eq!(refused(&guardless, &eighty, &catalogue()), changed);
    let mut rows: Vec<Tool> = catalogue().into();
    rows.iter_mut().filter(|tool| tool.name == original.tool).for_each(|tool| tool.template.push_str(" AS changed"));
    assert_eq!(refused(&original, &eighty, &Catalogue::new(rows).unwrap()), changed);
    let mut other = original.clone();
    other.id = StepId::new("RB-001/another").unwrap();
    assert!(matches!(refused(&other, &eighty, &catalogue()), CallError::NotApproved { .. }));
}

#[test]
fn a_target_is_the_table_or_what_else_is_named_or_the_database() {
    let target = |value: Value| {
        let step = step(value);
        ToolCall::planned(&step, &BTreeMap::new(), &catalogue()).unwrap().target().unwrap().to_owned()
    };
    let index =
        json!({"tool": "create_index", "parameters": {"index": "i", "table": "public.orders", "columns": ["a"]}});
    assert_eq!(target(index), "table public.orders");
    assert_eq!(
        target(json!({"tool": "vacuum_analyze", "parameters": {"table": "public.orders"}})),
        "table public.orders"
    );
    assert_eq!(target(json!({"tool": "drop_index", "parameters": {"index": "public.i"}})), "index public.i");
    assert_eq!(target(json!({"tool": "checkpoint"})), "database");
}

#[test]
fn a_rollback_works_on_what_the_step_worked_on() {
    let step = step(json!({
        "tool": "create_index", "parameters": {"index": "i", "table": "public.orders", "columns": ["a"]},
        "rollback": {"tool": "drop_index", "parameters": {"index": "public.i"}}}));
    let action = ToolCall::planned(&step, &BTreeMap::new(), &catalogue()).unwrap();
    let back = ToolCall::rollback(&step, &action, &catalogue()).unwrap().unwrap();
    assert_eq!(back.sql(), r#"DROP INDEX CONCURRENTLY "public"."i""#);
    assert_eq!((back.purpose(), back.target()), (Purpose::Rollback, action.target()));
}

#[test]
fn only_a_diagnostic_looks_around_and_only_a_remedy_carries_out_a_step() {
    let name = |text: &str| ToolName::new(text).unwrap();
    let none = BTreeMap::new();
    assert!(ToolCall::diagnostic(&name("activity"), &none, &catalogue()).is_ok());
    let refused = ToolCall::diagnostic(&name("checkpoint"), &none, &catalogue());
    assert_eq!(refused, Err(CallError::NotADiagnostic(name("checkpoint"))));
    assert!(ToolCall::planned(&step(json!({"tool": "activity"})), &none, &catalogue()).is_err());
}

#[test]
fn a_guard_that_is_no_single_query_makes_no_call() {
    for guard in ["DELETE FROM t", "SELECT 1; DELETE FROM t", "", "COMMIT"] {
        let step = step(json!({"tool": "checkpoint", "guard": guard}));
        assert!(ToolCall::guard(&step).is_err(), "{guard}");
    }
}

#[test]
fn yes_is_one_row_of_one_column_that_is_true() {
    let done = |rows: Value| ToolOutcome::Done {
        rows: rows.as_array().unwrap().clone(),
        truncated: false,
        affected: 1,
        warnings: Vec::new(),
    };
    assert!(done(json!([{"ok": true}])).is_true());
    for rows in [
        json!([]),
        json!([{"ok": false}]),
        json!([{"ok": null}]),
        json!([{"ok": 1}]),
        json!([{"ok": "t"}]),
        json!([{"ok": true}, {"ok": true}]),
        json!([{"ok": true, "also": true}]),
        json!([true]),
        json!([{}]),
    ] {
        assert!(!done(rows.clone()).is_true(), "{rows}");
    }
    assert!(!ToolOutcome::Unknown { reason: String::new() }.is_true());
}
