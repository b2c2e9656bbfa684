use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tool::{Catalogue, Tool};

const GOOD: &str = "\
---
id: RB-001
title: Connection pool exhaustion
incident_type: ConnectionPoolExhaustion
severity: P1
alerts:
  - PgBouncerPoolExhausted
  - PgBouncerClientsWaiting
---

Clients wait for a server connection.

## Raise the pool size

Only where the servers are busy.

```yaml step
tool: pgbouncer_set
parameters:
  server: pgbouncer
  value: {min: 60, max: 120}
destructive: false
guard: |
  SELECT count(*) > 0
  FROM pools
verify: SELECT true
rollback:
  tool: pgbouncer_set
  parameters: {server: pgbouncer, value: 50}
measure: SELECT 1 AS waiting
follow_up: Write it down.
```

## Escalate

Call somebody.
";

fn read(markdown: &str) -> Runbook {
    parse(markdown, "RB-001.md").unwrap_or_else(|error| panic!("{error}\n{markdown}"))
}

fn error(markdown: &str) -> String {
    parse(markdown, "RB-001.md").map(|_| markdown.to_owned()).unwrap_err().to_string()
}

/// The error of the good runbook with `from` replaced by `to`.
fn error_with(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    error(&GOOD.replace(from, to))
}

/// A file with this body.
fn body(text: &str) -> String {
    format!("---\nid: RB-001\ntitle: T\nincident_type: X\n---\n{text}")
}

fn sections(runbook: &Runbook) -> Vec<(&str, &str)> {
    runbook.sections.iter().map(|s| (s.name.as_str(), s.content.as_str())).collect()
}

#[test]
fn a_runbook_is_read_into_its_fields_sections_and_steps() {
    let runbook = read(GOOD);
    assert_eq!(runbook.id.as_str(), "RB-001");
    assert_eq!(runbook.title, "Connection pool exhaustion");
    assert_eq!(runbook.incident_type, "ConnectionPoolExhaustion");
    assert_eq!(runbook.severity, Some(Severity::P1));
    assert_eq!(runbook.alerts, ["PgBouncerPoolExhausted", "PgBouncerClientsWaiting"]);
    assert_eq!(
        sections(&runbook),
        [
            ("Overview", "Clients wait for a server connection."),
            ("Raise the pool size", "Only where the servers are busy."),
            ("Escalate", "Call somebody."),
        ]
    );
    let step = runbook.sections[1].step.as_ref().unwrap();
    assert_eq!(step.id.as_str(), "RB-001/raise-the-pool-size");
    assert_eq!(step.tool.as_str(), "pgbouncer_set");
    assert_eq!(step.parameters["server"], Binding::Fixed(json!("pgbouncer")));
    let bounds = Bounds { min: Some(json!(60)), max: Some(json!(120)), one_of: vec![] };
    assert_eq!(step.parameters["value"], Binding::Open(bounds));
    assert!(!step.destructive);
    assert_eq!(step.measure.as_deref(), Some("SELECT 1 AS waiting"));
    assert_eq!(step.follow_up.as_deref(), Some("Write it down."));
    assert_eq!(step.guard.as_deref(), Some("SELECT count(*) > 0\nFROM pools"));
    assert_eq!(step.verify.as_deref(), Some("SELECT true"));
    assert_eq!(step.rollback.as_ref().unwrap().parameters["value"], json!(50));
    assert!(runbook.sections[0].step.is_none() && runbook.sections[2].step.is_none());
}

#[test]
fn a_step_survives_the_journey_through_jsonb() {
    let step = read(GOOD).sections[1].step.clone().unwrap();
    let mut json = serde_json::to_value(&step).unwrap();
    assert_eq!(serde_json::from_value::<Step>(json.clone()).unwrap(), step);
    json["gaurd"] = json!("SELECT false");
    let error = serde_json::from_value::<Step>(json).unwrap_err().to_string();
    assert!(error.contains("unknown field `gaurd`"), "a guard that nobody reads does not hold: {error}");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    assert_eq!(read(&GOOD.replace('\n', "\r\n")), read(GOOD));
    assert_eq!(read(&format!("\u{feff}{GOOD}")), read(GOOD));
}

