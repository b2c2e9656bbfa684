use std::collections::BTreeMap;

use super::*;
use crate::alert::{Severity, Status};
use crate::ids::{RunbookId, StepId, ToolName};
use crate::runbook::Step;

fn alert(name: Option<&str>) -> Alert {
    Alert {
        source: "text".to_owned(),
        status: Status::Firing,
        severity: Some(Severity::P1),
        name: name.map(str::to_owned),
        text: "Connection pool exhaustion: pool_size=50, active=198".to_owned(),
        fingerprint: "0123456789abcdef".to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts_at: None,
        ends_at: None,
        url: None,
        extra: serde_json::Map::new(),
    }
}

fn section(runbook: &str, name: &str, content: &str, similarity: f64) -> Retrieved {
    Retrieved {
        runbook_id: RunbookId::new(runbook).unwrap(),
        title: format!("Title of {runbook}"),
        incident_type: Some(format!("TypeOf{}", runbook.replace('-', ""))),
        section: name.to_owned(),
        content: content.to_owned(),
        similarity,
        builtin_similarity: similarity,
        found_by: FoundBy::Similarity,
    }
}

fn step(runbook: &str, section: &str) -> Step {
    Step {
        id: StepId::of(&RunbookId::new(runbook).unwrap(), section).unwrap(),
        tool: ToolName::new("pgbouncer_set").unwrap(),
        parameters: BTreeMap::new(),
        destructive: false,
        guard: None,
        verify: None,
        measure: None,
        rollback: None,
        follow_up: None,
    }
}

fn found() -> Retrieval {
    Retrieval {
        sections: vec![
            section("RB-001", "Raise the pool", "Raise it.", 0.7),
            section("RB-001", "Meaning", "All connections\nare in use.\n\nClients wait.", 0.6),
            section("RB-004", "Meaning", "Sessions sit idle.", 0.4),
        ],
        steps: vec![step("RB-001", "Raise the pool"), step("RB-001", "Open the reserve"), step("RB-004", "End them")],
        runner_up: Some(0.4),
    }
}

#[test]
fn the_best_runbook_gives_type_id_and_all_of_its_own_steps_in_their_order() {
    let reply = triage(&alert(None), &found());
    assert_eq!(reply.incident_type, "TypeOfRB001");
    assert_eq!(reply.runbook_id.as_deref(), Some("RB-001"));
    assert_eq!(reply.recommended_actions, ["RB-001/raise-the-pool", "RB-001/open-the-reserve"]);
}

#[test]
fn the_confidence_is_that_of_score_and_margin_with_three_digits_rounded_down() {
    let exact = confidence(0.7, 0.7 - 0.4);
    let shown = triage(&alert(None), &found()).confidence;
    assert!(shown <= exact && exact - shown < 0.001, "{shown} for {exact}");
    assert_eq!(format!("{shown}").len(), "0.961".len());
}

#[test]
fn a_match_of_the_name_has_a_confidence_of_its_own_whatever_the_similarity() {
    let mut retrieval = found();
    retrieval.sections[0].found_by = FoundBy::AlertName;
    retrieval.sections[0].builtin_similarity = 0.01;
    let reply = triage(&alert(Some("PoolFull")), &retrieval);
    assert_eq!(reply.confidence, BY_NAME);
    assert!(reply.root_cause_hypothesis.starts_with("RB-001 (Title of RB-001) is for alerts named PoolFull."));
}

#[test]
fn the_hypothesis_is_what_the_runbook_says_of_the_meaning() {
    assert_eq!(
        triage(&alert(None), &found()).root_cause_hypothesis,
        "The alert resembles RB-001 (Title of RB-001). All connections are in use. Clients wait."
    );
}

#[test]
fn a_long_hypothesis_ends_at_a_paragraph_or_within_the_first_at_a_word() {
    let mut retrieval = found();
    retrieval.sections[1].content = format!("First.\n\n{}", "word ".repeat(200));
    assert!(triage(&alert(None), &retrieval).root_cause_hypothesis.ends_with(" First."));
    retrieval.sections[1].content = "wörd ".repeat(200);
    let cut_off = triage(&alert(None), &retrieval).root_cause_hypothesis;
    assert!(cut_off.ends_with(" wörd …"), "{cut_off}");
    assert!(cut_off.chars().count() < 700);
}

#[test]
fn without_a_runbook_there_is_no_confidence_and_no_action() {
    let reply = triage(&alert(None), &Retrieval::default());
    assert_eq!((reply.confidence, reply.runbook_id), (0.0, None));
    assert!(reply.recommended_actions.is_empty());
}

#[test]
fn a_similarity_that_is_not_a_number_gives_no_confidence() {
    let mut retrieval = found();
    retrieval.sections[0].builtin_similarity = f64::NAN;
    assert_eq!(triage(&alert(None), &retrieval).confidence, 0.0);
}
