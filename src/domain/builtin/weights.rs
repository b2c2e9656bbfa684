//! How much each feature says: a table that is compiled in, and no state of the corpus.
//!
//! Weights that come from the catalogue itself would change with each runbook, and with them every vector. Larger
//! tables were measured and transfer worse to runbooks that they were not counted on.

use std::sync::LazyLock;

use super::hash::finish;
use crate::fnv::Fnv;

/// The two kinds of feature.
///
/// They share one space of hashes: the word `sql` and the n-gram `sql` of `mysql` are to meet. Spaces of their own were
/// measured to cost 1 to 2 points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole word or joined identifier.
    Word,
    /// 3 to 5 letters of `^word$`.
    NGram,
}

impl Kind {
    /// What a feature of this kind counts beside the other kind.
    const fn share(self) -> f64 {
        match self {
            Self::Word => 1.0,
            Self::NGram => 0.3,
        }
    }

    /// The weights of this kind.
    pub fn weights(self) -> &'static Weights {
        static WORDS: LazyLock<Weights> = LazyLock::new(|| Weights::read("word", Kind::Word));
        static N_GRAMS: LazyLock<Weights> = LazyLock::new(|| Weights::read("ngram", Kind::NGram));
        match self {
            Self::Word => &WORDS,
            Self::NGram => &N_GRAMS,
        }
    }
}

/// The weights of one kind of feature.
#[derive(Debug)]
pub struct Weights {
    /// Finished hash and weight, in the order of the hashes.
    table: Vec<(u64, f64)>,
    /// The weight of all others.
    default: f64,
}

impl Weights {
    /// The weight of the feature with this finished hash.
    pub fn of(&self, hash: u64) -> f64 {
        match self.table.binary_search_by_key(&hash, |entry| entry.0) {
            Ok(at) => self.table[at].1,
            Err(_) => self.default,
        }
    }

    fn read(name: &str, kind: Kind) -> Self {
        let mut weights = Self { table: Vec::new(), default: 0.0 };
        for line in include_str!("weights.tsv").lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split('\t');
            let (Some(of), Some(feature), Some(weight)) = (fields.next(), fields.next(), fields.next()) else {
                unreachable!("the table is part of the program, and a test reads it");
            };
            if of != name {
                continue;
            }
            let weight: f64 = weight.parse().expect("the table is part of the program, and a test reads it");
            let weight = weight * kind.share();
            match feature {
                "*" => weights.default = weight,
                _ => weights.table.push((finish(Fnv::EMPTY.bytes(feature.as_bytes())), weight)),
            }
        }
        weights.table.sort_unstable_by_key(|entry| entry.0);
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_whole_and_no_two_features_share_a_hash() {
        for kind in [Kind::Word, Kind::NGram] {
            let weights = kind.weights();
            assert!(weights.table.len() > 290, "{kind:?}: {}", weights.table.len());
            assert!(weights.table.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn a_common_word_weighs_less_than_an_unknown_one() {
        let weight = |word: &str| Kind::Word.weights().of(finish(Fnv::EMPTY.bytes(word.as_bytes())));
        assert_eq!(weight("cluster"), 1.7356);
        assert_eq!(weight("pgbouncer"), 4.2452);
    }
}
