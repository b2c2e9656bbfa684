//! Takes secrets out of text before a model or the journal sees it.
//!
//! A table of *heads* says how a secret begins (`password=`, `AKIA…`, `postgres://user:`); one pass of one expression
//! finds them, and a few lines of Rust say how far each secret reaches, and what stands there and is none. Every head
//! has a bounded length and whatever follows it is read forward once; what is left is read again, a few times at most.
//! So the time is linear in the text, whatever the text is. What was removed is shown nowhere: only its kind stays, as
//! in `[redacted: password]`.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

mod harmless;
mod heads;
mod json;
mod reach;
#[cfg(test)]
mod tests;

pub use json::redact_json;

use harmless::is_placeholder;
use heads::{EXPRESSION, HEADS, MARKER_PATTERN, MARKER_START, Reach, SECRET_NAMES};
use reach::{reached, run, run_of};

/// Text without secrets.
///
/// Only [`redact`] and [`redact_named`] make one, so a function that takes it cannot be given raw text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redacted(String);

impl Redacted {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// At most `bytes` bytes of it; what was cut is said at its end, where there is room to say it.
    ///
    /// It cuts after redaction and not before, so that half a secret is never left standing unrecognised.
    pub fn cut(&self, bytes: usize) -> Self {
        const NOTE: &str = " [cut]";
        if self.0.len() <= bytes {
            return self.clone();
        }
        let (room, note) = if bytes > 4 * NOTE.len() { (bytes - NOTE.len(), NOTE) } else { (bytes, "") };
        let end = self.0.floor_char_boundary(room);
        Self(format!("{}{note}", &self.0[..end]))
    }
}

/// `text` with every secret replaced by `[redacted: kind]`.
///
/// Doing it twice changes nothing. When in doubt it removes: a password may hold any character, so an unquoted value
/// reaches to the next space, quote, or separator with another key behind it.
pub fn redact(text: &str) -> Redacted {
    static MARKER: LazyLock<Regex> = LazyLock::new(|| Regex::new(MARKER_PATTERN).expect("the marker compiles"));
    let mut clean = String::with_capacity(text.len());
    let mut done = 0;
    for marker in MARKER.find_iter(text) {
        settle(&text[done..marker.start()], PASSES, &mut clean);
        clean.push_str(marker.as_str());
        done = marker.end();
    }
    settle(&text[done..], PASSES, &mut clean);
    Redacted(clean)
}

/// How often the pieces of a text are read again. Two do for any text that was not made to need more.
const PASSES: usize = 6;

/// Adds `piece` to `clean`, without its secrets.
///
/// A marker is a wall: what stands between two of them is read again by itself, until nothing more is found in it. So
/// no secret hides in the head of another, and the pieces of a clean text are exactly those that were found clean.
/// That is why redacting twice changes nothing, whatever the table of heads says.
fn settle(piece: &str, passes: usize, clean: &mut String) {
    let found = secrets(piece);
    if !found.is_empty() && passes == 0 {
        return mark("tangled text", clean);
    }
    let mut done = 0;
    for Secret { start, end, kind } in found {
        settle(&piece[done..start], passes - 1, clean);
        mark(kind, clean);
        done = end;
    }
    if done == 0 {
        clean.push_str(piece);
    } else {
        settle(&piece[done..], passes - 1, clean);
    }
}

fn mark(kind: &str, clean: &mut String) {
    clean.push_str(MARKER_START);
    clean.push_str(kind);
    clean.push(']');
}

/// Where a secret lies in a text, and of what kind it is.
struct Secret {
    start: usize,
    end: usize,
    kind: &'static str,
}

/// The secrets of `text`, in one pass over it: none overlaps another.
fn secrets(text: &str) -> Vec<Secret> {
    static FINDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(&EXPRESSION).expect("the table of heads compiles"));
    let mut secrets: Vec<Secret> = Vec::new();
    let mut at = 0; // where to look on
    let mut blocks = 0; // the end of the last key block
    while let Some(found) = FINDER.captures_at(text, at) {
        let whole = found.get(0).expect("a match has a whole");
        let head = (0..HEADS.len()).find(|&i| found.get(i + 1).is_some()).map(|i| &HEADS[i]);
        let head = head.expect("a match is a match of one head");
        // Another head may lie within this one, as in `curl -H 'Authorization: …' -u user:`, or at the end of what it
        // reached, as in `private_key: -----BEGIN …`.
        let first = run(whole.as_str(), b"").max(run_of(whole.as_str(), b"-")).max(1);
        at = text.ceil_char_boundary(whole.start() + first);
        let floor = secrets.last().map_or(0, |last| last.end);
        // What lies inside of a secret goes with it, but a key block goes on behind the line that the secret ends with.
        // One read of a block is enough, or a text of nothing but BEGIN lines would be read again from each.
        let block = matches!(head.reach, Reach::Block) && whole.start() >= blocks;
        let inside = whole.end() < floor && !block;
        if whole.start() < floor && (inside || head.reach.is_backward()) {
            continue;
        }
        let Some((start, end)) = reached(text, &head.reach, whole.start(), whole.end(), floor) else { continue };
        if block {
            blocks = end;
        }
        match secrets.last_mut() {
            Some(last) if start < last.end => last.end = last.end.max(end),
            _ => secrets.push(Secret { start, end, kind: head.kind }),
        }
    }
    secrets
}

/// The value of a label or a setting: removed whole when `name` is that of a secret, else redacted as any text is.
pub fn redact_named(name: &str, value: &str) -> Redacted {
    if is_secret_name(name) && !is_placeholder(value.trim()) {
        return Redacted(BY_NAME.to_owned());
    }
    redact(value)
}

/// What stands for a value that was removed for its name, whatever it was.
const BY_NAME: &str = "[redacted: by name]";

fn is_secret_name(name: &str) -> bool {
    static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(&SECRET_NAMES).expect("the secret names compile"));
    NAME.is_match(name)
}