#[test]
fn a_heading_in_a_code_fence_a_list_or_a_quotation_starts_no_section() {
    let text = "## One\n\n```sh\n## not this\n# nor this\n```\n\n- ## nor this\n\n> ## nor this\n\n### deeper\n\n    ## code\n\n## Two\n\nx";
    let runbook = read(&body(text));
    let names: Vec<_> = runbook.sections.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["One", "Two"]);
    assert!(runbook.sections[0].content.starts_with("```sh\n## not this"));
    assert!(runbook.sections[0].content.ends_with("### deeper\n\n    ## code"));
}

#[test]
fn an_example_in_yaml_is_prose_and_not_a_step() {
    let runbook = read(&body("## One\n\n```yaml\ntool: x\n```\n\nmore"));
    assert_eq!(sections(&runbook), [("One", "```yaml\ntool: x\n```\n\nmore")]);
    assert!(runbook.sections[0].step.is_none());
}

#[test]
fn a_code_block_at_the_start_of_a_section_keeps_its_indentation() {
    assert_eq!(sections(&read(&body("## One\n\n  \n    psql -x\n\n")))[0].1, "    psql -x");
}

#[test]
fn the_title_is_the_field_or_the_heading_and_both_only_when_they_agree() {
    let file = |title: &str, text: &str| format!("---\nid: R\n{title}incident_type: X\n---\n\n{text}");
    assert_eq!(read(&file("", "# The title\n\n## A\n\nx")).title, "The title");
    assert_eq!(read(&file("title: The title\n", "# The title\n\n## A\n\nx")).title, "The title");
    let overview = read(&file("", "# The title\n\nabove\n\n## A\n\nx"));
    assert_eq!(sections(&overview), [("Overview", "above"), ("A", "x")]);
    assert_eq!(
        error(&file("title: Another\n", "# The title\n\n## A\n\nx")),
        "RB-001.md:7: the heading says 'The title' where 'title' says 'Another': leave one out, or make them the same"
    );
    assert_eq!(
        error(&file("", "## A\n\nx")),
        "RB-001.md:1: key 'title' is missing: the runbook's title, here or as '# …'"
    );
    assert_eq!(
        error(&file("", "text\n\n# Late\n\n## A\n\nx")),
        "RB-001.md:8: only the title, above all sections, has one '#'; a section starts with '##'"
    );
}

#[test]
fn front_matter_that_is_missing_or_open_is_said_so() {
    let start = "RB-001.md:1: a runbook starts with YAML front matter between two lines of '---'";
    assert_eq!(error(""), start);
    assert_eq!(error("# Hello\n"), start);
    assert_eq!(error("---\nid: x\n"), "RB-001.md:1: the front matter has no end: a line of '---'");
}

#[test]
fn every_error_of_the_front_matter_has_its_line_and_says_what_is_allowed() {
    assert_eq!(
        error_with("severity: P1", "severty: P1"),
        "RB-001.md:5: there is no key 'severty' here; there are id, title, incident_type, severity, alerts"
    );
    assert_eq!(
        error_with("severity: P1", "severity: critical"),
        "RB-001.md:5: 'severity' should be one of P1, P2, P3, P4, P5, not the text \"critical\""
    );
    assert_eq!(error_with("id: RB-001\n", ""), "RB-001.md:2: key 'id' is missing: the runbook's id, such as RB-001");
    assert_eq!(error_with("id: RB-001", "id:"), "RB-001.md:2: 'id' should be text, not nothing");
    assert_eq!(error_with("id: RB-001", "id: ''"), "RB-001.md:2: 'id' should be text, not the text \"\"");
    assert_eq!(
        error_with("id: RB-001", "id: RB 001"),
        "RB-001.md:2: \"RB 001\" is not a runbook id: 1 to 64 of letters, digits, '-', '_' and '.'"
    );
    assert_eq!(
        error_with("  - PgBouncerClientsWaiting", "  - PgBouncerPoolExhausted"),
        "RB-001.md:8: alert 'PgBouncerPoolExhausted' stands twice"
    );
    assert_eq!(error_with("  - PgBouncerClientsWaiting", "  - 7"), "RB-001.md:8: 'alerts' should be text, not 7");
    assert_eq!(error_with("severity: P1", "id: RB-002"), "RB-001.md:5: key 'id' stands twice");
    assert!(
        error_with("severity: P1", "severity: [P1").starts_with("RB-001.md:"),
        "{}",
        error_with("severity: P1", "severity: [P1")
    );
    assert!(error_with("severity: P1", "severity: &a P1").starts_with("RB-001.md:5: the YAML cannot be read: anchors"));
    assert!(
        error_with("incident_type: Conn", "incident_type: Conn ")
            .contains("RB-001.md:4: 'incident_type' should be one word")
    );
}

