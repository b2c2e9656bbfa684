//! Labels, tags and dimensions: every way of writing names with values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Names with values.
pub(super) type Pairs = BTreeMap<String, String>;

/// A name that comes twice has its values sorted and joined by commas: the order of tags is no part of their meaning.
type Gathered = BTreeMap<String, BTreeSet<String>>;

/// Read the pairs out of a value; what is no pair is given back.
///
/// Understood are an object with scalar values, a list of `"k:v"` or of objects with `tag`, `name` or `key` and
/// `value`, a text of the form `k:v,k:v`, and any of these as a text of JSON. A pair whose value is empty is dropped:
/// to Prometheus an empty label is an absent one.
pub(super) fn read(value: Value) -> (Pairs, Option<Value>) {
    let mut gathered = Gathered::new();
    let rest = match value {
        Value::Object(map) => from_object(map, &mut gathered),
        Value::Array(list) => from_list(list, &mut gathered),
        Value::String(text) => match text.trim_start().starts_with(['[', '{']).then(|| serde_json::from_str(&text)) {
            Some(Ok(inner @ (Value::Object(_) | Value::Array(_)))) => return read(inner),
            _ => from_text(&text, &mut gathered),
        },
        other => Some(other),
    };
    let join = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(",");
    (gathered.into_iter().map(|(name, values)| (name, join(values))).collect(), rest)
}

/// A scalar as a label's value.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn add(gathered: &mut Gathered, name: &str, value: &str) {
    if !value.is_empty() {
        gathered.entry(name.to_owned()).or_default().insert(value.to_owned());
    }
}

fn from_object(map: Map<String, Value>, gathered: &mut Gathered) -> Option<Value> {
    let mut rest = Map::new();
    for (name, value) in map {
        match scalar(&value) {
            Some(text) if !name.trim().is_empty() => add(gathered, &name, &text),
            _ if value.is_null() => {}
            _ => {
                rest.insert(name, value);
            }
        }
    }
    (!rest.is_empty()).then_some(Value::Object(rest))
}

fn from_list(list: Vec<Value>, gathered: &mut Gathered) -> Option<Value> {
    let rest: Vec<Value> = list
        .into_iter()
        .filter(|item| {
            let pair = match item {
                Value::String(text) => split(text).map(|(name, value)| (name.to_owned(), value.to_owned())),
                Value::Object(map) if map.len() == 2 => ["tag", "name", "key"]
                    .into_iter()
                    .find_map(|key| map.get(key)?.as_str())
                    .filter(|name| !name.trim().is_empty())
                    .and_then(|name| Some((name.to_owned(), scalar(map.get("value")?)?))),
                _ => None,
            };
            pair.as_ref().inspect(|(name, value)| add(gathered, name, value)).is_none()
        })
        .collect();
    (!rest.is_empty()).then_some(Value::Array(rest))
}

fn from_text(text: &str, gathered: &mut Gathered) -> Option<Value> {
    let rest: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .filter(|item| split(item).inspect(|(name, value)| add(gathered, name, value)).is_none())
        .collect();
    (!rest.is_empty()).then(|| Value::String(rest.join(",")))
}

/// `name:value` or `name=value`; a name has no spaces.
fn split(item: &str) -> Option<(&str, &str)> {
    let (name, value) = item.split_once([':', '='])?;
    let name = name.trim();
    (!name.is_empty() && !name.contains(char::is_whitespace)).then_some((name, value.trim()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_labels_come_out_of_every_way_of_writing_them() {
        let expected = Pairs::from([("database".into(), "shop".into()), ("port".into(), "6432".into())]);
        for form in [
            json!({"database": "shop", "port": 6432}),
            json!(["database:shop", "port:6432"]),
            json!("database:shop, port:6432"),
            json!("database=shop,port=6432,"),
            json!([{"tag": "database", "value": "shop"}, {"name": "port", "value": 6432}]),
            json!("[{\"tag\":\"database\",\"value\":\"shop\"},{\"tag\":\"port\",\"value\":\"6432\"}]"),
            json!({"database": "shop", "port": "6432", "empty": "", "null": null}),
        ] {
            assert_eq!(read(form.clone()), (expected.clone(), None), "{form}");
        }
    }

    #[test]
    fn what_is_no_pair_is_given_back() {
        assert_eq!(read(json!("monitor,a:b")).1, Some(json!("monitor")));
        assert_eq!(read(json!(["db", "a:b", 5])).1, Some(json!(["db", 5])));
        assert_eq!(read(json!({"a": "b", "deep": {"c": 1}})).1, Some(json!({"deep": {"c": 1}})));
        assert_eq!(
            read(json!([{"tag": "a", "value": "b", "more": 1}])).1,
            Some(json!([{"tag": "a", "value": "b", "more": 1}]))
        );
        assert_eq!(read(json!(7)).1, Some(json!(7)));
    }

    #[test]
    fn a_name_that_comes_twice_keeps_both_values() {
        assert_eq!(read(json!("role:b,role:a,role:b")).0["role"], "a,b");
    }
}
