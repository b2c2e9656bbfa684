//! The same for a whole JSON document: what the journal keeps of an alert.

use serde_json::{Map, Value};

use super::harmless::is_placeholder;
use super::{BY_NAME, is_secret_name, redact};

/// `value` with every text in it redacted, and all that lies under a key that names a secret removed.
///
/// Under such a key every text and every number goes, however deep it lies: `{"password": ["a", 7]}` is a list of
/// passwords, and nobody can tell what `{"credentials": {"value": "x"}}` means by `value`. Its keys stay, and so do
/// `true`, `false` and `null`, which say that there is a secret and not which. `{"name": "DB_PASSWORD", "value": "x"}`
/// counts as such a key: it is how containers write their environment.
///
/// Keys are names of things by which whoever reads the audit looks them up, so they stay, unless one holds a secret
/// itself, such as a data source name. Two that are the same after that are told apart by a number.
pub fn redact_json(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact(text).as_str().to_owned()),
        Value::Array(items) => Value::Array(items.iter().map(redact_json).collect()),
        Value::Object(fields) => {
            let environment = names_a_secret(fields);
            redact_fields(fields, |name, value| {
                let secret = is_secret_name(name) || (environment && name.eq_ignore_ascii_case("value"));
                if secret { remove(value) } else { redact_json(value) }
            })
        }
        plain => plain.clone(),
    }
}

/// What lies under the name of a secret, without its texts and numbers.
fn remove(value: &Value) -> Value {
    match value {
        Value::String(text) if is_placeholder(text.trim()) => value.clone(),
        Value::String(_) | Value::Number(_) => Value::String(BY_NAME.to_owned()),
        Value::Array(items) => Value::Array(items.iter().map(remove).collect()),
        Value::Object(fields) => redact_fields(fields, |_, value| remove(value)),
        plain => plain.clone(),
    }
}

/// Whether an object is an entry whose `name` or `key` is that of a secret.
fn names_a_secret(fields: &Map<String, Value>) -> bool {
    let names = |key: &str| ["name", "key"].iter().any(|known| key.eq_ignore_ascii_case(known));
    fields.iter().any(|(key, value)| names(key) && value.as_str().is_some_and(is_secret_name))
}

fn redact_fields(fields: &Map<String, Value>, clean: impl Fn(&str, &Value) -> Value) -> Value {
    let mut kept = Map::new();
    for (name, value) in fields {
        let key = redact(name).as_str().to_owned();
        // Counted over the whole object, so that a thousand keys that look the same do not take a million looks.
        let free = if kept.contains_key(&key) || (key != *name && fields.contains_key(&key)) {
            (kept.len() + 1..)
                .map(|n| format!("{key} ({n})"))
                .find(|k| !kept.contains_key(k) && !fields.contains_key(k))
        } else {
            None
        };
        kept.insert(free.unwrap_or(key), clean(name, value));
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_removed_however_deep_it_lies() {
        let clean = redact_json(&json!({ "a": [{ "dsn": "postgres://app:hunter2@db/shop" }], "password": "hunter2" }));
        assert!(!clean.to_string().contains("hunter2"), "{clean}");
    }

    #[test]
    fn everything_under_the_name_of_a_secret_is_removed_and_its_shape_stays() {
        for (value, expected) in [
            (json!({ "password": ["a", "b"] }), json!({ "password": [BY_NAME, BY_NAME] })),
            (json!({ "password": 4711 }), json!({ "password": BY_NAME })),
            (
                json!({ "credentials": { "value": "x", "ttl": 60, "old": [{ "x": "y" }] } }),
                json!({ "credentials": { "value": BY_NAME, "ttl": BY_NAME, "old": [{ "x": BY_NAME }] } }),
            ),
            (
                json!({ "secret": true, "token": null, "api_key": "", "password": ["$1", false] }),
                json!({ "secret": true, "token": null, "api_key": "", "password": ["$1", false] }),
            ),
        ] {
            assert_eq!(redact_json(&value), expected, "from {value}");
        }
    }

    #[test]
    fn a_value_loses_what_the_name_beside_it_calls_a_secret() {
        let environment = json!([{ "name": "DB_PASSWORD", "value": "x" }, { "Key": "token", "Value": 7 },
            { "name": "DB_HOST", "value": "db1" }]);
        let expected = json!([{ "name": "DB_PASSWORD", "value": BY_NAME }, { "Key": "token", "Value": BY_NAME },
            { "name": "DB_HOST", "value": "db1" }]);
        assert_eq!(redact_json(&environment), expected);
    }

    #[test]
    fn a_key_that_holds_a_secret_loses_it_and_no_value_is_lost_with_it() {
        let clean = redact_json(&json!({ "postgres://app:hunter2@db/shop": "down", "a@x.org": 1, "b@x.org": 2 }));
        let fields = clean.as_object().expect("an object stays one");
        assert_eq!(fields["postgres://app:[redacted: password]@db/shop"], "down");
        let people: Vec<_> = fields.iter().filter(|(name, _)| name.contains("e-mail")).map(|(_, n)| n).collect();
        assert_eq!(people, [1, 2]);
    }

    #[test]
    fn what_is_no_text_stays() {
        let plain = json!({ "n": 1, "b": true, "z": null, "text": "pool_size=50, active=198" });
        assert_eq!(redact_json(&plain), plain);
    }

    fn documents() -> impl Strategy<Value = Value> {
        let text =
            prop::sample::select(vec!["password", "a@x.org", "b@x.org", "token=x", "name", "value", "key", "plain"]);
        let leaf =
            prop_oneof![text.clone().prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(json!(null))];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..4)
                    .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn redacting_a_document_twice_changes_nothing(document in documents()) {
            let once = redact_json(&document);
            prop_assert_eq!(redact_json(&once), once);
        }
    }
}
