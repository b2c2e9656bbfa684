//! What stands where a secret could and is none.
//!
//! Closed lists of whole words and shapes, so that only a password which is one of them can slip through.

use super::reach::{run, run_of};

/// Whether this stands for a value and is none: a parameter (`$1`, `?`, `%s`), a mask, a NULL, a state, a variable, the
/// path of a file. Query texts are full of them.
pub(super) fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 16] = [
        "null",
        "none",
        "nil",
        "undefined",
        "unset",
        "empty",
        "true",
        "false",
        "expired",
        "missing",
        "required",
        "revoked",
        "invalid",
        "''",
        "\"\"",
        "",
    ];
    let known = matches!(value, "?" | "%s" | "," | ")") || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word));
    known || is_parameter(value) || is_variable(value) || is_file(value) || value.bytes().all(|b| b == b'*')
}

/// `$1`, also with a cast behind it or at the end of a list.
fn is_parameter(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('$') else { return false };
    let digits = run_of(rest, b"0123456789");
    let after = rest[digits..].trim_start_matches([')', ';']);
    let cast = after.strip_prefix("::").is_some_and(|name| run(name, b"_.[]()\"") == name.len());
    (1..=5).contains(&digits) && (after.is_empty() || cast)
}

/// `${name}`, or `$NAME_OF_IT`: a password with a dollar has not the looks of a constant.
fn is_variable(value: &str) -> bool {
    let Some(name) = value.strip_prefix('$') else { return false };
    if let Some(braced) = name.strip_prefix('{') {
        return braced.strip_suffix('}').is_some_and(|name| !name.is_empty() && run(name, b"_") == name.len());
    }
    name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && name.trim_matches('_').contains('_')
}

/// The path of a file of keys. Its ending is asked for, since base64 may well start with a slash but holds no dot.
fn is_file(value: &str) -> bool {
    const ENDINGS: [&str; 9] = [".json", ".pem", ".key", ".crt", ".p12", ".yml", ".yaml", ".conf", ".cnf"];
    let path = value.strip_prefix("file://").unwrap_or(value);
    (path.len() < value.len() || path.starts_with(['/', '~']) || path.starts_with("./"))
        && run(path, b"/._-*~") == path.len()
        && ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// Whether what follows the name of a secret tells of it in words: as a sentence or an error goes on after a colon,
/// or in one of two phrases that look like an assignment.
pub(super) fn is_told(before: &str, head: &str, after: &str) -> bool {
    let follows = |words: &[&str]| words.iter().any(|word| before.ends_with(word));
    let quote = if after.starts_with('`') { "`" } else { "" };
    let (word, rest) = after[quote.len()..].split_at(run(&after[quote.len()..], b"_.-"));
    let rest = rest.strip_prefix(quote).unwrap_or("?").trim_start_matches([',', ';', ')']);
    let ends = rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']);
    let made_of =
        |more: &[u8]| !word.is_empty() && ends && word.bytes().all(|b| b.is_ascii_lowercase() || more.contains(&b));
    // `CREATE USER … IDENTIFIED BY` has no verb before it, and a word of a sentence no digits in it.
    let identified = head.ends_with("by ")
        && follows(&["is ", "are ", "be ", "been ", "was ", "were ", "uniquely ", "primarily "])
        && made_of(b"_.");
    // The names of Kubernetes' secrets, as `kubectl describe` lists them.
    let listed = follows(&["Image pull ", "Mountable "]) && made_of(b"0123456789.-");
    identified || listed || ((head.ends_with(": ") || head.ends_with("by ")) && is_prose(after))
}

/// Whether the text after `name: ` goes on as a sentence or as an error: one of these words, and another word on the
/// same line, as in `error getting credentials: exit status 1`; or a size, as in `password: 16 bytes`.
fn is_prose(text: &str) -> bool {
    const WORDS: [&str; 62] = [
        "the",
        "a",
        "an",
        "it",
        "its",
        "this",
        "that",
        "these",
        "is",
        "are",
        "was",
        "were",
        "has",
        "have",
        "not",
        "no",
        "must",
        "should",
        "can",
        "cannot",
        "could",
        "will",
        "for",
        "from",
        "in",
        "on",
        "of",
        "to",
        "and",
        "or",
        "see",
        "exit",
        "error",
        "failed",
        "failure",
        "unable",
        "unexpected",
        "permission",
        "connection",
        "context",
        "access",
        "authentication",
        "authorization",
        "unauthorized",
        "forbidden",
        "timed",
        "timeout",
        "dial",
        "rpc",
        "open",
        "lookup",
        "read",
        "write",
        "http",
        "status",
        "signature",
        "invalid",
        "expired",
        "missing",
        "certificate",
        "unknown",
        "does",
    ];
    let word = &text[..run(text, b"")];
    let next = text[word.len()..].strip_prefix(' ').unwrap_or("");
    let counted = run_of(word, b"0123456789") == word.len() && !word.is_empty();
    if counted {
        return next.starts_with("bytes");
    }
    next.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '"')
        && WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}
