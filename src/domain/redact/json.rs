//! The same for a whole JSON document: what the journal keeps of an alert.

use serde_json::{Map, Value};

use super::{redact, redact_named};

/// `value` with every text in it redacted, and every text under a key that names a secret removed whole.
///
/// Keys stay as they are: they are names of things, and whoever reads the audit looks them up by these.
pub fn redact_json(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact(text).as_str().to_owned()),
        Value::Array(items) => Value::Array(items.iter().map(redact_json).collect()),
        Value::Object(fields) => Value::Object(fields.iter().map(redact_field).collect::<Map<_, _>>()),
        plain => plain.clone(),
    }
}

fn redact_field((name, value): (&String, &Value)) -> (String, Value) {
    let clean = match value {
        Value::String(text) => Value::String(redact_named(name, text).as_str().to_owned()),
        other => redact_json(other),
    };
    (name.clone(), clean)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_removed_however_deep_it_lies() {
        let clean = redact_json(&json!({ "a": [{ "dsn": "postgres://app:hunter2@db/shop" }], "password": "hunter2" }));
        assert!(!clean.to_string().contains("hunter2"), "{clean}");
    }

    #[test]
    fn what_is_no_text_stays() {
        let plain = json!({ "n": 1, "b": true, "z": null, "text": "pool_size=50, active=198" });
        assert_eq!(redact_json(&plain), plain);
    }
}