#[test]
fn every_error_of_a_step_has_its_line_and_says_what_is_allowed() {
    assert_eq!(
        error_with("guard: |", "gaurd: |"),
        "RB-001.md:23: there is no key 'gaurd' here; there are tool, parameters, destructive, guard, verify, measure, rollback, follow_up"
    );
    assert_eq!(
        error_with("destructive: false\n", ""),
        "RB-001.md:18: key 'destructive' is missing: say true or false; only with false it may run without a person"
    );
    assert_eq!(
        error_with("destructive: false", "destructive: no"),
        "RB-001.md:22: 'destructive' should be true or false, not the text \"no\""
    );
    assert_eq!(
        error_with("{min: 60, max: 120}", "{min: 60, maximum: 120}"),
        "RB-001.md:21: there is no key 'maximum' here; there are min, max, one_of"
    );
    assert_eq!(
        error_with("{min: 60, max: 120}", ""),
        "RB-001.md:21: 'value' should be a value, or bounds: {min: …, max: …} or {one_of: […]}, not nothing"
    );
    assert!(
        error_with(
            "tool: pgbouncer_set\nparameters:\n  server: pgbouncer\n  value: {",
            "tool: Rm -rf\nparameters:\n  server: pgbouncer\n  value: {"
        )
        .starts_with("RB-001.md:18: \"Rm -rf\" is not a tool name")
    );
    assert_eq!(
        error_with("rollback:\n  tool: pgbouncer_set\n", "rollback:\n"),
        "RB-001.md:28: key 'tool' is missing: the tool that undoes the step"
    );
    assert_eq!(error_with("verify: SELECT true", "verify:"), "RB-001.md:26: 'verify' should be text, not nothing");
}

#[test]
fn every_error_of_the_outline_has_its_line() {
    let step = "```yaml step\ntool: t\ndestructive: true\n```\n";
    for (text, expected) in [
        (format!("## A\n\nx\n\n{step}\n{step}"), "15: a section has one step at most; the first is at line 10"),
        (format!("## A\n\nx\n\n{step}\nmore\n"), "15: a step's block ends its section: put this text above it"),
        (format!("## A\n\n{step}"), "6: section 'A' says nothing: a section is found by its prose"),
        ("## A\n\n## B\n\nx".to_owned(), "6: section 'A' says nothing: a section is found by its prose"),
        (
            "## A b\n\nx\n\n## a-B!\n\nx".to_owned(),
            "10: section 'a-B!' has the name, or the slug, of the section at line 6",
        ),
        (
            "x\n\n## Overview\n\nx".to_owned(),
            "8: section 'Overview' has the name, or the slug, of the section at line 6",
        ),
        ("## \n\nx".to_owned(), "6: a section needs a name"),
        ("## ##\n\nx".to_owned(), "6: a section needs a name"),
        ("A\n---\n\nx".to_owned(), "6: write a section's heading as '## A', not underlined"),
        ("\n\n".to_owned(), "8: there is no section: '##' and a name start one"),
        (
            format!("## A\n\n- x\n\n  {}", step.replace('\n', "\n  ")),
            "10: a step's block stands by itself, not inside a list or a quotation",
        ),
        ("## A\n\nx\n\n```yaml step\ntool: t\n".to_owned(), "10: a step's block has no end: a line of ```"),
        ("## A\n\nx\n\n````yaml step\ntool: t\n```\n".to_owned(), "10: a step's block has no end: a line of ```"),
        (
            "## A\n\nx\n\n```yaml steps\ntool: t\n```\n".to_owned(),
            "10: a step's block opens with ```yaml step, not ```yaml steps",
        ),
        ("## A\n\nx\n\n```step\ntool: t\n```\n".to_owned(), "10: a step's block opens with ```yaml step, not ```step"),
        (
            "## A\n\nx\n\n```yaml step\n```\n".to_owned(),
            "11: key 'tool' is missing: the name of a tool of the catalogue",
        ),
        (
            "## A\n\nx\n\n```yaml step\n- tool\n```\n".to_owned(),
            "11: 'a step' should be a mapping of keys to values, not a list",
        ),
        (
            format!("## é\n\nx\n\n{step}"),
            "6: \"RB-001/\" is not a step id: a runbook id, '/', and 1 to 128 of small letters, digits and '-'",
        ),
        ("## A\n\nx\0".to_owned(), "8: the file holds a NUL character"),
    ] {
        assert_eq!(error(&body(&text)), format!("RB-001.md:{expected}"), "{text}");
    }
}

