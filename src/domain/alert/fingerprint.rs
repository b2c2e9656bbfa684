//! The one rule by which two messages are of the same alert.
//!
//! 1. The sender's **correlation key**, where the format carries one: Alertmanager's and Grafana's `fingerprint`,
//!    PagerDuty's `dedup_key` or `incident_key`, Opsgenie's `alias`, Datadog's `aggreg_key` with the scope, CloudWatch's
//!    `AlarmArn`, Zabbix's trigger id, Nagios' host and service, `fingerprint` or `dedup_key` of a generic payload.
//!    16 hexadecimal digits are taken as they are, anything else is hashed. So a resolution always meets its trigger,
//!    and an alert that passes from one system to the next under its key stays one alert.
//! 2. Without a key, the **labels**, by Prometheus's own rule, so that a payload with the same labels has the
//!    fingerprint that Alertmanager gives it.
//! 3. Labels without an `alertname` say where, not what. Then the **story** counts too: the first line of the text,
//!    without leading marks (`[FIRING:1]`, `CRITICAL:`) and with its numbers blanked, so that `16 clients wait` and
//!    `21 clients wait` are the same alert and so is `[RESOLVED] 0 clients wait`. Numbers within words (`pg01`) and IP
//!    addresses count. Whoever needs `node 3` told from `node 4` sends a label or a key.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{marker, words};

use crate::fnv::Fnv;

/// The name under which the story is hashed beside the labels; Prometheus reserves names with two underscores.
const STORY: &str = "__story__";

fn hex(hash: Fnv) -> String {
    format!("{:016x}", hash.value())
}

/// What a fingerprint is made from: which of the rules applied, and to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The sender's correlation key.
    Key(String),
    /// The labels, all of them.
    Labels(BTreeMap<String, String>),
    /// The labels, which have no `alertname`, and the first line of the text without its numbers.
    LabelsAndStory {
        /// The labels.
        labels: BTreeMap<String, String>,
        /// The line.
        story: String,
    },
}

impl Basis {
    /// By which rule an alert with this key, these labels and this text has its fingerprint.
    pub(super) fn of(key: Option<&str>, labels: &BTreeMap<String, String>, text: &str) -> Self {
        match key.map(str::trim).filter(|key| !key.is_empty()) {
            Some(key) => Self::Key(key.to_owned()),
            None if labels.contains_key("alertname") => Self::Labels(labels.clone()),
            None => Self::LabelsAndStory { labels: labels.clone(), story: story(text) },
        }
    }

    /// The fingerprint: 16 small hexadecimal digits.
    pub(super) fn fingerprint(&self) -> String {
        match self {
            Self::Key(key) if is_fingerprint(key) => key.to_ascii_lowercase(),
            Self::Key(key) => hex(Fnv::EMPTY.bytes(key.as_bytes())),
            Self::Labels(labels) => of_labels(labels.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
            Self::LabelsAndStory { labels, story } => {
                let mut all: BTreeMap<&str, &str> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                all.insert(STORY, story);
                of_labels(all.into_iter())
            }
        }
    }
}

/// Whether `key` is a fingerprint already.
pub(super) fn is_fingerprint(key: &str) -> bool {
    key.len() == 16 && key.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Prometheus's fingerprint of a label set: over each name, 0xff, value, 0xff, in the order of the names.
fn of_labels<'a>(sorted: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    hex(sorted.fold(Fnv::EMPTY, |hash, (name, value)| {
        hash.bytes(name.as_bytes()).byte(0xff).bytes(value.as_bytes()).byte(0xff)
    }))
}

/// The first line of a text, without what differs between two messages about the same thing.
fn story(text: &str) -> String {
    let line = marker::read(words::first_line(text)).rest;
    let mut story = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        // A word goes on to the next space or bracket; `=` and `:` part a name from its number.
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | '%' | ',');
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        if end == 0 {
            if !(first.is_whitespace() && story.ends_with(' ')) {
                story.push(if first.is_whitespace() { ' ' } else { first });
            }
            rest = &rest[first.len_utf8()..];
        } else {
            let token = &rest[..end];
            story.push_str(if is_number(token) { "#" } else { token });
            rest = &rest[end..];
        }
    }
    story.trim().to_lowercase()
}

