//! Takes secrets out of text before a model or the journal sees it.
//!
//! A table of *heads* says how a secret begins (`password=`, `AKIA…`, `postgres://user:`); one pass of one expression
//! finds them, and a few lines of Rust say how far each secret reaches. Every head has a bounded length and whatever
//! follows it is read forward once, so the time is linear in the text, whatever the text is. What was removed is shown
//! nowhere: only its kind stays, as in `[redacted: password]`.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

mod heads;
mod json;
#[cfg(test)]
mod tests;

pub use json::redact_json;

use heads::{EXPRESSION, HEADS, MARKER_START, Reach, SECRET_NAMES};

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
    static FINDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(&EXPRESSION).expect("the table of heads compiles"));
    let mut clean = String::with_capacity(text.len());
    let mut done = 0; // everything before it is in `clean`
    let mut at = 0; // where to look on
    while let Some(found) = FINDER.captures_at(text, at) {
        let whole = found.get(0).expect("a match has a whole");
        let head = (0..HEADS.len()).find(|&i| found.get(i + 1).is_some()).map(|i| &HEADS[i]);
        let head = head.expect("a match is a match of one head");
        match secret(text, &head.reach, whole.start(), whole.end(), at) {
            Some((start, end)) => {
                clean.push_str(&text[done..start]);
                clean.push_str(MARKER_START);
                clean.push_str(head.kind);
                clean.push(']');
                done = end;
                at = end;
            }
            None => at = whole.end(),
        }
    }
    clean.push_str(&text[done..]);
    Redacted(clean)
}

/// The value of a label or a setting: removed whole when `name` is that of a secret, else redacted as any text is.
pub fn redact_named(name: &str, value: &str) -> Redacted {
    static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(&SECRET_NAMES).expect("the secret names compile"));
    if NAME.is_match(name) && !is_placeholder(value.trim()) {
        return Redacted(format!("{MARKER_START}by name]"));
    }
    redact(value)
}

/// Where the secret lies whose head is `start..end`, if there is one; `floor` is the end of what was found before.
fn secret(text: &str, reach: &Reach, start: usize, end: usize, floor: usize) -> Option<(usize, usize)> {
    let rest = &text[end..];
    let after = |length: usize| (length > 0).then_some((end, end + length));
    match reach {
        Reach::Nothing => None,
        Reach::Itself { more } => Some((start, end + run(rest, more))),
        Reach::Inside { before, behind } => Some((start + before, end - behind)),
        // `token::text` is a cast.
        Reach::Value if text[..end].ends_with(':') && rest.starts_with(':') => None,
        Reach::Value => value(rest).map(|(from, to)| (end + from, end + to)),
        Reach::Quoted => {
            let quote = text.as_bytes()[end - 1];
            after(quoted(rest, quote))
        }
        Reach::Dollar => {
            let tag = &text[start..end][text[start..end].find('$')?..];
            after(rest.find(tag).unwrap_or(rest.len()))
        }
        Reach::Line => {
            let length = rest.find(['\n', '\r', '"', '\'', '\\']).unwrap_or(rest.len());
            after(rest[..length].trim_end().len())
        }
        Reach::LongWord { least } => {
            let length = run(rest, b"+/_-.~");
            let word = &rest.as_bytes()[..length];
            let random = word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic);
            // A path is no key, though its letters are those of base64.
            after(if length >= *least && random && word[0] != b'/' {
                length + run_of(&rest[length..], b"=")
            } else {
                0
            })
        }
        Reach::UserInfo => after(password_of_url(rest)),
        Reach::LocalPart => local_part(text, start, floor).map(|from| (from, end)),
        Reach::BeforeAt => {
            let from = back(text, start, floor, 256, |b| !b.is_ascii_whitespace() && !b"\"'`()<>".contains(&b));
            let colon = from + text[from..start].find(':')? + 1;
            (colon < start).then_some((colon, start))
        }
        Reach::Block => Some((start, end + block(rest))),
    }
}

/// The length of the run of letters, digits and `more`.
fn run(text: &str, more: &[u8]) -> usize {
    let inside = |b: &u8| b.is_ascii_alphanumeric() || more.contains(b);
    text.bytes().position(|b| !inside(&b)).unwrap_or(text.len())
}

/// The length of the run of `these`.
fn run_of(text: &str, these: &[u8]) -> usize {
    text.bytes().position(|b| !these.contains(&b)).unwrap_or(text.len())
}

/// The length of a marker that stands at the start: what an earlier pass left must be taken as the value it replaced.
fn marker(text: &str) -> usize {
    if !text.starts_with(MARKER_START) {
        return 0;
    }
    let kind = run(&text[MARKER_START.len()..], b" -");
    let end = MARKER_START.len() + kind;
    if text[end..].starts_with(']') { end + 1 } else { 0 }
}

