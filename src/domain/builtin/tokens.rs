//! From text to tokens: words as an operator means them, with identifiers taken apart.
//!
//! Only runs of ASCII letters, digits and `_` count. Nothing is allocated per token: each is handed on in a buffer.

use super::stem::stem;
use super::stop_words::is_stop_word;

const SHORTEST: usize = 2;
const LONGEST: usize = 32;
/// Identifiers longer than this give their parts only: nobody names an alert like that.
const LONGEST_JOINED: usize = 64;

/// Call `visit` with each token of `text`: lower-case stems, and `=joined` forms of identifiers that have parts.
///
/// `KubePodCrashLooping` gives `kube`, `pod`, `crash`, `loop` and `=kubepodcrashlooping`: the parts meet prose, the
/// joined form meets the same identifier elsewhere. The `=` keeps it apart from plain words.
pub fn each_token(text: &str, mut visit: impl FnMut(&[u8])) {
    for run in text.as_bytes().split(|b| !b.is_ascii_alphanumeric() && *b != b'_') {
        let mut joined = [b'='; 1 + LONGEST_JOINED];
        let (mut length, mut parts) = (1, 0);
        for part in Parts(run) {
            parts += 1;
            if length + part.len() <= joined.len() {
                joined[length..length + part.len()].copy_from_slice(part);
            }
            length += part.len();
            visit_word(part, &mut visit);
        }
        if parts > 1 && length <= joined.len() {
            joined.make_ascii_lowercase();
            visit(&joined[..length]);
        }
    }
}

fn visit_word(part: &[u8], visit: &mut impl FnMut(&[u8])) {
    if !(SHORTEST..=LONGEST).contains(&part.len()) {
        return;
    }
    let mut buffer = [0; LONGEST];
    let word = &mut buffer[..part.len()];
    word.copy_from_slice(part);
    word.make_ascii_lowercase();
    if is_stop_word(word) || is_number(word) {
        return;
    }
    let length = stem(word);
    visit(&word[..length]);
}

/// The parts of an identifier: between `_`, and at the borders of CamelCase (`aB`, and `ABc` before the `B`).
struct Parts<'a>(&'a [u8]);

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|&b| b != b'_')?;
        let run = &self.0[start..];
        let end = (1..run.len()).find(|&i| run[i] == b'_' || is_border(run, i)).unwrap_or(run.len());
        let (part, rest) = run.split_at(end);
        self.0 = rest;
        Some(part)
    }
}

fn is_border(run: &[u8], at: usize) -> bool {
    if !run[at].is_ascii_uppercase() {
        return false;
    }
    let before = run[at - 1];
    let after_is_small = run.get(at + 1).is_some_and(u8::is_ascii_lowercase);
    before.is_ascii_lowercase() || before.is_ascii_digit() || before.is_ascii_uppercase() && after_is_small
}

/// Whether a word is a measured value or a made-up name, which no runbook can know: a number, hexadecimal digits (as in
/// `7d9c5b6f4d`), or digits with a unit (as in `5m`, `250ms`).
fn is_number(word: &[u8]) -> bool {
    if !word.iter().any(u8::is_ascii_digit) || is_name_with_digits(word) {
        return false;
    }
    let hex = word.strip_prefix(b"0x").unwrap_or(word);
    let unit = word.iter().position(|b| !b.is_ascii_digit()).map_or(&word[..0], |end| &word[end..]);
    hex.iter().all(u8::is_ascii_hexdigit)
        || unit.len() < word.len() && unit.len() <= 2 && unit.iter().all(u8::is_ascii_lowercase)
}

/// Words with digits that do name something. Percentiles are `p90` to `p99`.
fn is_name_with_digits(word: &[u8]) -> bool {
    const NAMES: [&[u8]; 9] = [b"s3", b"k8s", b"4xx", b"5xx", b"ipv4", b"ipv6", b"v4", b"v6", b"http2"];
    NAMES.contains(&word) || matches!(word, [b'p', b'9', b'0'..=b'9'])
}

/// `text` with its identifiers taken apart by spaces, all else as it stands: `KubePodCrashLooping` becomes
/// `Kube Pod Crash Looping`.
///
/// Neural embedders know the words, but not what CamelCase makes of them: for them it is worth 4 to 8 points.
pub fn split_identifiers(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut split = String::with_capacity(text.len() + text.len() / 8);
    for (at, c) in text.char_indices() {
        if c == '_' {
            split.push(' ');
            continue;
        }
        if at > 0 && bytes[at - 1].is_ascii_alphanumeric() && is_border(bytes, at) {
            split.push(' ');
        }
        split.push(c);
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        each_token(text, |token| all.push(String::from_utf8(token.to_vec()).unwrap()));
        all
    }

    #[test]
    fn an_identifier_gives_its_parts_and_its_joined_form() {
        assert_eq!(tokens("KubePodCrashLooping"), ["kube", "pod", "crash", "loop", "=kubepodcrashlooping"]);
        assert_eq!(tokens("pg_stat_activity"), ["pg", "stat", "activity", "=pgstatactivity"]);
        assert_eq!(tokens("CNPGClusterHAWarning"), ["cnpg", "cluster", "ha", "warn", "=cnpgclusterhawarning"]);
        assert_eq!(tokens("_private_"), ["privat"]);
    }

    #[test]
    fn stop_words_and_single_letters_are_left_out() {
        assert_eq!(tokens("The pool of a DB is at its limit"), ["pool", "db", "limit"]);
    }

    #[test]
    fn measured_values_and_generated_names_are_left_out() {
        assert_eq!(tokens("95 0x1f 7d9c5b6f4d 5m 250ms 10.0.5.44:9100 24h"), Vec::<String>::new());
        assert_eq!(tokens("pool_size=50, active=198"), ["pool", "size", "=poolsize", "activ"]);
    }

    #[test]
    fn names_with_digits_stay() {
        let names = ["s3", "k8s", "4xx", "5xx", "ipv4", "ipv6", "v4", "v6", "http2", "p95", "p99"];
        assert_eq!(tokens(&names.join(" ")), names);
    }

    #[test]
    fn a_word_of_33_letters_and_an_identifier_of_65_are_too_long() {
        assert_eq!(tokens(&format!("{} {}", "x".repeat(32), "x".repeat(33))), ["x".repeat(32)]);
        let part = "x".repeat(32);
        assert_eq!(tokens(&format!("{part}_{part}")).len(), 3);
        assert_eq!(tokens(&format!("{part}_{part}_x")).len(), 2);
    }

    #[test]
    fn letters_outside_ascii_part_words() {
        assert_eq!(tokens("Größe voll"), ["gr", "voll"]);
    }

    #[test]
    fn splitting_identifiers_touches_nothing_else() {
        assert_eq!(
            split_identifiers("KubePodCrashLooping: pg_stat is HTTPServer-2 ü"),
            "Kube Pod Crash Looping: pg stat is HTTP Server-2 ü"
        );
    }
}
