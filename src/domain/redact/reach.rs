//! How far a secret reaches, once its head is found.
//!
//! Everything here reads forward from the head, or a bounded way back from it.

use super::harmless::{is_placeholder, is_told};
use super::heads::Reach;

/// Where the secret lies whose head is `start..end`, if there is one; `floor` is the end of the one before.
pub(super) fn reached(text: &str, reach: &Reach, start: usize, end: usize, floor: usize) -> Option<(usize, usize)> {
    let rest = &text[end..];
    let after = |length: usize| (length > 0).then_some((end, end + length));
    match reach {
        Reach::Itself { more } => Some((start, end + run(rest, more))),
        Reach::Inside { before, behind } => Some((start + before, end - behind)),
        // `token::text` is a cast.
        Reach::Value if text[..end].ends_with(':') && rest.starts_with(':') => None,
        // `--password --port=5432`: asked for, not given.
        Reach::Value if text[start..].starts_with("--") && rest.starts_with("--") => None,
        Reach::Value if is_told(&text[..start], &text[start..end], rest) => None,
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
        Reach::LocalPart => {
            let from = local_part(text, start, floor)?;
            (!is_login(&text[floor..from], &text[from..start], rest)).then_some((from, end))
        }
        Reach::BeforeAt => {
            let from = back(text, start, floor, 256, |b| !b.is_ascii_whitespace() && !b"\"'`()<>".contains(&b));
            let colon = from + text[from..start].find(':')? + 1;
            (colon < start).then_some((colon, start))
        }
        // The line alone is no key: a runbook says what to look for.
        Reach::Block => Some(block(rest)).filter(|length| *length > 0).map(|length| (start, end + length)),
    }
}

/// The length of the run of letters, digits and `more`.
pub(super) fn run(text: &str, more: &[u8]) -> usize {
    let inside = |b: &u8| b.is_ascii_alphanumeric() || more.contains(b);
    text.bytes().position(|b| !inside(&b)).unwrap_or(text.len())
}

/// The length of the run of `these`.
pub(super) fn run_of(text: &str, these: &[u8]) -> usize {
    text.bytes().position(|b| !these.contains(&b)).unwrap_or(text.len())
}

/// The value after `key=`: within quotes, if it starts with one (plain or escaped, as in JSON within JSON), a list or
/// an object of such, else bare.
fn value(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let slashes = run_of(text, b"\\");
    let quote = bytes.get(slashes).copied().filter(|b| b"\"'`".contains(b));
    let (from, to) = match quote {
        Some(quote) if slashes == 0 => (1, 1 + quoted(&text[1..], quote)),
        Some(_) => {
            let open = &text[..=slashes];
            (open.len(), open.len() + escaped(&text[open.len()..], open))
        }
        None => (0, nested(text).unwrap_or_else(|| bare(text))),
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

/// The length of a value within escaped quotes, whose opening one, `open`, is behind us.
fn escaped(text: &str, open: &str) -> usize {
    let mut i = 0;
    // Read no further than to the close: the rest may hold a thousand more of these.
    while let Some(next) = text[i..].find(['\\', '\n']) {
        let slashes = run_of(&text[i + next..], b"\\");
        // The closing quote carries as many slashes as the opening one; with more it belongs to the value.
        if slashes == 0 || (slashes + 1 == open.len() && text[i + next..].starts_with(open)) {
            return i + next;
        }
        i += next + slashes;
    }
    text.len()
}

/// The length of a list or an object in JSON whose first item is in quotes; to the line's end when it is not closed.
fn nested(text: &str) -> Option<usize> {
    let first = text.strip_prefix(['[', '{'])?.trim_start_matches([' ', '\t', '\r', '\n', '\\']);
    if !first.starts_with(['"', '\'']) {
        return None;
    }
    let mut depth = 0;
    let mut i = 0;
    // A list of secrets is short; the bound keeps a text of nothing but opened ones linear.
    let window = &text.as_bytes()[..text.len().min(1024)];
    while i < window.len() {
        match window[i] {
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 1 => return Some(i + 1),
            b']' | b'}' => depth -= 1,
            quote @ (b'"' | b'\'') if window[i - 1] != b'\\' => i += 1 + quoted(&text[i + 1..], quote),
            _ => {}
        }
        i += 1;
    }
    Some(text.find('\n').unwrap_or(text.len()))
}

/// Whether a quote is SQL's way to write one within quotes, given what follows it; an empty value is not.
fn doubled(after: &[u8], quote: u8, at: usize) -> bool {
    let empty = || after.get(1).is_none_or(|b| b.is_ascii_whitespace() || b",;)]}&".contains(b));
    after.first() == Some(&quote) && (at > 0 || !empty())
}

/// The length of an unquoted value.
fn bare(text: &str) -> usize {
    let bytes = text.as_bytes();
    // The brace that closes `${name}` belongs to it.
    let name = text.strip_prefix("${").map_or(0, |name| 2 + run(name, b"_"));
    let mut i = if text[name..].starts_with('}') && name > 2 { name + 1 } else { 0 };
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

/// The length of the password after `scheme://user:`, 0 if it is a port.
fn password_of_url(text: &str) -> usize {
    // A URL's password is short; the bound keeps a text of nothing but URLs linear.
    let window = &text[..text.floor_char_boundary(256)];
    let window = &window[..window.rfind('@').map_or(0, |at| at + 1)];
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

/// Whether `user@host` is where to log in and not where to write to: a shell's prompt, the source of a copy, an account
/// that is nobody's. The host is what the reader needs.
fn is_login(before: &str, user: &str, after: &str) -> bool {
    // After a colon it may be the end of `user:password@host`.
    let apart = before.is_empty() || before.ends_with([' ', '\t', '\n', '"', '\'', '`', '(', '[']);
    apart
        && (matches!(user, "root" | "git" | "postgres")
            || after.starts_with(":/") && !after.starts_with("://")
            || after.starts_with(":~"))
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
