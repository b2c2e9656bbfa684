//! From what an adapter read to an [`Alert`]: what all formats have in common is settled here, once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::{Alert, Basis, Severity, Status, marker, words};

/// The most bytes of a text or an annotation that are kept: 8 KiB, some two pages, more than a prompt has room for.
pub const MAX_TEXT: usize = 8 * 1024;

/// The most bytes of a headline: what fits on one line of a page or a list.
const MAX_HEADLINE: usize = 160;

/// The key of `extra` under which remarks of the normaliser stand.
const NOTES: &str = "_notes";

/// What an adapter read.
#[derive(Debug)]
pub(super) struct Draft {
    /// The format's name.
    pub source: &'static str,
    /// The sender's correlation key.
    pub key: Option<String>,
    /// Where the alert stands.
    pub status: Status,
    /// How bad it is; a `severity` label counts where this is none.
    pub severity: Option<Severity>,
    /// The alert's name; an `alertname` label goes first.
    pub name: Option<String>,
    /// What a person reads.
    pub text: Option<String>,
    /// What identifies it.
    pub labels: BTreeMap<String, String>,
    /// What describes it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it holds.
    pub starts_at: Option<Timestamp>,
    /// Since when it no longer holds.
    pub ends_at: Option<Timestamp>,
    /// Where to look at it.
    pub url: Option<String>,
    /// What found no place.
    pub extra: Map<String, Value>,
    /// Remarks for whoever reads `extra`.
    pub notes: Vec<String>,
}

impl Draft {
    /// A draft in which nothing stands but who sent it.
    pub fn new(source: &'static str) -> Self {
        Self {
            source,
            key: None,
            status: Status::Firing,
            severity: None,
            name: None,
            text: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            starts_at: None,
            ends_at: None,
            url: None,
            extra: Map::new(),
            notes: Vec::new(),
        }
    }

    /// Take labels, tags or dimensions. Where one contradicts a label that stands already, all of them stay in the
    /// payload as well, so that neither value is lost.
    pub fn take_labels(&mut self, fields: &mut Fields, key: &str) {
        let Some(whole) = fields.get(key).cloned() else { return };
        let mut contradicted = false;
        for (name, value) in fields.take_pairs(key) {
            contradicted |= *self.labels.entry(name).or_insert_with(|| value.clone()) != value;
        }
        if contradicted {
            fields.set(key, whole);
        }
    }

    /// Take a text as the label `name`; it stays in the payload where that label stands already with another value.
    pub fn take_label(&mut self, fields: &mut Fields, key: &str, name: &str) {
        let Some(value) = fields.text(key) else { return };
        if *self.labels.entry(name.to_owned()).or_insert_with(|| value.clone()) == value {
            fields.take_text(key);
        }
    }

    /// Write an annotation, where there is a value; one that stands already keeps its name, and the new one gets a `_`.
    pub fn annotation(&mut self, name: &str, value: Option<String>) {
        let Some(value) = value else { return };
        let mut name = name.to_owned();
        while self.annotations.get(&name).is_some_and(|had| *had != value) {
            name.push('_');
        }
        self.annotations.insert(name, value);
    }

    /// What is left of the payload becomes `extra`.
    pub fn keep(mut self, rest: Fields) -> Self {
        self.extra = rest.rest();
        self
    }

    /// The alert.
    pub fn finish(self) -> Alert {
        self.explain().0
    }

    /// The alert, and what its fingerprint is made from.
    pub fn explain(mut self) -> (Alert, Basis) {
        self.clean();
        let labelled = self.labels.get("alertname").filter(|name| !name.trim().is_empty()).cloned();
        let name = match (labelled, self.name.take().filter(|name| !name.trim().is_empty())) {
            (Some(labelled), other) => {
                self.annotation("name", other.filter(|other| *other != labelled));
                Some(labelled)
            }
            (None, Some(name)) => {
                self.labels.insert("alertname".to_owned(), name.clone());
                Some(name)
            }
            (None, None) => None,
        };
        let said = self.text.take().filter(|text| !text.trim().is_empty());
        let text = said.or_else(|| name.clone()).unwrap_or_else(|| describe(self.source, self.status, &self.labels));
        let text = self.cut("the text", text.trim().to_owned());
        for (name, value) in std::mem::take(&mut self.annotations) {
            let value = self.cut(&format!("the annotation {:?}", words::cut(&name, 64)), value);
            self.annotations.insert(name, value);
        }
        let basis = Basis::of(self.key.as_deref(), &self.labels, &text);
        if !self.notes.is_empty() {
            let mut key = NOTES.to_owned();
            while self.extra.contains_key(&key) {
                key.push('_');
            }
            self.extra.insert(key, self.notes.into());
        }
        let alert = Alert {
            source: self.source.to_owned(),
            status: self.status,
            severity: self.severity.or_else(|| Severity::parse(self.labels.get("severity")?)),
            name,
            text,
            fingerprint: basis.fingerprint(),
            labels: self.labels,
            annotations: self.annotations,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            url: self.url,
            extra: self.extra,
        };
        (alert, basis)
    }

    fn clean(&mut self) {
        [&mut self.name, &mut self.text, &mut self.url].into_iter().flatten().for_each(words::clean);
        words::clean_pairs(&mut self.labels);
        words::clean_pairs(&mut self.annotations);
        let mut extra = Value::Object(std::mem::take(&mut self.extra));
        words::clean_json(&mut extra);
        if let Value::Object(extra) = extra {
            self.extra = extra;
        }
    }

