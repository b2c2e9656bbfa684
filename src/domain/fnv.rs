//! FNV-1a, 64 bits (offset basis and prime as in draft-eastlake-fnv): one hash for fingerprints, features and nonces.

/// A hash under way. It takes a byte at a time, so that texts which start alike can share their work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Fnv {
    /// The hash of nothing.
    pub(crate) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// The hash with one byte more.
    pub(crate) const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// The hash with `bytes` more.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |hash, &byte| hash.byte(byte))
    }

    /// The hash as a number.
    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_gives_its_published_values() {
        assert_eq!(Fnv::EMPTY.value(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::EMPTY.bytes(b"a").value(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::EMPTY.bytes(b"foobar").value(), 0x8594_4171_f739_67e8);
    }
}
