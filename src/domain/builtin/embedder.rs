//! From text to a vector.

use pgvector::Vector;

use super::hash::{DIMENSIONS, dimension, finish, sign};
use super::tokens::each_token;
use super::weights::Kind;
use crate::fnv::Fnv;

/// How much of a text is looked at, in bytes.
pub const LONGEST_TEXT: usize = 64 * 1024;

/// The embedding of a text: 1024 hashed features, of length 1. The same function serves query and chunk.
///
/// Words count once, the 3-, 4- and 5-grams of `^word$` 0.3 each, so that `autovacuum` still meets `vacuuming`. A feature
/// that occurs n times counts 1 + ln n times its weight.
///
/// Only the first [`LONGEST_TEXT`] bytes count: nothing can interrupt this, and what a text is about stands at its start.
///
/// A text without a single token (empty, only numbers, or in a script other than Latin) gives the zero vector: it is
/// similar to nothing. pgvector's cosine distance to a zero vector is NaN, and its HNSW index leaves zero vectors out:
/// check [`is_blank`] before a search.
pub fn embed(text: &str) -> Vector {
    let text = &text[..text.floor_char_boundary(LONGEST_TEXT)];
    let mut words = Vec::new();
    let mut n_grams = Vec::new();
    each_token(text, |token| {
        words.push(finish(Fnv::EMPTY.bytes(token)));
        push_n_grams(token, &mut n_grams);
    });
    let mut sums = [0.0; DIMENSIONS];
    add(Kind::Word, &mut words, &mut sums);
    add(Kind::NGram, &mut n_grams, &mut sums);
    let length = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    Vector::from(sums.iter().map(|x| (x * scale) as f32).collect::<Vec<f32>>())
}

/// Whether an embedding is the zero vector, which is similar to nothing and must not be searched for.
pub fn is_blank(embedding: &Vector) -> bool {
    embedding.as_slice().iter().all(|x| *x == 0.0)
}

/// The hashes of the 3-, 4- and 5-grams of `^token$`. Those that start at the same letter continue one hash.
fn push_n_grams(token: &[u8], hashes: &mut Vec<u64>) {
    let letter = |at: usize| match at {
        0 => b'^',
        at if at <= token.len() => token[at - 1],
        _ => b'$',
    };
    let length = token.len() + 2;
    for start in 0..length - 2 {
        let mut hash = Fnv::EMPTY.byte(letter(start)).byte(letter(start + 1));
        for end in start + 2..length.min(start + 5) {
            hash = hash.byte(letter(end));
            hashes.push(finish(hash));
        }
    }
}

/// Add the features with these hashes to `sums`. They are sorted to count them, which also makes the order of the sum,
/// and so its rounding, independent of the order of the words.
fn add(kind: Kind, hashes: &mut [u64], sums: &mut [f64; DIMENSIONS]) {
    hashes.sort_unstable();
    let weights = kind.weights();
    for same in hashes.chunk_by(|a, b| a == b) {
        let hash = same[0];
        let frequency = if same.len() == 1 { 1.0 } else { 1.0 + (same.len() as f64).ln() };
        sums[dimension(hash)] += sign(hash) * frequency * weights.of(hash);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::builtin::chunk_text;

    fn cosine(a: &Vector, b: &Vector) -> f64 {
        a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| f64::from(a * b)).sum()
    }

    fn norm(vector: &Vector) -> f64 {
        cosine(vector, vector).sqrt()
    }

    #[test]
    fn what_stands_behind_the_longest_text_does_not_count() {
        let start = "pool exhausted ".repeat(LONGEST_TEXT / 15 + 1);
        assert_eq!(embed(&start), embed(&format!("{start} and the archive command fails")));
    }

    #[test]
    fn an_alert_is_nearer_to_the_runbook_about_it_than_to_another() {
        let alert = embed("Connection pool exhaustion: pool_size=50, active=198");
        let pool = embed(&chunk_text("Connection pool exhausted", "Meaning", "All server connections are in use."));
        let disk = embed(&chunk_text("WAL volume full", "Meaning", "Archiving fails and segments pile up."));
        assert!(cosine(&alert, &pool) > 0.3, "{}", cosine(&alert, &pool));
        assert!(cosine(&alert, &disk) < 0.1, "{}", cosine(&alert, &disk));
    }

    #[test]
    fn a_text_of_one_token_lies_where_the_hashes_of_its_features_say() {
        // `^db$` has the n-grams ^db, db$ and ^db$; with the word that is four features of default weight.
        let vector = embed("db");
        let features = ["^db", "db$", "^db$"].map(|gram| finish(Fnv::EMPTY.bytes(gram.as_bytes())));
        let taken = vector.as_slice().iter().filter(|x| **x != 0.0).count();
        assert_eq!(taken, 4);
        for hash in features {
            let x = f64::from(vector.as_slice()[dimension(hash)]);
            assert_eq!(x.signum(), sign(hash));
            let (word, n_gram) = (3.0162, 0.3 * 2.4702);
            let expected: f64 = n_gram / f64::sqrt(word * word + 3.0 * n_gram * n_gram);
            assert!((x.abs() - expected).abs() < 1e-6, "{x} is not {expected}");
        }
    }

    #[test]
    fn a_word_that_comes_again_counts_for_less_each_time() {
        let once = embed("vacuum freeze");
        let often = embed("vacuum vacuum vacuum freeze");
        let word = |vector: &Vector| cosine(vector, &embed("vacuum"));
        assert!(word(&once) < word(&often) && word(&often) < 0.95);
    }

    #[test]
    fn the_order_of_words_changes_no_bit() {
        assert_eq!(embed("replication lag on standby"), embed("standby on lag replication"));
    }

    #[test]
    fn a_text_without_tokens_is_blank() {
        for text in ["", "   ", "42 5m 0xff", "the of and", "数据库"] {
            assert!(is_blank(&embed(text)), "{text:?}");
        }
        assert!(!is_blank(&embed("disk")));
    }

    proptest! {
        #[test]
        fn every_embedding_has_1024_finite_numbers_and_length_1_or_is_blank(text in any::<String>()) {
            let vector = embed(&text);
            prop_assert_eq!(vector.as_slice().len(), DIMENSIONS);
            prop_assert!(is_blank(&vector) || (norm(&vector) - 1.0).abs() < 1e-5);
            prop_assert_eq!(vector, embed(&text));
        }

        #[test]
        fn words_are_never_blank(text in "([b-df-hj-np-tv-z]{5,12}[ _.:]){1,30}") {
            prop_assert!((norm(&embed(&text)) - 1.0).abs() < 1e-5);
        }
    }
}
