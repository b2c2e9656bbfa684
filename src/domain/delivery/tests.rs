//! What holds for every format: the limits of the receivers, whatever the page.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::page::PageKind;
use crate::page::tests::{any_page, example};

const ALL: [Format; 5] = [Format::Generic, Format::Slack, Format::Pagerduty, Format::Teams, Format::Opsgenie];

fn rendered(format: Format, page: &Page) -> (Request, Value) {
    let secret = Secret::new("0123456789abcdef0123456789abcdef").unwrap();
    let envelope = Envelope {
        idempotency_key: "pg_oncall.7575.5.INC-0047.2.ops",
        incident_key: "pg_oncall.7575.5.INC-0047",
        database: "shop",
        now: "2026-11-20T10:00:03Z".parse().unwrap(),
        secret: Some(&secret),
    };
    let request = render(format, page, &envelope);
    let body = serde_json::from_str(&request.body).expect("a body is JSON");
    (request, body)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

/// The length of the text at `place`, as a receiver counts it: in UTF-16 units, which are never fewer than characters.
fn length(body: &Value, place: &str) -> usize {
    let text = body.pointer(place).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {place} of {body}"));
    assert!(!text.is_empty(), "{place}");
    text.encode_utf16().count()
}

#[test]
fn every_request_carries_its_idempotency_key() {
    for format in ALL {
        let (request, _) = rendered(format, &example());
        assert_eq!(header(&request, "Idempotency-Key"), Some("pg_oncall.7575.5.INC-0047.2.ops"), "{format:?}");
    }
}

#[test]
fn an_escalation_says_what_to_type_in_every_format() {
    for format in ALL {
        let (_, body) = rendered(format, &example());
        let said = body.to_string();
        for words in ["INC-0047", "SELECT oncall.approve_step('INC-0047', 'RB-003/drop-the-stale-slot')", "212 GB"] {
            assert!(said.contains(words), "{format:?} does not say {words:?}: {said}");
        }
    }
}

#[test]
fn a_generic_page_is_a_signed_cloud_event() {
    let (request, body) = rendered(Format::Generic, &example());
    assert_eq!(body["specversion"], "1.0");
    assert_eq!(body["type"], "pg_oncall.page.escalation");
    assert_eq!(body["source"], "/pg_oncall/shop");
    assert_eq!(body["id"], "pg_oncall.7575.5.INC-0047.2.ops");
    assert_eq!(body["data"]["incident_id"], "INC-0047");
    assert!(header(&request, "X-PgOncall-Signature").unwrap().starts_with("t=1795168803,v1="));
}

#[test]
fn pagerduty_triggers_acknowledges_and_resolves_by_one_key() {
    for (kind, action, severity) in [
        (PageKind::Escalation, "trigger", "critical"),
        (PageKind::Notice, "trigger", "info"),
        (PageKind::ApprovalOutcome, "acknowledge", "critical"),
        (PageKind::Resolved, "resolve", "info"),
    ] {
        let (_, body) = rendered(Format::Pagerduty, &Page { kind, ..example() });
        assert_eq!(body["event_action"], action);
        assert_eq!(body["dedup_key"], "pg_oncall.7575.5.INC-0047");
        assert_eq!(body["routing_key"], "0123456789abcdef0123456789abcdef");
        assert_eq!(body["payload"]["severity"], severity);
        assert_eq!(body["payload"]["source"], "db1");
    }
}

#[test]
fn opsgenie_creates_acknowledges_and_closes_by_one_alias() {
    let alias = "/v2/alerts/pg_oncall.7575.5.INC-0047";
    for (kind, path) in [
        (PageKind::Escalation, "/v2/alerts".to_owned()),
        (PageKind::ApprovalOutcome, format!("{alias}/acknowledge?identifierType=alias")),
        (PageKind::Resolved, format!("{alias}/close?identifierType=alias")),
    ] {
        let (request, body) = rendered(Format::Opsgenie, &Page { kind, ..example() });
        assert_eq!(request.path, path);
        assert_eq!(header(&request, "Authorization"), Some("GenieKey 0123456789abcdef0123456789abcdef"));
        if kind == PageKind::Escalation {
            assert_eq!(body["alias"], "pg_oncall.7575.5.INC-0047");
            assert_eq!(body["priority"], "P1");
        }
    }
}

#[test]
fn only_where_the_format_wants_it_does_a_body_hold_the_secret() {
    for format in ALL {
        let (request, _) = rendered(format, &example());
        let holds = request.body.contains("0123456789abcdef");
        assert_eq!(holds, format == Format::Pagerduty, "{format:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_page_keeps_to_the_limits_of_every_receiver(page in any_page()) {
        let page = page.clean();

        let (request, _) = rendered(Format::Generic, &page);
        prop_assert!(request.body.len() < 256 * 1024);

        let (_, slack) = rendered(Format::Slack, &page);
        prop_assert!(length(&slack, "/text") <= 4000);
        prop_assert!(length(&slack, "/blocks/0/text/text") <= 150);
        let blocks = slack["blocks"].as_array().unwrap();
        prop_assert!(blocks.len() <= 50);
        for block in &blocks[1..] {
            prop_assert!(length(block, "/text/text") <= 3000);
            prop_assert!(!block["text"]["text"].as_str().unwrap().contains(['<', '>']), "a link or a mention: {block}");
        }

        let (request, pagerduty) = rendered(Format::Pagerduty, &page);
        prop_assert!(request.body.len() <= 512 * 1024);
        prop_assert!(length(&pagerduty, "/payload/summary") <= 1024);
        prop_assert!(length(&pagerduty, "/payload/source") <= 1024);
        prop_assert!(length(&pagerduty, "/dedup_key") <= 255);

        let (request, teams) = rendered(Format::Teams, &page);
        prop_assert!(request.body.len() <= 28 * 1024, "{} bytes", request.body.len());
        prop_assert_eq!(&teams["attachments"][0]["content"]["type"], "AdaptiveCard");

        let (request, opsgenie) = rendered(Format::Opsgenie, &page);
        prop_assert!(request.path.bytes().all(|b| b.is_ascii_graphic()));
        if request.path == "/v2/alerts" {
            prop_assert!(length(&opsgenie, "/message") <= 130);
            prop_assert!(length(&opsgenie, "/alias") <= 512);
            prop_assert!(length(&opsgenie, "/source") <= 100);
            prop_assert!(length(&opsgenie, "/description") <= 15_000);
            let details: usize = opsgenie["details"].as_object().unwrap().iter()
                .map(|(name, value)| name.chars().count() + value.as_str().unwrap().chars().count()).sum();
            prop_assert!(details <= 8000, "{details}");
        } else {
            prop_assert!(length(&opsgenie, "/note") <= 25_000);
        }
    }
}