/// Whether a word is a number, perhaps with a sign and a unit (`94.7%`, `24x`, `-3`, `1,234ms`, `2026-11-20`) or a
/// date with its `T`; `4xx` is a class of status codes and an IP address a name.
fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-', '.']).trim_end_matches(['.', ',']);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.ends_with("xx") {
        return false;
    }
    let unit =
        digits.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '/' | '+' | 'T'));
    let dots = digits.bytes().filter(|b| *b == b'.').count();
    dots < 3 && unit.chars().count() <= 4 && !unit.contains(['_', '-', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: Option<&str>, labels: &BTreeMap<String, String>, text: &str) -> String {
        Basis::of(key, labels, text).fingerprint()
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn a_label_set_has_the_fingerprint_that_alertmanager_gave_it() {
        // Recorded from Alertmanager 0.25.
        let pod = |pod, severity| {
            labels(&[
                ("alertname", "HighCheckoutLatency"),
                ("database", "shop"),
                ("pod", pod),
                ("service", "checkout"),
                ("severity", severity),
            ])
        };
        assert_eq!(of(None, &pod("checkout-1", "warning"), ""), "6c89341a8e284d70");
        assert_eq!(of(None, &pod("checkout-2", "critical"), ""), "9e2beece49c52ad4");
    }

    #[test]
    fn a_key_of_16_digits_is_kept_and_any_other_is_hashed() {
        let none = BTreeMap::new();
        assert_eq!(of(Some("3AEB795BCB356E22"), &none, "x"), "3aeb795bcb356e22");
        // The hash of "foobar" in the test vectors of draft-eastlake-fnv.
        assert_eq!(of(Some("foobar"), &none, "x"), "85944171f73967e8");
        assert_eq!(of(Some(" foobar "), &labels(&[("a", "b")]), "y"), "85944171f73967e8");
        assert_eq!(of(Some("  "), &none, "x"), of(None, &none, "x"), "a blank key is none");
    }

    #[test]
    fn a_repeat_with_other_numbers_is_the_same_story() {
        for (one, two) in [
            (
                "Connection pool exhaustion: pool_size=50, active=198",
                "Connection pool exhaustion: pool_size=50, active=201",
            ),
            ("WAL volume at 94.7%", "WAL volume at 95%"),
            ("p95 latency 24x the baseline", "P95 latency  31x the baseline"),
            ("2026-11-20T08:18:45Z disk full", "2026-11-21T09:00:01Z disk full"),
            ("[FIRING:1] 16 clients wait", "[RESOLVED] 0 clients wait"),
            ("CRITICAL: 16 clients wait", "OK - 0 clients wait"),
            ("disk full\nsince 8 o'clock", "disk full\nand the other one too"),
        ] {
            assert_eq!(story(one), story(two));
        }
    }

    #[test]
    fn another_machine_another_code_or_another_word_is_another_story() {
        for (one, two) in [
            ("pg01 is down", "pg02 is down"),
            ("db-01 is down", "db-02 is down"),
            ("10.0.0.5 is down", "10.0.0.6 is down"),
            ("4xx rate is high", "5xx rate is high"),
            ("the disk is full", "the pool is full"),
            ("p95 latency", "p99 latency"),
        ] {
            assert_ne!(story(one), story(two));
        }
    }

    #[test]
    fn without_a_name_the_text_tells_alerts_of_one_host_apart() {
        let host = labels(&[("host", "pgb01")]);
        assert_ne!(of(None, &host, "the disk is full"), of(None, &host, "the pool is full"));
        assert_ne!(of(None, &host, "the disk is full"), of(None, &BTreeMap::new(), "the disk is full"));
        let named = labels(&[("alertname", "Disk"), ("host", "pgb01")]);
        assert_eq!(of(None, &named, "it is full"), of(None, &named, "it is fuller"));
    }
}