#[test]
fn a_step_that_does_not_fit_the_catalogue_is_refused_at_its_line() {
    let tool = json!({
        "name": "pgbouncer_set", "kind": "remediation", "summary": "s",
        "template": "SELECT f({server:literal}, {value})",
        "parameters": {"server": {"type": "identifier"}, "value": {"type": "integer", "min": 1, "max": 1000}},
    });
    let catalogue = Catalogue::new([serde_json::from_value::<Tool>(tool).unwrap()]).unwrap();
    assert_eq!(parse_checked(GOOD, "RB-001.md", &catalogue).unwrap(), read(GOOD));
    let error = |from: &str, to: &str| {
        assert_eq!(GOOD.matches(from).count(), 1, "{from}");
        parse_checked(&GOOD.replace(from, to), "RB-001.md", &catalogue).unwrap_err().to_string()
    };
    let step = "step RB-001/raise-the-pool-size";
    assert_eq!(
        error("max: 120", "max: 1200"),
        format!("RB-001.md:21: {step}: parameters.value: 1200 is not between 1 and 1000")
    );
    assert!(
        error("  server: pgbouncer\n", "")
            .starts_with(&format!("RB-001.md:19: {step}: parameters.server: tool pgbouncer_set needs this"))
    );
    assert!(
        error("value: 50}", "value: {min: 1, max: 2}}")
            .starts_with(&format!("RB-001.md:29: {step}: rollback.parameters.value: "))
    );
    assert!(
        error("verify: SELECT true", "verify: VACUUM")
            .starts_with(&format!("RB-001.md:26: {step}: verify: it must be one query"))
    );
    let none = Catalogue::default();
    let unknown = parse_checked(GOOD, "RB-001.md", &none).unwrap_err().to_string();
    assert_eq!(unknown, format!("RB-001.md:18: {step}: tool: there is no tool pgbouncer_set; there are none"));
}

/// Any value that a parameter may be fixed to, or that a bound may be.
fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        text().prop_map(Value::from),
        prop_oneof!["null", "true", "0x1F", "1e3", "~", "- a", "a: b", "# c", "no", "12", "-", "1.5", ".inf"]
            .prop_map(Value::from),
    ];
    prop_oneof![3 => scalar.clone(), 1 => prop::collection::vec(scalar, 0..4).prop_map(Value::from)]
}

/// Any text without NUL.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect())
}

/// A text that says something, as a field holds it: trimmed.
fn said() -> impl Strategy<Value = String> {
    let odd =
        prop_oneof![text(), "[a-z]{1,6}(\n[ -~]{1,9}){0,3}", "SELECT [a-z]{1,5}\n  FROM \"t\"\nWHERE x = 'it''s: #1'",];
    odd.prop_filter_map("it says nothing", |text| Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn line() -> impl Strategy<Value = String> {
    said().prop_map(|text| text.replace(['\n', '\r'], " "))
}

fn bound() -> impl Strategy<Value = Option<Value>> {
    prop::option::of(any::<i64>().prop_map(Value::from))
}

fn binding() -> impl Strategy<Value = Binding> {
    let open = (bound(), bound(), prop::collection::vec(value(), 0..3));
    prop_oneof![
        value().prop_map(Binding::Fixed),
        open.prop_map(|(min, max, one_of)| Binding::Open(Bounds { min, max, one_of })),
    ]
}

fn parameters<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<String, T>> {
    prop::collection::btree_map(prop_oneof!["[a-z_]{1,8}", text()], value, 0..4)
}

fn tool_name() -> impl Strategy<Value = ToolName> {
    "[a-z_][a-z0-9_]{0,9}".prop_map(|name| ToolName::new(name).unwrap())
}

fn a_step() -> impl Strategy<Value = Step> {
    let rollback = (tool_name(), parameters(value())).prop_map(|(tool, parameters)| Rollback { tool, parameters });
    let texts = prop::array::uniform4(prop::option::of(said()));
    (tool_name(), parameters(binding()), any::<bool>(), texts, prop::option::of(rollback)).prop_map(
        |(tool, parameters, destructive, [guard, verify, measure, follow_up], rollback)| {
            let id = StepId::new("x/x").unwrap();
            Step { id, tool, parameters, destructive, guard, verify, measure, rollback, follow_up }
        },
    )
}

/// Prose as people write it, with what looks like structure but is none.
fn prose() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[A-Za-z][ -\"$-~]{0,40}[a-z]",
        Just("```yaml\ntool: x\n## no heading\n```".to_owned()),
        Just("~~~sql\n---\n# no title\n~~~".to_owned()),
        Just("- item\n\n  ## in a list\n- item".to_owned()),
        Just("> ## quoted".to_owned()),
        Just("### deeper ###".to_owned()),
        Just("    ## indented".to_owned()),
        Just("| a | b |\n|---|---|\n| 1 | 2 |".to_owned()),
        Just("text\n\n---\n\ntext".to_owned()),
    ];
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.join("\n\n"))
}

