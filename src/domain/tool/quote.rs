//! Quoting: the one place where a value becomes SQL text.
//!
//! Both functions follow `quote_literal` and `quote_ident` of Postgres (src/backend/utils/adt/quote.c), except that a
//! name is quoted always: then no keyword, capital letter or odd character needs a rule of its own.

/// The longest name that Postgres keeps whole, in bytes: `NAMEDATALEN` less one. It cuts longer ones silently, and a
/// cut name is another name.
pub const MAX_NAME: usize = 63;

/// Why a text cannot be quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// Text of Postgres holds no NUL, and a C string ends there.
    #[error("{0:?} holds a NUL character")]
    Nul(String),
    /// A name has at least one character.
    #[error("a name must not be empty")]
    Empty,
    /// Postgres would cut it.
    #[error("the name {0:?} has {len} bytes, and Postgres keeps {MAX_NAME}", len = .0.len())]
    TooLong(String),
}

/// A string literal: `'it''s'`, or `E'a\\b'` where there is a backslash.
///
/// The `E` form says what a backslash means whatever `standard_conforming_strings` is.
pub fn literal(text: &str) -> Result<String, QuoteError> {
    if text.contains('\0') {
        return Err(QuoteError::Nul(text.to_owned()));
    }
    let doubled = text.replace('\'', "''");
    Ok(if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', r"\\")) } else { format!("'{doubled}'") })
}

/// A quoted name: `"it""s"`.
pub fn name(text: &str) -> Result<String, QuoteError> {
    if text.is_empty() {
        return Err(QuoteError::Empty);
    }
    if text.contains('\0') {
        return Err(QuoteError::Nul(text.to_owned()));
    }
    if text.len() > MAX_NAME {
        return Err(QuoteError::TooLong(text.to_owned()));
    }
    Ok(format!("\"{}\"", text.replace('"', "\"\"")))
}
