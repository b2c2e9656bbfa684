//! Cutting texts to lines and sizes, and to the characters that can be stored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

/// The first line that is not blank, trimmed.
pub(super) fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("")
}

/// The start of `text`, at most `bytes` long, ending at a character's border.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A text without NUL, which Postgres cannot store: the replacement character stands for it.
pub(super) fn clean(text: &mut String) {
    if let Cow::Owned(cleaned) = cleaned(text) {
        *text = cleaned;
    }
}

/// The same for names and values.
pub(super) fn clean_pairs(pairs: &mut BTreeMap<String, String>) {
    if pairs.keys().any(|name| name.contains('\0')) {
        *pairs = std::mem::take(pairs).into_iter().map(|(name, value)| (cleaned(&name).into_owned(), value)).collect();
    }
    pairs.values_mut().for_each(clean);
}

/// The same for JSON.
pub(super) fn clean_json(value: &mut Value) {
    match value {
        Value::String(text) => clean(text),
        Value::Array(list) => list.iter_mut().for_each(clean_json),
        Value::Object(map) => {
            if map.keys().any(|key| key.contains('\0')) {
                *map =
                    std::mem::take(map).into_iter().map(|(key, value)| (cleaned(&key).into_owned(), value)).collect();
            }
            map.values_mut().for_each(clean_json);
        }
        _ => {}
    }
}

fn cleaned(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
