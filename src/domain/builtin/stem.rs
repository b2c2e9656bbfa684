//! A light suffix stemmer for English: it only has to bring together the forms that alerts and runbooks mix.
//!
//! A full Snowball stemmer was measured and found no better: it also merges words that operators keep apart.

/// The length of the stem of `word`, which is changed in place where a stem ends otherwise than the word (`queries`).
///
/// `word` is lower-case ASCII. Only one rule applies, save that a plural's stem may lose its final `e` as well, so that
/// `service` and `services` meet.
pub fn stem(word: &mut [u8]) -> usize {
    let n = word.len();
    if word.ends_with(b"ies") && n >= 5 {
        word[n - 3] = b'y';
        return n - 2;
    }
    if word.ends_with(b"sses") {
        return n - 2;
    }
    if word.ends_with(b"ing") && n >= 6 {
        return undoubled(&word[..n - 3]);
    }
    if word.ends_with(b"ed") && n >= 5 {
        return undoubled(&word[..n - 2]);
    }
    if n >= 5 && [&b"ses"[..], b"xes", b"zes", b"ches", b"shes"].iter().any(|end| word.ends_with(end)) {
        return n - 2;
    }
    if word.ends_with(b"s") && n >= 5 && ![b"ss", b"us", b"is"].iter().any(|end| word.ends_with(*end)) {
        return without_e(&word[..n - 1]);
    }
    without_e(word)
}

/// `runn` is `run`; but `fill`, `pass` and `buzz` are words.
fn undoubled(stem: &[u8]) -> usize {
    match stem {
        [.., a, b] if a == b && !b"lsz".contains(b) => stem.len() - 1,
        _ => stem.len(),
    }
}

/// Words of four letters keep their `e`: `node`, `file`, `time`.
fn without_e(word: &[u8]) -> usize {
    if word.len() >= 5 && word.ends_with(b"e") { word.len() - 1 } else { word.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stemmed(word: &str) -> String {
        let mut bytes = word.as_bytes().to_vec();
        let length = stem(&mut bytes);
        bytes.truncate(length);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_forms_of_a_word_meet() {
        for forms in [
            &["query", "queries"][..],
            &["process", "processes", "processing", "processed"],
            &["run", "running"],
            &["node", "nodes"],
            &["service", "services"],
            &["restart", "restarts", "restarted", "restarting"],
            &["fill", "filling", "filled"],
            &["index", "indexes", "indexed", "indexing"],
        ] {
            let stems: Vec<String> = forms.iter().map(|form| stemmed(form)).collect();
            assert!(stems.iter().all(|stem| *stem == stems[0]), "{forms:?} gave {stems:?}");
        }
    }

    #[test]
    fn words_that_only_look_like_a_form_stay() {
        for word in ["status", "redis", "access", "logs", "pods", "ring", "need", "node", "p99"] {
            assert_eq!(stemmed(word), word);
        }
    }
}
