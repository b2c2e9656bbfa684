use proptest::prelude::*;

use super::*;

/// A page with something in every field.
pub(crate) fn example() -> Page {
    Page {
        incident_id: "INC-0047".to_owned(),
        kind: PageKind::Escalation,
        severity: Some(Severity::P1),
        fingerprint: "00ff00ff00ff00ff".to_owned(),
        title: "WAL volume at 94.7%".to_owned(),
        alert: PagedAlert {
            text: "Disk of db1 is at 94.7% <https://x.test> & rising".to_owned(),
            source: "alertmanager".to_owned(),
            name: Some("DiskSpaceCritical".to_owned()),
            labels: [("host", "db1"), ("mount", "/wal")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            started_at: Some("2026-11-20T10:00:00Z".parse().expect("a time")),
        },
        classification: Some("DiskSpaceCritical".to_owned()),
        confidence: Some(0.913),
        hypothesis: Some("The archiver has failed since 09:12, so WAL piles up.".to_owned()),
        recommended: vec![RecommendedAction {
            step_id: "RB-003/drop-the-stale-slot".to_owned(),
            summary: "Drop the replication slot that nobody reads.".to_owned(),
            destructive: true,
            approve: Some("SELECT oncall.approve_step('INC-0047', 'RB-003/drop-the-stale-slot')".to_owned()),
        }],
        runbook: Some(PagedSection {
            runbook_id: "RB-003".to_owned(),
            title: "Disk space critical".to_owned(),
            section: "Find what holds the WAL".to_owned(),
            content: "Look at `pg_replication_slots` first.".to_owned(),
        }),
        evidence: vec![Evidence {
            what: "pg_replication_slots".to_owned(),
            finding: "slot old_standby is inactive and holds 212 GB".to_owned(),
        }],
        reasons: vec![
            PagedReason { condition: "confidence".to_owned(), pass: true, reason: "0.913 is at least 0.75".to_owned() },
            PagedReason {
                condition: "not_destructive".to_owned(),
                pass: false,
                reason: "RB-003/drop-the-stale-slot is destructive".to_owned(),
            },
        ],
        done: vec![PagedWork { step_id: None, summary: "Looked at 3 views".to_owned(), outcome: "done".to_owned() }],
        created_at: "2026-11-20T10:00:02Z".parse().expect("a time"),
    }
}

/// Any page: odd characters, long texts, empty and long lists.
pub(crate) fn any_page() -> impl Strategy<Value = Page> {
    let text = prop_oneof![
        4 => any::<String>(),
        2 => "[a-z <>&*_`\"\\\\\n|]{0,80}",
        1 => prop::collection::vec(any::<char>(), 0..400).prop_map(|few| few.iter().collect::<String>().repeat(60)),
        1 => Just("\"\\".repeat(9000)),
        1 => Just(String::new()),
    ]
    .boxed();
    let maybe = prop::option::of(text.clone());
    let kind = prop::sample::select(vec![
        PageKind::Escalation,
        PageKind::Notice,
        PageKind::ApprovalOutcome,
        PageKind::Resolved,
        PageKind::Test,
    ]);
    let severity = prop::sample::select(vec![None, Some(Severity::P1), Some(Severity::P3), Some(Severity::P5)]);
    let head = (text.clone(), kind, severity, text.clone(), text.clone());
    let alert =
        (text.clone(), text.clone(), maybe.clone(), prop::collection::btree_map(text.clone(), text.clone(), 0..30));
    let found = (maybe.clone(), any::<f64>(), maybe.clone(), prop::option::of((text.clone(), text.clone())));
    let pairs = prop::collection::vec((text.clone(), text.clone(), any::<bool>(), maybe), 0..40);
    (head, alert, found, pairs).prop_map(|(head, alert, found, pairs)| Page {
        incident_id: head.0,
        kind: head.1,
        severity: head.2,
        fingerprint: head.3,
        title: head.4,
        alert: PagedAlert {
            text: alert.0,
            source: alert.1,
            name: alert.2,
            labels: alert.3,
            started_at: Some(Timestamp::UNIX_EPOCH),
        },
        classification: found.0,
        confidence: Some(found.1),
        hypothesis: found.2,
        runbook: found.3.map(|(title, content)| PagedSection {
            runbook_id: "RB-001".to_owned(),
            section: title.clone(),
            title,
            content,
        }),
        recommended: pairs
            .iter()
            .cloned()
            .map(|(step_id, summary, destructive, approve)| RecommendedAction {
                step_id,
                summary,
                destructive,
                approve,
            })
            .collect(),
        evidence: pairs.iter().cloned().map(|(what, finding, ..)| Evidence { what, finding }).collect(),
        reasons: pairs
            .iter()
            .cloned()
            .map(|(condition, reason, pass, _)| PagedReason { condition, pass, reason })
            .collect(),
        done: pairs.into_iter().map(|(summary, outcome, _, step_id)| PagedWork { step_id, summary, outcome }).collect(),
        created_at: Timestamp::UNIX_EPOCH,
    })
}

#[test]
fn a_tidy_page_stays_as_it_is_and_comes_back_from_json() {
    let page = example();
    assert_eq!(page.clone().clean(), page);
    let back: Page = serde_json::from_value(serde_json::to_value(&page).unwrap()).unwrap();
    assert_eq!(back, page);
}

#[test]
fn no_field_lets_a_secret_through() {
    let mut page = example();
    let leak = || "dsn postgres://app:hunter2@db/shop".to_owned();
    page.title = leak();
    page.alert.text = leak();
    page.alert.labels.insert("db_password".to_owned(), "hunter2".to_owned());
    page.hypothesis = Some(leak());
    page.classification = Some(leak());
    page.recommended[0].summary = leak();
    page.recommended[0].approve = Some(leak());
    page.runbook.as_mut().unwrap().content = leak();
    page.evidence[0].finding = leak();
    page.reasons[0].reason = leak();
    page.done[0].outcome = leak();
    let json = serde_json::to_string(&page.clean()).unwrap();
    assert!(!json.contains("hunter2"), "{json}");
    assert_eq!(json.matches("[redacted: ").count(), 11, "{json}");
}

#[test]
fn sql_to_type_is_whole_or_absent() {
    let mut page = example();
    page.recommended[0].approve = Some(format!("SELECT oncall.approve_step('{}')", "x".repeat(700)));
    assert_eq!(page.clean().recommended[0].approve, None);
}

#[test]
fn a_page_without_a_title_gets_one() {
    let page = Page { title: "\u{0}\n".to_owned(), ..example() }.clean();
    assert_eq!(page.title, "INC-0047 escalation");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_page_is_bounded_once_clean_and_survives_json(page in any_page()) {
        let clean = page.clean();
        let json = serde_json::to_string(&clean).unwrap();
        prop_assert!(json.len() < 200_000, "{} bytes", json.len());
        prop_assert!(!json.contains("\\u0000"), "Postgres takes no NUL");
        prop_assert!(!clean.title.is_empty() && !clean.title.contains('\n'));
        let back: Page = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(back, clean);
    }
}
