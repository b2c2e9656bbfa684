//! The secret of a sink, which no log, error or audit row shows.

use std::fmt;

/// A key or an address that only the sink's owner and its receiver know. It prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a text cannot be a secret. It does not show the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must hold one line of 8 to 2048 printable ASCII characters without blanks")]
pub struct InvalidSecret;

impl Secret {
    /// Take a secret as it stands in a file: white space around it does not count.
    ///
    /// Shorter ones are refused: they would be no secret, and to hide them in a text would garble it.
    pub fn new(text: &str) -> Result<Self, InvalidSecret> {
        let secret = text.trim();
        if !(8..=2048).contains(&secret.len()) || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidSecret);
        }
        Ok(Self(secret.to_owned()))
    }

    /// The secret itself: for the wire, and nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
