//! The key to a pod.

use std::fmt;

/// A bearer token. It prints as nothing, so that no log, error or panic shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// Why a text cannot be a key. It does not show the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key is one line of printable ASCII without blanks")]
pub struct InvalidKey;

impl ApiKey {
    /// Take a key as it stands in a file: white space around it does not count.
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        let key = text.trim();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidKey);
        }
        Ok(Self(key.to_owned()))
    }

    /// The value of the `Authorization` header.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The text without the key: some servers quote in an error what they were sent.
    pub(crate) fn hide(&self, text: &str) -> String {
        text.replace(&self.0, "[api key]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_may_end_in_a_newline() {
        assert_eq!(ApiKey::new(" sk-local\n").unwrap().bearer(), "Bearer sk-local");
    }

    #[test]
    fn a_key_that_would_break_the_header_is_refused() {
        for text in ["", "\n", "two words", "a\r\nX-Evil: 1", "schlüssel"] {
            assert_eq!(ApiKey::new(text), Err(InvalidKey), "{text:?}");
        }
    }

    #[test]
    fn a_key_never_prints() {
        let key = ApiKey::new("sk-secret").unwrap();
        assert_eq!(format!("{key:?} {:#?}", Some(&key)).matches("sk-secret").count(), 0);
        assert_eq!(key.hide("bad key sk-secret!"), "bad key [api key]!");
    }
}
