//! Runbooks from a directory of the server.

mod common;

use std::fs;

use common::{bare, number, told};
use pg_test::Options;

#[test]
fn two_files_of_one_runbook_are_refused_with_both_names_and_nothing_is_loaded() {
    let cluster = bare(&Options::default());
    let mut client = cluster.client().unwrap();
    let directory = cluster.dir().join("runbooks");
    fs::create_dir(&directory).unwrap();
    let runbook =
        |title: &str| format!("---\nid: RB-971\ntitle: {title}\nincident_type: Twins\n---\n\n## Look\n\nLook.\n");
    for (file, title) in [("one.md", "The first"), ("two.md", "The second")] {
        fs::write(directory.join(file), runbook(title)).unwrap();
    }
    let path = directory.display().to_string();
    let refused = client.query("SELECT * FROM oncall.load_runbooks($1)", &[&path]).unwrap_err();
    let said = told(&refused);
    assert!(said.contains("RB-971") && said.contains("one.md and two.md"), "{said}");
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.ops_runbooks"), 0);

    fs::remove_file(directory.join("two.md")).unwrap();
    client.query("SELECT * FROM oncall.load_runbooks($1)", &[&path]).unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.ops_runbooks WHERE title = 'The first'"), 1);
}
