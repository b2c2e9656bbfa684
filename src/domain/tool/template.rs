//! A tool's template: SQL text with slots for values.
//!
//! A slot is `{name}`, `{name:literal}` or `{name:name}` and stands where an expression or a name stands, never inside
//! quotes. The rest of the template is a narrow part of SQL on purpose: one statement, no `;`, no comments, no
//! backslashes, no dollar quotes. In that part, quoting is plain to see, so a value that is quoted rightly stays
//! inside its quotes whatever stands around it.

/// How a slot writes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `{x}`: as its type wants it.
    Plain,
    /// `{x:literal}`: as a string literal, for functions that take a name as text.
    Literal,
    /// `{x:name}`: an `enum` value as a quoted name, for settings in `ALTER ROLE … SET`.
    Name,
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// SQL, as it is.
    Text(&'t str),
    /// Where a value goes.
    Slot {
        /// The parameter.
        name: &'t str,
        /// How it is written.
        form: Form,
    },
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not a statement at all.
    #[error("it is empty")]
    Empty,
    /// Something outside the narrow part of SQL.
    #[error("at byte {at}: {what} has no place in a template")]
    Forbidden {
        /// Where.
        at: usize,
        /// What.
        what: &'static str,
    },
    /// A brace that opens or closes no slot.
    #[error("at byte {at}: a slot is {{name}}, {{name:literal}} or {{name:name}}")]
    BadSlot {
        /// Where.
        at: usize,
    },
    /// A slot inside quotes, where its value could end them.
    #[error("at byte {at}: a slot must not stand inside quotes")]
    SlotInQuotes {
        /// Where.
        at: usize,
    },
    /// A slot beside something that would change the meaning of its quotes, as in `U&{x}`.
    #[error("at byte {at}: a slot stands after a space, '(', ',' or '=' and before a space, ')', ',' or ':'")]
    Touching {
        /// Where.
        at: usize,
    },
    /// A quote without its end.
    #[error("a quote is not closed")]
    Unclosed,
}

/// Take a template apart.
pub fn pieces(template: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    if template.trim().is_empty() {
        return Err(TemplateError::Empty);
    }
    let bytes = template.as_bytes();
    let mut pieces = Vec::new();
    let (mut at, mut text_from, mut quote) = (0, 0, None);
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            0 => {
                return Err(TemplateError::Forbidden { at, what: "a NUL character" });
            }
            b'\\' => {
                return Err(TemplateError::Forbidden { at, what: "a backslash" });
            }
            // `'{}'` is an empty array, not a slot.
            b'{' if quote.is_some() && slot_at(&template[at..]).is_some() => {
                return Err(TemplateError::SlotInQuotes { at });
            }
            // A doubled quote closes and opens again: the same state in the end.
            b'\'' | b'"' if quote == Some(byte) => quote = None,
            b'\'' | b'"' if quote.is_none() => quote = Some(byte),
            _ if quote.is_some() => {}
            b';' => {
                return Err(TemplateError::Forbidden { at, what: "';' (one statement is all)" });
            }
            b'$' => return Err(TemplateError::Forbidden { at, what: "'$'" }),
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                return Err(TemplateError::Forbidden { at, what: "a comment" });
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                return Err(TemplateError::Forbidden { at, what: "a comment" });
            }
            b'}' => return Err(TemplateError::BadSlot { at }),
            b'{' => {
                let (length, name, form) = slot_at(&template[at..]).ok_or(TemplateError::BadSlot { at })?;
                let before = at.checked_sub(1).map(|i| bytes[i]);
                let after = bytes.get(at + length);
                let free = before.is_some_and(|b| b.is_ascii_whitespace() || b"(,=".contains(&b))
                    && after.is_none_or(|b| b.is_ascii_whitespace() || b"),:".contains(b));
                if !free {
                    return Err(TemplateError::Touching { at });
                }
                pieces.push(Piece::Text(&template[text_from..at]));
                pieces.push(Piece::Slot { name, form });
                at += length;
                text_from = at;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    if quote.is_some() {
        return Err(TemplateError::Unclosed);
    }
    pieces.push(Piece::Text(&template[text_from..]));
    Ok(pieces)
}

/// The slot at the start of `text`: its length, name and form.
fn slot_at(text: &str) -> Option<(usize, &str, Form)> {
    let inside = text.strip_prefix('{')?.split_once('}')?.0;
    let (name, form) = match inside.split_once(':') {
        None => (inside, Form::Plain),
        Some((name, "literal")) => (name, Form::Literal),
        Some((name, "name")) => (name, Form::Name),
        Some(_) => return None,
    };
    let word = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (!name.is_empty() && word).then_some((inside.len() + 2, name, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_text_alternate() {
        assert_eq!(
            pieces("SELECT f({server:literal}, '{}') FROM {t}").unwrap(),
            [
                Piece::Text("SELECT f("),
                Piece::Slot { name: "server", form: Form::Literal },
                Piece::Text(", '{}') FROM "),
                Piece::Slot { name: "t", form: Form::Plain },
                Piece::Text(""),
            ]
        );
    }

    #[test]
    fn a_place_where_a_quoted_value_could_escape_is_refused() {
        for template in [
            "SELECT '{x}'",
            "SELECT \"{x}\"",
            "SELECT 'it''s {x}'",
            "SELECT U&{x}",
            "SELECT e{x}",
            "SELECT {x}{y}",
            "SELECT -{x}",
            "{x}",
            "SELECT {x}'a'",
            "SELECT 1; SELECT {x}",
            "SELECT 1 -- {x}",
            "SELECT 1 /* {x}",
            "SELECT $${x}$$",
            r"SELECT E'\' {x}",
            "SELECT 'a {x}",
            "SELECT {X}",
            "SELECT {x:raw}",
            "SELECT {}",
            "SELECT }",
            " ",
        ] {
            assert!(pieces(template).is_err(), "{template}");
        }
    }
}