/// The value after `key=`: within quotes, if it starts with one (plain or escaped, as in JSON within JSON), else bare.
fn value(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let slashes = run_of(text, b"\\");
    let quote = bytes.get(slashes).copied().filter(|b| b"\"'`".contains(b));
    let (from, to) = match quote {
        Some(quote) if slashes == 0 => (1, 1 + quoted(&text[1..], quote)),
        Some(_) => {
            let open = &text[..=slashes];
            let body = &text[open.len()..];
            let line = body.find('\n').unwrap_or(body.len());
            // The closing quote carries as many slashes as the opening one; with more it belongs to the value.
            let close = body[..line].match_indices(open).find(|(i, _)| !body[..*i].ends_with('\\'));
            (open.len(), open.len() + close.map_or(line, |(i, _)| i))
        }
        None => (0, bare(text)),
    };
    (to > from && !is_placeholder(&text[from..to])).then_some((from, to))
}

/// The length of a quoted value, whose opening quote is behind us. One that is never closed reaches to the line's end.
fn quoted(text: &str, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() && bytes[i] != b'\n' {
        match bytes[i] {
            b'\\' if i + 1 < bytes.len() && bytes[i + 1] != b'\n' => i += 2,
            b if b == quote && doubled(&bytes[i + 1..], quote, i) => i += 2,
            b if b == quote => return i,
            _ => i += 1,
        }
    }
    // A slash may have stepped into the middle of a character.
    text.floor_char_boundary(i)
}

/// Whether a quote is SQL's way to write one within quotes, given what follows it; an empty value is not.
fn doubled(after: &[u8], quote: u8, at: usize) -> bool {
    let empty = || after.get(1).is_none_or(|b| b.is_ascii_whitespace() || b",;)]}&".contains(b));
    after.first() == Some(&quote) && (at > 0 || !empty())
}

/// The length of an unquoted value.
fn bare(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut i = marker(text);
    while i < bytes.len() {
        let next = bytes.get(i + 1).copied().unwrap_or(b' ');
        let ends = match bytes[i] {
            b if b.is_ascii_whitespace() => true,
            b'"' | b'\'' | b'`' | b'<' | b'>' => true,
            b'\\' => b"nrt\"'\\".contains(&next),
            b',' | b';' | b'&' => next.is_ascii_whitespace() || another_key(&text[i + 1..]),
            b')' | b']' | b'}' => next.is_ascii_whitespace() || b",;)]}\"'".contains(&next),
            _ => false,
        };
        if ends {
            break;
        }
        i += 1;
    }
    i
}

/// Whether `key=` or `key:` follows, so that the separator before it really was one. Keys of over 40 bytes are none.
fn another_key(text: &str) -> bool {
    let text = text.trim_start_matches(['"', '\'']);
    let key = run(&text[..text.floor_char_boundary(40)], b"_.-");
    key > 0 && text[key..].trim_start_matches(['"', '\'']).starts_with(['=', ':'])
}

/// Whether this stands for a value and is none: a parameter (`$1`, `?`, `%s`), a mask, a NULL. Query texts are full of
/// them.
fn is_placeholder(value: &str) -> bool {
    let parameter = value.strip_prefix('$').is_some_and(|rest| {
        let digits = run_of(rest, b"0123456789");
        let after = &rest[digits..];
        (1..=5).contains(&digits) && (after.is_empty() || after.starts_with([')', ';']) || after.starts_with("::"))
    });
    let known = matches!(value, "" | "?" | "%s" | "," | ")" | "''" | "\"\"") || value.eq_ignore_ascii_case("null");
    parameter || known || value.bytes().all(|b| b == b'*')
}

/// The length of the password after `scheme://user:`, 0 if it is a port.
fn password_of_url(text: &str) -> usize {
    let already = marker(text);
    if already > 0 && text[already..].starts_with('@') {
        return already;
    }
    // A URL's password is short; the bound keeps a text of nothing but URLs linear.
    let window = &text[..text.floor_char_boundary(256)];
    let token = &window[..window.find([' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>']).unwrap_or(window.len())];
    let authority = &token[..token.find(['/', '?', '#']).unwrap_or(token.len())];
    if let Some(at) = authority.rfind('@') {
        return at;
    }
    // By the standard a slash ends the authority; people write passwords with slashes all the same. A port has digits
    // only.
    let port = authority.bytes().all(|b| b.is_ascii_digit());
    if port { 0 } else { token.rfind('@').unwrap_or(0) }
}

/// Where the local part of an e-mail address starts whose `@` is at `at`; none for the user of a URL, `//user@host`.
fn local_part(text: &str, at: usize, floor: usize) -> Option<usize> {
    let from = back(text, at, floor, 64, |b| b.is_ascii_alphanumeric() || b"._%+-".contains(&b));
    (from < at && !text[..from].ends_with("//")).then_some(from)
}

/// The start of the run of bytes that ends before `at`, not before `floor` and at most `most` bytes back.
fn back(text: &str, at: usize, floor: usize, most: usize, inside: fn(u8) -> bool) -> usize {
    let length = text.as_bytes()[floor..at].iter().rev().take(most).take_while(|b| inside(**b)).count();
    text.ceil_char_boundary(at - length)
}

/// The length of a key block after its BEGIN line: to the END line, or, where that was cut off, while it looks like
/// one.
fn block(text: &str) -> usize {
    let window = &text[..text.floor_char_boundary(8192)];
    match window.find("-----END ") {
        Some(end) => {
            let line = &window[end + 9..];
            end + 9 + line.find("-----").filter(|i| *i <= 60).map_or(0, |i| i + 5)
        }
        None => run(window, b"+/=\r\n\\:,- "),
    }
}
