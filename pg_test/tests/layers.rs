//! The source keeps to its layers: what is pure stays pure, what is dangerous stays in one place.
//!
//! These read the source text, since the compiler has no opinion on them.

use std::fs;
use std::path::{Path, PathBuf};

fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("pg_test lies in the workspace").to_path_buf()
}

/// Every file below a folder of the workspace whose name ends so, with its path from there and its text.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&repo().join(folder), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no {ending} in {folder}: the layout has changed, and this test with it");
    let text = |path: &PathBuf| fs::read_to_string(path).expect("source is readable text");
    let name = |path: &PathBuf| path.strip_prefix(repo()).expect("below the workspace").to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), text(path))).collect()
}

/// Code without comments and tests: `// …` to the end of the line, and all from `#[cfg(test)]` on an inline module.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Whether a word stands in code by itself.
fn has_word(code: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(joins) && !code[at + word.len()..].starts_with(joins))
}

#[test]
fn domain_and_model_know_nothing_of_postgres() {
    for folder in ["src/domain", "src/model"] {
        for (name, text) in files(folder, ".rs") {
            for word in ["pgrx", "pg_sys", "Spi"] {
                assert!(!has_word(&code(&text), word), "{name} names {word}");
            }
        }
        for (name, text) in files(folder, "Cargo.toml") {
            for crate_name in ["pgrx", "postgres", "libc"] {
                let depends = text.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(crate_name));
                assert!(!depends, "{name} depends on {crate_name}");
            }
        }
    }
}

#[test]
fn the_domain_asks_neither_the_clock_nor_chance_nor_the_world() {
    // An agent that did would not be the same on replay.
    // Tests of their own files may read the shipped runbooks.
    let is_test = |name: &str| name.contains("test") || name.ends_with("runbook/shipped.rs");
    for (name, text) in files("src/domain", ".rs").into_iter().filter(|(name, _)| !is_test(name)) {
        let code = code(&text);
        for word in ["SystemTime", "Instant", "rand", "RandomState", "HashMap", "HashSet", "TcpStream", "Command"] {
            assert!(!has_word(&code, word), "{name} uses {word}");
        }
        for call in ["Timestamp::now", "Zoned::now", "std::env", "std::fs", "std::net", "std::thread", "std::process"] {
            assert!(!code.contains(call), "{name} calls {call}");
        }
    }
}

#[test]
fn unsafe_code_is_in_the_backend_alone_and_each_block_says_why_it_is_sound() {
    let mut blocks = 0;
    for (name, text) in files("src", ".rs").into_iter().chain(files("pg_test", ".rs")) {
        if name == "pg_test/tests/layers.rs" {
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let attribute = code.trim_start().starts_with("#[unsafe(");
            if !has_word(code, "unsafe") || attribute {
                continue;
            }
            assert!(name.starts_with("src/backend/"), "{name}:{} is unsafe", number + 1);
            blocks += 1;
            // The comment stands right above, with nothing between but its own lines and the statement's beginning.
            let above = lines[..number].iter().rev().take(12);
            let reason = above
                .take_while(|line| !line.trim().is_empty())
                .any(|line| line.trim_start().starts_with("// SAFETY:"));
            assert!(reason, "{name}:{} has no SAFETY comment above", number + 1);
        }
    }
    assert!(blocks > 0, "there is some; if there is none any more, say so here");
}

#[test]
fn sql_stands_in_files_and_is_not_glued_together() {
    for (name, text) in files("src", ".rs").into_iter().filter(|(name, _)| !name.contains("/tests")) {
        if name.starts_with("src/domain/") || name.starts_with("src/model/") {
            continue;
        }
        let code = code(&text);
        // Pgvector's schema, a type's length, a list of parameters, the schema of pg_stat_statements.
        let fills = code.matches(".replace(\"@").count() + code.matches("Statement::filled(").count();
        let known = match name.as_str() {
            "src/store/mod.rs" | "src/store/search.rs" | "src/store/journal.rs" | "src/store/measurements.rs" => 1,
            _ => 0,
        };
        assert_eq!(fills, known, "{name} fills a slot in SQL");
        for (number, line) in code.lines().enumerate() {
            let glues = ["format!(", "push_str(", "write!(", "concat!("].iter().any(|call| line.contains(call));
            let sql = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "ALTER ", "GRANT ", "DROP "]
                .iter()
                .any(|verb| line.contains(&format!("\"{verb}")));
            assert!(!(glues && sql), "{name}:{} makes SQL of text: {line}", number + 1);
        }
        if !name.starts_with("src/store/") {
            assert!(!code.contains("Spi::") && !code.contains("SpiClient"), "{name} speaks SQL past the store");
        }
    }
}

#[test]
fn operators_that_are_written_out_are_grouped_by_parentheses() {
    // OPERATOR(pg_catalog.*) binds no tighter than OPERATOR(pg_catalog.+): a * b + c * d is ((a * b) + c) * d.
    for (name, text) in files("src", ".sql").into_iter().chain(files("sql", ".sql")) {
        let sql: String =
            text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
        let mut before: Option<&str> = None;
        let mut rest = sql.as_str();
        while let Some(at) = rest.find("OPERATOR(") {
            let (between, from) = rest.split_at(at);
            let end = from.find(')').expect("a closed parenthesis");
            let operator = &from[..=end];
            // One operand and nothing else stands between this operator and the one before it.
            let operand = between.trim();
            let alone = !operand.is_empty() && operand.chars().all(|c| c.is_alphanumeric() || "_.$':".contains(c));
            if let Some(before) = before.filter(|_| alone) {
                assert!(
                    before == operator,
                    "{name}: {before} {operand} {operator} has no precedence: put one of them in parentheses"
                );
            }
            before = Some(operator);
            rest = &from[end + 1..];
        }
    }
}

#[test]
fn layers_depend_on_what_lies_below_them_only() {
    // Each may name those after it: the SQL functions, the host of the agents, the pods, the tables, the settings, …
    let order = ["api", "worker", "host", "pod", "store", "settings", "error", "backend"];
    for (place, layer) in order.iter().enumerate() {
        let of_layer = |name: &str| name == format!("src/{layer}.rs") || name.starts_with(&format!("src/{layer}/"));
        for (name, text) in files("src", ".rs").into_iter().filter(|(name, _)| of_layer(name)) {
            let code = code(&text);
            for above in &order[..place] {
                let names = code.contains(&format!("crate::{above}::")) || code.contains(&format!("crate::{above};"));
                assert!(!names, "{name} reaches up to {above}");
            }
        }
    }
    // Between the crates the compiler checks it; that the manifests say it is checked here.
    let domain = fs::read_to_string(repo().join("src/domain/Cargo.toml")).unwrap();
    assert!(
        !domain.contains("oncall_model") && !domain.contains("path = \"../..\""),
        "the domain depends on nothing of ours"
    );
    let model = fs::read_to_string(repo().join("src/model/Cargo.toml")).unwrap();
    assert!(model.contains("oncall_domain") && !model.contains("path = \"../..\""));
}

#[test]
fn only_the_router_approves_a_step_by_policy() {
    // By a person: what the store read of an approval. That nobody else makes one the compiler checks.
    let made: Vec<String> = files("src", ".rs")
        .into_iter()
        .filter(|(name, text)| !name.contains("test") && code(text).contains("::by_policy("))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(made, ["src/domain/policy.rs"]);
}
