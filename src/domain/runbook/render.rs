//! From a runbook to a file's text: what [`super::parse`] reads back as the same runbook.

use std::fmt::Write;

use serde_json::Value;

use super::yaml::reads_as_text;
use super::{Binding, Runbook, Step};

/// Write a runbook as its file.
pub fn render(runbook: &Runbook) -> String {
    let mut out = String::from("---\n");
    line(&mut out, 0, "id", &word(runbook.id.as_str()));
    line(&mut out, 0, "title", &word(&runbook.title));
    line(&mut out, 0, "incident_type", &word(&runbook.incident_type));
    if let Some(severity) = runbook.severity {
        line(&mut out, 0, "severity", severity.as_str());
    }
    if !runbook.alerts.is_empty() {
        out.push_str("alerts:\n");
        for alert in &runbook.alerts {
            out.push_str("  - ");
            out.push_str(&word(alert));
            out.push('\n');
        }
    }
    out.push_str("---\n");
    for section in &runbook.sections {
        // A name that ends with '#' would lose it as decoration, so it gets decoration to lose.
        let decoration = if section.name.ends_with('#') { " ##" } else { "" };
        out.push_str(&format!("\n## {}{decoration}\n\n{}\n", section.name, section.content));
        if let Some(step) = &section.step {
            out.push_str("\n```yaml step\n");
            render_step(&mut out, step);
            out.push_str("```\n");
        }
    }
    out
}

fn render_step(out: &mut String, step: &Step) {
    line(out, 0, "tool", step.tool.as_str());
    if !step.parameters.is_empty() {
        out.push_str("parameters:\n");
        for (name, binding) in &step.parameters {
            let value = match binding {
                Binding::Fixed(value) => flow(value),
                Binding::Open(bounds) => {
                    let one_of = (!bounds.one_of.is_empty()).then(|| Value::from(bounds.one_of.clone()));
                    let all = [("min", &bounds.min), ("max", &bounds.max), ("one_of", &one_of)];
                    let said = all.iter().filter_map(|(key, v)| Some(format!("{key}: {}", flow(v.as_ref()?))));
                    format!("{{{}}}", said.collect::<Vec<_>>().join(", "))
                }
            };
            line(out, 2, &word(name), &value);
        }
    }
    line(out, 0, "destructive", if step.destructive { "true" } else { "false" });
    for (key, query) in [("guard", &step.guard), ("verify", &step.verify), ("measure", &step.measure)] {
        if let Some(query) = query {
            line(out, 0, key, &block(query));
        }
    }
    if let Some(rollback) = &step.rollback {
        out.push_str("rollback:\n");
        line(out, 2, "tool", rollback.tool.as_str());
        if !rollback.parameters.is_empty() {
            out.push_str("  parameters:\n");
            for (name, value) in &rollback.parameters {
                line(out, 4, &word(name), &flow(value));
            }
        }
    }
    if let Some(follow_up) = &step.follow_up {
        line(out, 0, "follow_up", &block(follow_up));
    }
}

fn line(out: &mut String, indent: usize, key: &str, value: &str) {
    writeln!(out, "{:indent$}{key}: {value}", "").expect("writing to a string cannot fail");
}

/// A text as a literal block, where its lines are such that a block keeps them; else quoted.
fn block(text: &str) -> String {
    let keeps =
        |line: &str| !line.trim().is_empty() && !line.ends_with(' ') && line.chars().all(|c| (' '..='~').contains(&c));
    if !text.contains('\n') || text.starts_with(' ') || !text.split('\n').all(keeps) {
        return word(text);
    }
    let mut out = String::from("|-");
    for line in text.split('\n') {
        out.push_str("\n  ");
        out.push_str(line);
    }
    out
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", word(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A text, bare where it can only be read as itself, in double quotes everywhere else.
fn word(text: &str) -> String {
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./ ".contains(&b))
        && !text.ends_with(' ')
        && reads_as_text(text);
    if bare {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            // Letters of the world stay readable; what a reader cannot see, or YAML may take for a line's end, does not.
            c if c.is_alphanumeric() && (c as u32) < 0x1_0000 => out.push(c),
            c => write!(out, "\\U{:08X}", c as u32).expect("writing to a string cannot fail"),
        }
    }
    out.push('"');
    out
}
