//! The README is true: its statements run, its outputs are what psql prints, and the demo tells its story.

use std::fs;

use pg_test::lab::{DATABASE, Site};
use pg_test::{Cluster, Options, demo};

const README: &str = include_str!("../../README.md");

/// The fenced blocks of a language, without their fences.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, Vec<&str>)> = None;
    for line in README.lines() {
        let fence = line.chars().take_while(|c| *c == '`').count();
        match &mut open {
            None if fence >= 3 => open = Some((line.to_owned(), Vec::new())),
            None => {}
            Some((opener, lines)) => {
                let ticks = opener.chars().take_while(|c| *c == '`').count();
                if fence == ticks && line.len() == ticks {
                    if opener[ticks..] == *language {
                        blocks.push(lines.join("\n"));
                    }
                    open = None;
                } else {
                    lines.push(line);
                }
            }
        }
    }
    blocks
}

fn trimmed(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_demo_remedies_two_incidents_and_pages_for_the_third_and_the_readmes_session_goes_on_from_there() {
    let mut told = Vec::new();
    let site = demo::perform(Site::start(Options::default()).unwrap(), &mut told).unwrap();
    it_tells_what_happened(&site, &String::from_utf8(told).unwrap());
    it_prints_what_the_readme_shows(&site);
}

fn it_tells_what_happened(site: &Site, told: &str) {
    let mut client = site.client().unwrap();
    let sql = "SELECT routing_decision, state, remediation_action ->> 'outcome', notification ->> 'page'
               FROM oncall.incident_audit ORDER BY incident_id LIMIT 3";
    let rows = client.query(sql, &[]).unwrap();
    let done: Vec<[Option<&str>; 4]> = rows.iter().map(|row| [0, 1, 2, 3].map(|column| row.get(column))).collect();
    assert_eq!(
        done,
        [
            [Some("autonomous"), Some("resolved"), Some("done"), Some("notice")],
            [Some("autonomous"), Some("handled"), Some("done"), Some("notice")],
            [Some("escalate"), Some("handled"), None, Some("escalation")],
        ]
    );
    let failed = client.query("SELECT condition FROM oncall.explain_route('INC-0003') WHERE NOT pass", &[]).unwrap();
    assert_eq!(failed.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["actions_are_safe"]);
    for words in ["nobody waits any more", "create_index_concurrently", "oncall.approve_step('INC-0003'"] {
        assert!(told.contains(words), "the demo does not show {words:?}:\n{told}");
    }
}

fn it_prints_what_the_readme_shows(site: &Site) {
    let sessions = blocks("console");
    assert!(sessions.len() >= 4, "the README has lost its first session");
    for session in sessions {
        let (command, shown) = session.split_once(";\n").expect("a statement, and what it prints");
        let command = command.strip_prefix("production=# ").expect("a prompt").replace("production-# ", "");
        let printed = site.cluster().psql_as("postgres", DATABASE, &format!("{command};")).unwrap();
        assert_eq!(trimmed(&printed), trimmed(shown), "{command}");
    }
}

#[test]
fn every_statement_of_the_readme_runs() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let runbooks = cluster.tree().runbooks().unwrap();
    // Before the extension is installed a statement cannot use it: the order of the README is that of a reader.
    let mut statements: Vec<String> = blocks("sql");
    let install = statements.iter().position(|block| block.contains("CREATE EXTENSION")).expect("how to install it");
    statements.rotate_left(install);
    cluster.psql("CREATE ROLE alert_gateway; CREATE ROLE app; CREATE TABLE orders ()").unwrap();
    for block in statements {
        // The README's own model server is not there; what it says about settings still must parse and apply.
        let block = block.replace("/etc/pg_oncall/runbooks", &runbooks.display().to_string());
        let block: String =
            block.lines().filter(|line| !line.contains("reembed_runbooks")).collect::<Vec<_>>().join("\n");
        cluster.psql(&format!("\\set ON_ERROR_STOP 1\n{block}")).unwrap_or_else(|error| panic!("{block}\n{error}"));
    }
}

#[test]
fn the_runbook_of_the_readme_loads() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let mut client = cluster.client().unwrap();
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE").unwrap();
    let markdown = blocks("markdown").pop().expect("a runbook");
    let row =
        client.query_one("SELECT sections, steps FROM oncall.load_runbook($1, 'README.md')", &[&markdown]).unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (1, 1));
}

#[test]
fn every_function_of_the_table_is_there_with_its_arguments() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let mut client = cluster.client().unwrap();
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE").unwrap();
    let rows = client
        .query("SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'oncall'::regnamespace", &[])
        .unwrap();
    let known: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let table: Vec<&str> = README.lines().filter(|line| line.starts_with("| `") && line.contains("(")).collect();
    let named = table.iter().filter_map(|line| line.strip_prefix("| `")?.split_once('('));
    let mut count = 0;
    for (name, _) in named.filter(|(name, _)| !name.contains([' ', '`'])) {
        assert!(known.iter().any(|function| function == name), "{name} is in the README and not in the schema");
        count += 1;
    }
    assert!(count >= 10, "the table of functions has shrunk to {count}");
}

#[test]
fn the_files_that_the_readme_links_to_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if !link.starts_with("http") && !link.starts_with('#') {
            assert!(fs::exists(root.join(link)).unwrap(), "{link}");
        }
    }
}
