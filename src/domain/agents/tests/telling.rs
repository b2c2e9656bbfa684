use super::*;
use crate::page::PageKind;
use crate::policy::Rule;

#[test]
fn work_done_without_a_person_is_told_once_in_the_words_of_the_model() {
    let chat = |request: &ChatRequest| match request.purpose {
        "notification" => {
            Ok(r#"{"headline": "checkout waits for connections", "message": "The pool is raised."}"#.to_owned())
        }
        _ => Err(ModelError::NoPod),
    };
    let script = Script::new(chat, all_well);
    let resolution = script.treat(&incident(&["RB-001"], Autonomy::On));
    assert!(!json!(script.chats()).to_string().contains("{{"), "every placeholder is filled");
    let pages = script.pages();
    let [page] = pages.as_slice() else { panic!("one page: {pages:?}") };
    assert_eq!((page.kind, page.title.as_str()), (PageKind::Notice, "checkout waits for connections"));
    assert_eq!(page.hypothesis.as_deref(), Some("The pool is raised."));
    assert_eq!(page.done.len(), 2);
    assert!(page.done[0].outcome.starts_with("done"));
    assert!(page.recommended[0].summary.starts_with("Follow-up:"));
    assert_eq!(resolution.notification["written_by"], "model");
}

#[test]
fn a_message_that_the_model_fails_to_write_is_the_alerts_own_words() {
    for answer in ["", "Hello!", r#"{"headline": " ", "message": ""}"#, r#"{"headline": 1}"#] {
        let chat = move |request: &ChatRequest| match request.purpose {
            "notification" => Ok(answer.to_owned()),
            _ => Err(ModelError::NoPod),
        };
        let script = Script::new(chat, all_well);
        let resolution = script.treat(&incident(&["RB-001"], Autonomy::On));
        assert!(script.pages()[0].title.contains("pool_size=50"), "{answer}");
        assert!(!resolution.notification["trouble"].is_null());
    }
}

#[test]
fn what_the_router_escalates_is_paged_before_anything_is_looked_at() {
    let script = Script::builtin(all_well);
    let mut incident = incident(&["RB-003"], Autonomy::On);
    incident.alert.text = "WAL volume 94.7% full".to_owned();
    let resolution = script.treat(&incident);
    assert_eq!(script.writes(), [""; 0]);
    let pages = script.pages();
    let [page] = pages.as_slice() else { panic!("one page: {pages:?}") };
    assert_eq!(page.kind, PageKind::Escalation);
    let steps: Vec<(&str, bool)> = page.recommended.iter().map(|r| (r.step_id.as_str(), r.destructive)).collect();
    assert_eq!(
        steps,
        [("RB-003/pause-the-write-workloads", true), ("RB-003/give-up-the-slot-that-fills-the-wal-volume", true)]
    );
    assert!(
        page.recommended.iter().all(|action| action
            .approve
            .as_deref()
            .unwrap()
            .starts_with("SELECT * FROM oncall.approve_step("))
    );
    assert_eq!(page.runbook.as_ref().unwrap().section, "Pause the write workloads");
    assert!(page.reasons.iter().any(|r| !r.pass && r.reason.contains("a person must approve")));
    assert!(page.evidence.iter().any(|evidence| evidence.what == "pgbouncer_cl_waiting"));
    assert_eq!(page.classification.as_deref(), Some("DiskSpaceCritical"));
    let paged = script.world.order.borrow().iter().position(|(agent, _)| *agent == "escalation").unwrap();
    let looked = script.world.order.borrow().iter().position(|(agent, _)| *agent == "diagnostics").unwrap();
    assert!(paged < looked, "the page waits for nothing");
    assert!(script.ran(Purpose::Diagnostic).contains(&"archiver_and_wal".to_owned()));
    assert_eq!(resolution.remediation_action, None);
    assert_eq!(resolution.notification["page"], "escalation");
}

#[test]
fn a_classification_that_policy_would_not_act_on_is_paged_as_a_guess_behind_the_alerts_own_words() {
    let title = |incident: &Incident| {
        let script = Script::builtin(all_well);
        script.treat(incident);
        script.pages()[0].title.clone()
    };
    let sure = incident(&["RB-003"], Autonomy::On);
    assert!(title(&sure).starts_with("DiskSpaceCritical: "), "{}", title(&sure));
    let mut unsure = sure;
    for condition in &mut unsure.decision.conditions {
        condition.pass &= condition.name != Rule::ConfidenceReachesThreshold;
    }
    assert!(title(&unsure).ends_with(" (perhaps DiskSpaceCritical)"), "{}", title(&unsure));
}

#[test]
fn an_incident_of_which_nothing_is_known_but_its_alert_is_paged() {
    let incident = Incident::given_up(
        "INC-0048".to_owned(),
        Timestamp::UNIX_EPOCH,
        alert(),
        "its treatment ended the worker 3 times".to_owned(),
    );
    let page = last_resort(&incident, Timestamp::UNIX_EPOCH);
    assert_eq!((page.kind, page.severity), (PageKind::Escalation, Some(Severity::P1)));
    assert!(page.reasons[0].reason.contains("ended the worker 3 times"));
    assert!(page.evidence.iter().any(|evidence| evidence.finding == "None was found for this alert."));
}

#[test]
fn a_page_tells_that_the_model_failed() {
    let mut incident = incident(&["RB-003"], Autonomy::On);
    incident.triage.failure =
        Some(crate::triage::Failure::NoAnswer { reason: "the model pod did not answer in time (connect)".to_owned() });
    let script = Script::builtin(all_well);
    script.treat(&incident);
    let page = &script.pages()[0];
    assert_eq!(page.recommended.len(), 2, "the builtin model's view, for a person to judge");
    assert!(page.evidence.iter().any(|e| e.what == "The model" && e.finding.contains("did not answer in time")));
}

#[test]
fn the_three_work_at_once() {
    // Each chat of one branch and each tool of another takes turns: no branch waits for another to end.
    let chat = |request: &ChatRequest| match request.purpose {
        "notification" => Ok(r#"{"headline": "h", "message": "m"}"#.to_owned()),
        "diagnostics" => Ok(r#"{"queries": [], "finding": "f"}"#.to_owned()),
        _ => Err(ModelError::NoPod),
    };
    let script = Script::new(chat, all_well);
    script.treat(&incident(&["RB-002"], Autonomy::On));
    let order = script.world.order.borrow();
    let first = |agent: &str| order.iter().position(|(a, _)| *a == agent).unwrap();
    let last = |agent: &str| order.iter().rposition(|(a, _)| *a == agent).unwrap();
    assert!(first("diagnostics") < last("remediation") && first("notification") < last("remediation"), "{order:?}");
}
