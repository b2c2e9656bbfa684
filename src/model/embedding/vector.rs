//! One vector on the wire: a list of numbers, or base64 of little-endian floats.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::base64;

/// The floats of a vector. Read straight from the text: a vector of 1024 numbers makes no 1024 values on the way.
pub(super) struct Floats(pub Vec<f32>);

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FloatsVisitor)
    }
}

struct FloatsVisitor;

impl<'de> Visitor<'de> for FloatsVisitor {
    type Value = Floats;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers or base64 of little-endian floats")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Floats, A::Error> {
        let mut floats = Vec::with_capacity(1024);
        while let Some(float) = items.next_element::<f32>()? {
            floats.push(float);
        }
        Ok(Floats(floats))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Floats, E> {
        let bytes = base64::decode(text).ok_or_else(|| E::custom("an embedding is not base64"))?;
        let (floats, []) = bytes.as_chunks::<4>() else {
            return Err(E::custom("the base64 of an embedding is not a whole number of floats"));
        };
        Ok(Floats(floats.iter().map(|float| f32::from_le_bytes(*float)).collect()))
    }
}
