//! An object of a payload, from which adapters take what they understand. What they leave is `extra`.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::pairs::{self, Pairs};
use super::time::{self, Time};
use super::{Severity, Status};

/// The keys of an object that have found no place yet.
///
/// To take is to remove. A value that is not of the kind asked for stays, and so ends in `extra`: nothing is lost.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of an object.
    pub fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether there is any of these keys.
    pub fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.has(key))
    }

    /// The value of a key, left where it is.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Write a key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// The text of a key, left where it is: a string that is not blank, trimmed, or a number.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The text of a key, taken.
    pub fn take_text(&mut self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        self.0.remove(key);
        Some(text)
    }

    /// The text of the first of several keys that has one, taken.
    pub fn take_first(&mut self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.take_text(key))
    }

    /// The text of a key as `read` understands it, taken.
    pub fn take_as<T>(&mut self, key: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = read(&self.text(key)?)?;
        self.0.remove(key);
        Some(found)
    }

    /// A status word, taken.
    pub fn take_status(&mut self, key: &str) -> Option<Status> {
        self.take_as(key, Status::parse)
    }

    /// A severity word, taken.
    pub fn take_severity(&mut self, key: &str) -> Option<Severity> {
        self.take_as(key, Severity::parse)
    }

    /// A time, taken; a zero time is taken and is none.
    pub fn take_time(&mut self, key: &str) -> Option<Timestamp> {
        let found = time::read(self.0.get(key)?)?;
        self.0.remove(key);
        match found {
            Time::At(at) => Some(at),
            Time::Zero => None,
        }
    }

    /// The end of an alert: taken when it is resolved. The end that is announced for a firing alert is a guess of its
    /// sender and stays, unless it is the zero time.
    pub fn take_end(&mut self, key: &str, status: Status) -> Option<Timestamp> {
        let zero = self.0.get(key).and_then(time::read) == Some(Time::Zero);
        if status == Status::Resolved || zero { self.take_time(key) } else { None }
    }

    /// Labels, tags or dimensions, taken; what is no pair stays.
    pub fn take_pairs(&mut self, key: &str) -> Pairs {
        let Some(value) = self.0.remove(key) else { return Pairs::new() };
        let (found, rest) = pairs::read(value);
        if let Some(rest) = rest {
            self.0.insert(key.to_owned(), rest);
        }
        found
    }

    /// The same where it is an object; anything else stays.
    pub fn take_pairs_of_object(&mut self, key: &str) -> Pairs {
        if self.0.get(key).is_some_and(Value::is_object) { self.take_pairs(key) } else { Pairs::new() }
    }

    /// Every key whose value is a text, a number or a boolean, taken.
    pub fn take_scalars(&mut self) -> Pairs {
        let (scalars, rest) = pairs::read(Value::Object(std::mem::take(&mut self.0)));
        if let Some(Value::Object(rest)) = rest {
            self.0 = rest;
        }
        scalars
    }

    /// An object, taken.
    pub fn take_object(&mut self, key: &str) -> Option<Fields> {
        match self.0.get_mut(key)? {
            Value::Object(map) => {
                let map = std::mem::take(map);
                self.0.remove(key);
                Some(Self(map))
            }
            _ => None,
        }
    }

    /// A list, taken.
    pub fn take_list(&mut self, key: &str) -> Option<Vec<Value>> {
        match self.0.get_mut(key)? {
            Value::Array(list) => {
                let list = std::mem::take(list);
                self.0.remove(key);
                Some(list)
            }
            _ => None,
        }
    }

    /// Put back what is left of an object that was taken.
    pub fn put_back(&mut self, key: &str, rest: Fields) {
        if !rest.0.is_empty() {
            self.0.insert(key.to_owned(), Value::Object(rest.0));
        }
    }

    /// Make every text that is a placeholder, left unfilled by the sender's template, a null.
    pub fn clear_placeholders(&mut self, is_placeholder: fn(&str) -> bool) {
        for value in self.0.values_mut() {
            if value.as_str().is_some_and(|text| is_placeholder(text.trim())) {
                *value = Value::Null;
            }
        }
    }

    /// What found no place.
    pub fn rest(self) -> Map<String, Value> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(map) => Fields::new(map),
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn what_is_understood_is_taken_and_the_rest_stays() {
        let mut all = fields(json!({"a": " x ", "b": {"c": 1}, "n": 5, "s": "P1", "t": 0, "u": "soon"}));
        assert_eq!(all.take_text("a").as_deref(), Some("x"));
        assert_eq!(all.take_text("b"), None);
        assert_eq!(all.take_text("n").as_deref(), Some("5"));
        assert_eq!(all.take_severity("s"), Some(Severity::P1));
        assert_eq!(all.take_time("t"), None);
        assert_eq!(all.take_time("u"), None);
        assert_eq!(Value::Object(all.rest()), json!({"b": {"c": 1}, "u": "soon"}));
    }

    #[test]
    fn the_end_announced_for_a_firing_alert_stays() {
        let mut all = fields(json!({"end": "2026-11-20T08:19:07Z", "zero": "0001-01-01T00:00:00Z"}));
        assert_eq!(all.take_end("end", Status::Firing), None);
        assert_eq!(all.take_end("zero", Status::Firing), None);
        assert!(all.has("end") && !all.has("zero"));
        assert!(all.take_end("end", Status::Resolved).is_some());
    }
}
