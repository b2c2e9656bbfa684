//! What holds for any input, however strange.

use std::sync::LazyLock;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::payloads;
use crate::alert::{Alert, AlertError, MAX_TEXT, normalise, normalise_text};

static PAYLOADS: LazyLock<Vec<(String, Value)>> = LazyLock::new(payloads);

/// Every key that occurs in a payload: strange values under known keys find more than strange keys do.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    fn gather(value: &Value, keys: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                keys.push(key.clone());
                gather(value, keys);
            }),
            Value::Array(list) => list.iter().for_each(|value| gather(value, keys)),
            _ => {}
        }
    }
    let mut keys = vec!["text".to_owned(), "name".to_owned(), "resolved".to_owned(), "dedup_key".to_owned()];
    PAYLOADS.iter().for_each(|(_, payload)| gather(payload, &mut keys));
    keys.sort();
    keys.dedup();
    keys
});

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,40}",
        "[{\\[][ -~]{0,20}[}\\]]",
        "[0-9.:TZ+-]{0,24}",
        "\\[[A-Za-z: {}]{0,12}\\] ?[a-zäß☠ ]{0,8}",
        prop::sample::select(vec!["critical", "resolved", "trigger", "Notification", "$HOST", "{X}", "", "\0", "P1"])
            .prop_map(str::to_owned),
    ]
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![4 => (0..KEYS.len()).prop_map(|at| KEYS[at].clone()), 1 => any_text()]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(any_key(), inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// How many values there are in a payload, itself included.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(size).sum(),
        Value::Array(list) => list.iter().map(size).sum(),
        _ => 0,
    }
}

/// The value number `at` of a payload, in the order of `size`.
fn nth<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Object(map) => map.values_mut().find_map(|value| nth(value, at)),
        Value::Array(list) => list.iter_mut().find_map(|value| nth(value, at)),
        _ => None,
    }
}

/// A real payload in which some values were replaced.
fn mutated() -> impl Strategy<Value = Value> {
    let change = (any::<prop::sample::Index>(), any_json());
    (0..PAYLOADS.len(), vec(change, 1..4)).prop_map(|(which, changes)| {
        let mut payload = PAYLOADS[which].1.clone();
        for (place, new) in changes {
            let mut at = place.index(size(&payload));
            if let Some(value) = nth(&mut payload, &mut at) {
                *value = new;
            }
        }
        payload
    })
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Array(list) => list.iter().any(has_nul),
        _ => false,
    }
}

fn check(read: Result<Vec<Alert>, AlertError>) -> Result<(), TestCaseError> {
    let alerts = match read {
        Ok(alerts) => alerts,
        Err(error) => {
            prop_assert!(!error.to_string().is_empty() && !error.hint().is_empty());
            return Ok(());
        }
    };
    prop_assert!(!alerts.is_empty());
    for alert in alerts {
        prop_assert!(!alert.text.trim().is_empty() && alert.text.len() <= MAX_TEXT);
        prop_assert_eq!(alert.fingerprint.len(), 16);
        prop_assert!(alert.fingerprint.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        prop_assert!(alert.ends_at.is_none() || alert.status == crate::alert::Status::Resolved);
        prop_assert_eq!(alert.name.as_ref(), alert.labels.get("alertname").filter(|name| !name.trim().is_empty()));
        prop_assert!(alert.query_text().contains(&alert.text));
        prop_assert!(!alert.headline().contains('\n') && alert.headline().len() <= 160);
        let json = serde_json::to_value(&alert).expect("an alert is JSON");
        prop_assert!(!has_nul(&json), "Postgres could not store {}", json);
        prop_assert_eq!(serde_json::from_value::<Alert>(json).expect("as written"), alert);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_json_is_an_alert_or_an_error(payload in any_json()) {
        check(normalise(&payload))?;
    }

    #[test]
    fn a_real_payload_with_arbitrary_values_is_an_alert_or_an_error(payload in mutated()) {
        check(normalise(&payload))?;
        check(normalise_text(&payload.to_string()))?;
    }

    #[test]
    fn arbitrary_json_in_an_sns_message_is_an_alert_or_an_error(message in mutated()) {
        check(normalise(&json!({"Type": "Notification", "TopicArn": "t", "Message": message.to_string()})))?;
    }

    #[test]
    fn arbitrary_text_is_an_alert_unless_it_is_blank(text in any_text()) {
        check(normalise_text(&text))?;
        if !text.trim_start().starts_with(['{', '[']) {
            let blank = text.trim_start_matches('\u{feff}').trim().is_empty();
            prop_assert_eq!(normalise_text(&text).is_err(), blank);
        }
    }

    #[test]
    fn what_finds_no_place_is_kept(which in 0..PAYLOADS.len(), place in any::<prop::sample::Index>()) {
        // An object in place of any one value: no adapter has a use for it, none may drop it.
        let mut payload = PAYLOADS[which].1.clone();
        let mut at = place.index(size(&payload));
        if let Some(value) = nth(&mut payload, &mut at) {
            *value = json!({"unheard-of": {"deep": ["MARK"]}});
        }
        if let Ok(alerts) = normalise(&payload) {
            prop_assert!(alerts.iter().any(|alert| format!("{:?}", alert.extra).contains("MARK")), "{}", payload);
        }
    }

    #[test]
    fn an_unknown_key_anywhere_is_kept(which in 0..PAYLOADS.len(), place in any::<prop::sample::Index>()) {
        let mut payload = PAYLOADS[which].1.clone();
        let read = normalise(&payload).is_ok();
        let mut at = place.index(size(&payload));
        if let Some(Value::Object(map)) = nth(&mut payload, &mut at) {
            map.insert("unheard-of".to_owned(), json!({"deep": ["MARK"]}));
            prop_assert_eq!(normalise(&payload).is_ok(), read);
            if let Ok(alerts) = normalise(&payload) {
                prop_assert!(alerts.iter().any(|alert| format!("{:?}", alert.extra).contains("MARK")), "{}", payload);
            }
        }
    }
}
