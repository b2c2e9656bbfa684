//! The types that a parameter may have, and the values that they admit.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::interval::{Interval, InvalidInterval};
use super::quote::{self, QuoteError};
use super::template::Form;

/// The most columns that an index may have (`INDEX_MAX_KEYS` of Postgres).
const MAX_COLUMNS: usize = 32;

/// What a parameter of a tool may be. There is no type for raw text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ParameterType {
    /// A whole number within bounds.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// One of a few words.
    Enum {
        /// The words.
        values: Vec<String>,
    },
    /// A span of time within bounds.
    Interval {
        /// The shortest.
        min: Interval,
        /// The longest.
        max: Interval,
    },
    /// A name, as it is: not folded, not quoted.
    Identifier {},
    /// A table or an index, with its schema or without, written as SQL writes it: `public.orders`, `"My Table"`.
    ///
    /// That it exists is not checked here: this crate knows no database. The store resolves it when a step runs.
    Relation {},
    /// A list of column names, each as it is.
    Columns {},
}

/// A value that its type admits; the only thing that becomes SQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checked {
    /// An `integer`.
    Integer(i64),
    /// An `enum`'s word.
    Word(String),
    /// An `interval`.
    Interval(Interval),
    /// An `identifier`.
    Identifier(String),
    /// A `relation`: schema and name.
    Relation(Option<String>, String),
    /// A list of `columns`.
    Columns(Vec<String>),
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Another type.
    #[error("{found} is not {expected}")]
    WrongType {
        /// What it should be.
        expected: &'static str,
        /// What it is, as JSON.
        found: String,
    },
    /// Outside the bounds.
    #[error("{value} is not between {min} and {max}")]
    OutOfBounds {
        /// The value.
        value: String,
        /// The least.
        min: String,
        /// The greatest.
        max: String,
    },
    /// Not one of the words.
    #[error("{value} is not one of {}", allowed.join(", "))]
    NotListed {
        /// The value.
        value: String,
        /// The words.
        allowed: Vec<String>,
    },
    /// Not an interval.
    #[error(transparent)]
    Interval(#[from] InvalidInterval),
    /// Cannot be quoted.
    #[error(transparent)]
    Quote(#[from] QuoteError),
    /// Not the name of a relation.
    #[error("{0:?} is not the name of a relation: write schema.table, and \"Odd Names\" in double quotes")]
    NotARelation(String),
    /// Too few or too many columns.
    #[error("a list of columns has 1 to {MAX_COLUMNS} names, not {0}")]
    ColumnCount(usize),
    /// A column twice.
    #[error("column {0:?} stands twice")]
    ColumnTwice(String),
}

impl ParameterType {
    /// Its name, as in the catalogue.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Integer { .. } => "integer",
            Self::Enum { .. } => "enum",
            Self::Interval { .. } => "interval",
            Self::Identifier {} => "identifier",
            Self::Relation {} => "relation",
            Self::Columns {} => "columns",
        }
    }

    /// Check a value.
    pub fn check(&self, value: &Value) -> Result<Checked, ValueError> {
        let text = |expected| value.as_str().ok_or_else(|| wrong_type(expected, value));
        match self {
            Self::Integer { min, max } => {
                let number = value.as_i64().ok_or_else(|| wrong_type("a whole number", value))?;
                within(number, *min, *max).map(Checked::Integer)
            }
            Self::Enum { values } => {
                let word = text("a word")?;
                if !values.iter().any(|v| v == word) {
                    return Err(ValueError::NotListed { value: value.to_string(), allowed: values.clone() });
                }
                Ok(Checked::Word(word.to_owned()))
            }
            Self::Interval { min, max } => {
                let interval = Interval::parse(text("an interval such as '5 min'")?)?;
                within(interval, *min, *max).map(Checked::Interval)
            }
            Self::Identifier {} => {
                let name = text("a name")?;
                quote::name(name)?;
                Ok(Checked::Identifier(name.to_owned()))
            }
            Self::Relation {} => {
                let (schema, name) = relation(text("the name of a relation")?)?;
                Ok(Checked::Relation(schema, name))
            }
            Self::Columns {} => columns(value).map(Checked::Columns),
        }
    }

    /// Whether a slot of this form may hold a value of this type.
    pub(super) fn takes(&self, form: Form) -> bool {
        match form {
            Form::Plain => true,
            Form::Literal => matches!(self, Self::Identifier {} | Self::Relation {}),
            Form::Name => matches!(self, Self::Enum { .. }),
        }
    }
}

impl Checked {
    /// The value as SQL, quoted by its type.
    pub(super) fn sql(&self, form: Form) -> Result<String, QuoteError> {
        match (self, form) {
            (Self::Integer(number), _) => Ok(number.to_string()),
            (Self::Word(word), Form::Name) => quote::name(word),
            (Self::Word(word), _) => quote::literal(word),
            (Self::Interval(interval), _) => quote::literal(&interval.to_string()),
            (Self::Identifier(name), Form::Literal) => quote::literal(name),
            (Self::Identifier(name), _) => quote::name(name),
            (Self::Relation(schema, name), form) => {
                let mut qualified = quote::name(name)?;
                if let Some(schema) = schema {
                    qualified = format!("{}.{qualified}", quote::name(schema)?);
                }
                if form == Form::Literal { quote::literal(&qualified) } else { Ok(qualified) }
            }
            (Self::Columns(names), _) => {
                let names: Result<Vec<_>, _> = names.iter().map(|name| quote::name(name)).collect();
                Ok(names?.join(", "))
            }
        }
    }
}

fn wrong_type(expected: &'static str, found: &Value) -> ValueError {
    ValueError::WrongType { expected, found: found.to_string() }
}

fn within<T: Ord + ToString>(value: T, min: T, max: T) -> Result<T, ValueError> {
    if (&min..=&max).contains(&&value) {
        Ok(value)
    } else {
        Err(ValueError::OutOfBounds { value: value.to_string(), min: min.to_string(), max: max.to_string() })
    }
}

/// Split `schema.table` as SQL does, without its silent folding of capitals: a name that would be folded must be
/// quoted, so that what a runbook says is what happens.
fn relation(text: &str) -> Result<(Option<String>, String), ValueError> {
    let invalid = || ValueError::NotARelation(text.to_owned());
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = name_at(rest).ok_or_else(invalid)?;
        quote::name(&part)?;
        parts.push(part);
        if after.is_empty() {
            break;
        }
        rest = after.strip_prefix('.').ok_or_else(invalid)?;
    }
    let name = parts.pop().ok_or_else(invalid)?;
    let schema = parts.pop();
    if parts.is_empty() { Ok((schema, name)) } else { Err(invalid()) }
}

/// The name at the start of `text`, and what follows it.
fn name_at(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        return plain.then(|| (name.to_owned(), after));
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        let Some(doubled) = after.strip_prefix('"') else {
            return Some((name, after));
        };
        name.push('"');
        rest = doubled;
    }
}

fn columns(value: &Value) -> Result<Vec<String>, ValueError> {
    let list = value.as_array().ok_or_else(|| wrong_type("a list of column names", value))?;
    if !(1..=MAX_COLUMNS).contains(&list.len()) {
        return Err(ValueError::ColumnCount(list.len()));
    }
    let mut seen = BTreeSet::new();
    let mut names = Vec::with_capacity(list.len());
    for item in list {
        let name = item.as_str().ok_or_else(|| wrong_type("a column name", item))?;
        quote::name(name)?;
        if !seen.insert(name) {
            return Err(ValueError::ColumnTwice(name.to_owned()));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}