    fn cut(&mut self, what: &str, text: String) -> String {
        if text.len() <= MAX_TEXT {
            return text;
        }
        let kept = words::cut(&text, MAX_TEXT).trim_end();
        self.notes.push(format!("{what} had {} bytes; the first {} were kept", text.len(), kept.len()));
        kept.to_owned()
    }
}

/// The text of an alert whose sender gave none, such as an acknowledgement.
fn describe(source: &str, status: Status, labels: &BTreeMap<String, String>) -> String {
    let mut text = format!("{source} alert, {status}");
    for (name, value) in labels.iter().take(8) {
        text.push_str(&format!(", {}={}", words::cut(name, 64), words::cut(value, 128)));
    }
    text
}

impl Alert {
    /// The text by which runbooks are searched: the name, where there is one, the text and the `description`, each
    /// once and on lines of its own.
    ///
    /// Labels, links, ids and times are left out: they say where and when, and a runbook is about what. An
    /// `alertname` is the strongest word of all, so it comes first.
    pub fn query_text(&self) -> String {
        let mut parts: Vec<&str> = Vec::new();
        let description = self.annotations.get("description").map(String::as_str);
        for part in [self.name.as_deref(), Some(self.text.as_str()), description].into_iter().flatten().map(str::trim) {
            if !part.is_empty() && !parts.contains(&part) {
                parts.push(part);
            }
        }
        parts.join("\n")
    }

    /// One line for a list or a page: the severity, the status where it is not firing, the name, and the first line of
    /// the text without its own marks.
    pub fn headline(&self) -> String {
        let line = marker::read(words::first_line(&self.text)).rest;
        let mut headline = String::new();
        if let Some(severity) = self.severity {
            headline.push_str(&format!("[{severity}] "));
        }
        if self.status != Status::Firing {
            headline.push_str(&format!("[{}] ", self.status));
        }
        if let Some(name) = self.name.as_deref().map(words::first_line).filter(|name| !line.contains(name)) {
            headline.push_str(&format!("{name}: "));
        }
        headline.push_str(line);
        if headline.len() > MAX_HEADLINE {
            headline.truncate(headline.floor_char_boundary(MAX_HEADLINE - '…'.len_utf8()));
            headline.push('…');
        }
        headline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(name: Option<&str>, text: &str) -> Draft {
        Draft { name: name.map(Into::into), text: Some(text.into()), ..Draft::new("generic") }
    }

    #[test]
    fn a_name_is_a_label_and_an_alertname_label_is_the_name() {
        let named = draft(Some("Disk"), "full").finish();
        assert_eq!((named.name.as_deref(), named.labels["alertname"].as_str()), (Some("Disk"), "Disk"));
        let mut labelled = draft(Some("the disk of pg01"), "full");
        labelled.labels.insert("alertname".into(), "Disk".into());
        let labelled = labelled.finish();
        assert_eq!(labelled.fingerprint, named.fingerprint);
        assert_eq!(labelled.annotations["name"], "the disk of pg01", "the other name is not lost");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let alert = draft(None, &"ä".repeat(MAX_TEXT)).finish();
        assert_eq!(alert.text.len(), MAX_TEXT);
        let odd = draft(None, &format!("x{}", "ä".repeat(MAX_TEXT))).finish();
        assert_eq!(odd.text.len(), MAX_TEXT - 1);
        assert_eq!(odd.extra["_notes"][0], "the text had 16385 bytes; the first 8191 were kept");
    }

    #[test]
    fn a_note_does_not_replace_a_key_of_the_payload() {
        let mut long = draft(None, &"x".repeat(MAX_TEXT + 1));
        long.extra.insert("_notes".into(), "mine".into());
        let alert = long.finish();
        assert_eq!(alert.extra["_notes"], "mine");
        assert!(alert.extra["_notes_"].is_array());
    }

    #[test]
    fn a_query_says_each_thing_once() {
        let mut alert = draft(Some("PoolExhausted"), "16 clients wait").finish();
        assert_eq!(alert.query_text(), "PoolExhausted\n16 clients wait");
        alert.annotations.insert("description".into(), "cl_waiting=16".into());
        assert_eq!(alert.query_text(), "PoolExhausted\n16 clients wait\ncl_waiting=16");
        assert_eq!(draft(Some("PoolExhausted"), "").finish().query_text(), "PoolExhausted");
    }

    #[test]
    fn a_headline_is_one_short_line() {
        let mut alert = draft(Some("PoolExhausted"), "16 clients wait\nand more").finish();
        assert_eq!(alert.headline(), "PoolExhausted: 16 clients wait");
        alert.severity = Some(Severity::P1);
        assert_eq!(alert.headline(), "[P1] PoolExhausted: 16 clients wait");
        alert.status = Status::Resolved;
        alert.text = "[P1] [RESOLVED] 0 clients wait".into();
        assert_eq!(alert.headline(), "[P1] [resolved] PoolExhausted: 0 clients wait");
        alert.text = "ü".repeat(200);
        assert!(alert.headline().len() <= MAX_HEADLINE && alert.headline().ends_with("ü…"));
        alert.text = "PoolExhausted on shop".into();
        assert_eq!(alert.headline(), "[P1] [resolved] PoolExhausted on shop");
    }
}