fn a_runbook() -> impl Strategy<Value = Runbook> {
    let name = prop_oneof!["[A-Z][a-z]{1,8}( [a-z`*_]{1,6}){0,2}", "[A-Z]#", "[a-z]{1,4} #{1,3}", "#[a-z]"];
    let section = (name, prose(), prop::option::of(a_step()));
    let severity = prop::option::of(prop::sample::select(vec![Severity::P1, Severity::P3, Severity::P5]));
    let head = ("[A-Za-z0-9._-]{1,12}", line(), "[A-Za-z][A-Za-z0-9_.-]{0,11}", severity);
    let alerts = prop::collection::btree_set(line(), 0..4);
    (head, alerts, prop::collection::vec(section, 1..5)).prop_map(|((id, title, kind, severity), alerts, parts)| {
        let id = RunbookId::new(id).unwrap();
        let mut sections = Vec::new();
        for (i, (name, content, step)) in parts.into_iter().enumerate() {
            let name = format!("{i}{name}");
            let step = step.map(|step| Step { id: StepId::of(&id, &name).unwrap(), ..step });
            sections.push(Section { name, content, step });
        }
        Runbook {
            id,
            title: title.trim().to_owned(),
            incident_type: kind,
            severity,
            alerts: alerts.into_iter().collect(),
            sections,
        }
    })
}

/// Lines from which a file may be made by chance, good or bad.
fn a_file() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "## A",
        "## B ##",
        "  ## C",
        "# T",
        "### D",
        "A",
        "---",
        "===",
        "",
        "",
        "text",
        "    code",
        "```",
        "~~~",
        "```yaml step\ntool: t\ndestructive: true\n```",
        "## C\n\nx\n\n~~~~ yaml  step\n destructive: false\n tool: t\n~~~~",
        "```yaml",
        "```yaml step",
        "````yaml step",
        "tool: t",
        "destructive: true",
        "guard: |",
        "  SELECT 1",
        "- item",
        "  more",
        "> quote",
        "<!-- ",
        "-->",
        "<div>",
        "</div>",
        "\\",
        "[a]: b",
        "1. x",
        "\tx",
        "* * *",
    ]);
    prop::collection::vec(line, 0..24).prop_map(|lines| body(&lines.join("\n")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn loading_a_rendered_runbook_gives_it_back(runbook in a_runbook()) {
        let text = render(&runbook);
        let again = parse(&text, "x.md").map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(again, runbook, "{}", text);
    }

    #[test]
    fn whatever_was_read_once_is_read_again_after_rendering(text in a_file()) {
        if let Ok(runbook) = parse(&text, "x.md") {
            let rendered = render(&runbook);
            prop_assert_eq!(parse(&rendered, "x.md"), Ok(runbook), "{}\n=>\n{}", text, rendered);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in text(), yaml in text()) {
        let _ = parse(&text, "x.md");
        let _ = parse(&body(&text), "x.md");
        let _ = parse(&format!("---\n{yaml}\n---\n{text}"), "x.md");
        let _ = parse(&body(&format!("## A\n\nx\n\n```yaml step\n{yaml}\n```\n")), "x.md");
    }
}

#[test]
fn a_list_of_columns_is_a_value_and_an_object_is_bounds() {
    let read = |value| serde_json::from_value::<Binding>(value).unwrap();
    assert_eq!(read(json!(["customer_id", "created_at"])), Binding::Fixed(json!(["customer_id", "created_at"])));
    assert_eq!(read(json!([])), Binding::Fixed(json!([])));
    let bounds = Bounds { min: Some(json!(60)), max: Some(json!(120)), one_of: Vec::new() };
    assert_eq!(read(json!({"min": 60, "max": 120})), Binding::Open(bounds));
}
