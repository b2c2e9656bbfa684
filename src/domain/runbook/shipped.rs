//! The runbooks and tools that come with the extension, checked against each other without a server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::tool::{Catalogue, Kind};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The string literals of the rows of sql/tools.sql: quoted, or between dollar signs.
fn literals(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '$']) {
        let (close, from) = if rest[at..].starts_with('\'') {
            ("'".to_owned(), at + 1)
        } else {
            let tag = rest[at + 1..].find('$').expect("a dollar quote has a tag") + 2;
            (rest[at..at + tag].to_owned(), at + tag)
        };
        let mut end = from + rest[from..].find(&close).expect("a literal has an end");
        while close == "'" && rest[end + 1..].starts_with('\'') {
            end = end + 2 + rest[end + 2..].find('\'').expect("a literal has an end");
        }
        found.push(rest[from..end].replace("''", "'"));
        rest = &rest[end + close.len()..];
    }
    found
}

pub(crate) fn catalogue() -> Catalogue {
    let sql = fs::read_to_string(root().join("sql/tools.sql")).unwrap();
    let mut rows = Vec::new();
    for insert in
        sql.split("INSERT INTO oncall.tool (name, kind, summary, template, parameters, builtin) VALUES").skip(1)
    {
        let (insert, _) = insert.split_once(", true);\n").expect("an insert ends with its last row");
        for row in literals(insert).chunks(5) {
            let [name, kind, summary, template, parameters] = row else { panic!("a row of {row:?}") };
            let parameters: Value = serde_json::from_str(parameters).unwrap();
            rows.push(
                json!({"name": name, "kind": kind, "summary": summary, "template": template, "parameters": parameters}),
            );
        }
    }
    serde_json::from_value(Value::Array(rows)).unwrap()
}

pub(crate) fn runbooks() -> Vec<(String, Runbook)> {
    let catalogue = catalogue();
    let mut files: Vec<_> = fs::read_dir(root().join("runbooks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let runbook = parse_checked(&fs::read_to_string(path).unwrap(), &name, &catalogue);
        let runbook = runbook.unwrap_or_else(|error| panic!("{error}"));
        (name, runbook)
    };
    files.iter().map(read).collect()
}

#[test]
fn every_shipped_runbook_fits_the_catalogue_and_its_file_is_named_for_it() {
    let runbooks = runbooks();
    assert!(runbooks.len() >= 8);
    for (file, runbook) in &runbooks {
        assert!(file.starts_with(&format!("{}-", runbook.id)) && file.ends_with(".md"), "{file}");
        assert_eq!(parse(&render(runbook), file).as_ref(), Ok(runbook), "{file}");
    }
}

/// Alerts with two causes that look alike, each with the runbook that has it too: guards tell the causes apart.
const SHARED: [(&str, &str); 1] = [("PgBouncerPoolExhausted", "RB-001")];

#[test]
fn no_two_runbooks_share_an_id_a_title_an_incident_type_or_an_alert() {
    let mut seen = BTreeMap::new();
    for (file, runbook) in &runbooks() {
        let names = [("id", runbook.id.as_str()), ("title", &runbook.title), ("incident type", &runbook.incident_type)];
        let alerts = runbook.alerts.iter().map(|alert| ("alert", alert.as_str()));
        for (what, name) in names.into_iter().chain(alerts) {
            let earlier = seen.insert((what, name.to_owned()), runbook.id.clone());
            let allowed = earlier.as_ref().is_none_or(|first| SHARED.contains(&(name, first.as_str())));
            assert!(allowed, "{what} {name} of {file} stands in {earlier:?} already");
        }
    }
}

#[test]
fn every_section_is_small_enough_to_be_one_row() {
    for (file, runbook) in &runbooks() {
        for section in &runbook.sections {
            let length = section.content.chars().count();
            assert!(length <= 1200, "{file}: {} has {length} characters", section.name);
        }
    }
}

#[test]
fn every_step_looks_before_it_acts_and_afterwards() {
    for (file, runbook) in &runbooks() {
        let mut steps = runbook.sections.iter().filter_map(|section| section.step.as_ref()).peekable();
        assert!(steps.peek().is_some(), "{file} has no step");
        for step in steps {
            assert!(step.guard.is_some() && step.verify.is_some(), "{}", step.id);
        }
    }
}

#[test]
fn a_step_that_ends_a_session_drops_what_cannot_come_back_or_stops_writes_is_destructive() {
    for (_, runbook) in &runbooks() {
        for step in runbook.sections.iter().filter_map(|section| section.step.as_ref()) {
            let tool = step.tool.as_str();
            let harms = ["terminate_", "cancel_", "drop_", "pause_"].iter().any(|prefix| tool.starts_with(prefix));
            assert!(step.destructive || !harms, "{}", step.id);
        }
    }
}

#[test]
fn the_flags_that_the_three_cases_rest_on_are_as_they_must_be() {
    let runbooks: BTreeMap<_, _> = runbooks().into_iter().map(|(_, r)| (r.id.to_string(), r)).collect();
    let flags = |id: &str| {
        let steps = runbooks[id].sections.iter().filter_map(|section| section.step.as_ref());
        steps.map(|step| step.destructive).collect::<Vec<_>>()
    };
    assert_eq!(flags("RB-001"), [false, false]);
    assert_eq!(flags("RB-002"), [false, false]);
    assert_eq!(flags("RB-003"), [true, true]);
    assert_eq!(flags("RB-004"), [true, true]);
    assert_eq!(runbooks["RB-001"].incident_type, "ConnectionPoolExhaustion");
}

#[test]
fn every_diagnostic_has_a_row_cap_and_no_tool_is_without_a_full_name() {
    let mut tools = 0;
    for tool in catalogue().iter() {
        tools += 1;
        if tool.kind == Kind::Diagnostic {
            let (_, cap) = tool.template.rsplit_once("LIMIT ").expect("a diagnostic ends with its LIMIT");
            assert!((1..=100).contains(&cap.parse().unwrap()), "{}", tool.name);
        }
        let names = tool.template.split([' ', '(', '\n']);
        let bare = names.filter(|name| name.starts_with("pg_")).find(|name| !name.starts_with("pg_catalog."));
        assert_eq!(bare, None, "{}", tool.name);
    }
    assert!(tools >= 16);
}
