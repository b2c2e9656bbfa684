//! Where a feature goes: a 64-bit hash gives its dimension and its sign.
//!
//! FNV-1a takes a byte at a time, so the n-grams of a word that start at one letter share their work. Its low bits are
//! weak on short keys; a finaliser repairs that. The sign lets two features that meet in a dimension
//! cancel as often as they add, so that collisions cost noise and no bias.

use crate::fnv::Fnv;

/// How many dimensions an embedding has.
pub const DIMENSIONS: usize = 1024;

/// The finished hash: the first half of MurmurHash3's finaliser (fmix64), one multiplication between two shifts.
pub const fn finish(hash: Fnv) -> u64 {
    let mut h = hash.value();
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^ (h >> 33)
}

/// The dimension of a finished hash: its low bits, as the number of dimensions is a power of two.
pub const fn dimension(hash: u64) -> usize {
    (hash % DIMENSIONS as u64) as usize
}

/// The sign of a finished hash: minus where bit 40 is set, far from the bits of the dimension.
pub const fn sign(hash: u64) -> f64 {
    if hash >> 40 & 1 == 1 { -1.0 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_stays_at_its_dimension_and_sign_because_stored_vectors_depend_on_it() {
        for (feature, at, signed) in [("disk", 400, -1.0), ("^wa", 405, 1.0), ("=walvolume", 366, 1.0)] {
            let hash = finish(Fnv::EMPTY.bytes(feature.as_bytes()));
            assert_eq!((dimension(hash), sign(hash)), (at, signed), "{feature}");
        }
    }
}
