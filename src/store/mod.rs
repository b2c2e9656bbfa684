//! SQL by table. Statements are files with names; a complex answer is one jsonb value, read into a type.

pub mod catalogue;
pub mod incidents;
pub mod journal;
pub mod measurements;
mod pen;
pub mod policies;

use std::borrow::Cow;
use std::cell::RefCell;

use jiff::Timestamp;
use pgrx::datum::DatumWithOid;
use pgrx::{JsonB, Spi, spi};
use serde::de::DeserializeOwned;

use crate::error::OncallError;

pub use pen::{is_writing, writing};

/// What the store gives.
pub type Result<T> = std::result::Result<T, OncallError>;

/// The arguments of a statement, `$1` first.
pub type Args<'a> = [DatumWithOid<'a>];

/// One SQL statement.
#[derive(Debug)]
pub struct Statement(Cow<'static, str>);

impl Statement {
    /// `text` is a file's; `@vector@` in it stands for the schema of pgvector, which is the user's choice.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    fn sql(self) -> Result<Cow<'static, str>> {
        if self.0.contains("@vector@") {
            return Ok(self.0.replace("@vector@", &vector_schema()?).into());
        }
        Ok(self.0)
    }

    /// Run it as a reader and take the one jsonb value that it answers with; `None` for no row or NULL.
    ///
    /// `select`, not `update`: that one would assign a transaction id and fail on a standby.
    pub fn ask<T: DeserializeOwned>(self, args: &Args<'_>) -> Result<Option<T>> {
        let sql = self.sql()?;
        Spi::connect(|client| first_value(client.select(sql.as_ref(), Some(1), args)?))
    }

    /// Run it as a writer and take the one jsonb value of its `RETURNING`; `None` for no row.
    pub fn tell<T: DeserializeOwned>(self, args: &Args<'_>) -> Result<Option<T>> {
        let sql = self.sql()?;
        Spi::connect_mut(|client| first_value(client.update(sql.as_ref(), Some(1), args)?))
    }

    /// Run it as a writer; how many rows it wrote.
    pub fn write(self, args: &Args<'_>) -> Result<usize> {
        let sql = self.sql()?;
        Spi::connect_mut(|client| Ok(client.update(sql.as_ref(), None, args)?.len()))
    }
}

/// The statement in the file `sql/<name>.sql` beside this module.
macro_rules! statement {
    ($name:literal) => {
        $crate::store::Statement::new(include_str!(concat!("sql/", $name, ".sql")))
    };
}
pub(crate) use statement;

fn first_value<T: DeserializeOwned>(rows: spi::SpiTupleTable<'_>) -> Result<Option<T>> {
    if rows.is_empty() {
        return Ok(None);
    }
    match rows.first().get_one::<JsonB>()? {
        None => Ok(None),
        Some(JsonB(value)) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| OncallError::Catalogue { reason: error.to_string() }),
    }
}

thread_local! {
    // A backend is one thread, and an installed pgvector stays where it is for as long as a session lives.
    static VECTOR_SCHEMA: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The schema that pgvector was installed in, quoted.
pub fn vector_schema() -> Result<String> {
    if let Some(known) = VECTOR_SCHEMA.with_borrow(Clone::clone) {
        return Ok(known);
    }
    let found: Option<String> = statement!("vector_schema").ask(&[])?;
    let schema = found.ok_or_else(|| OncallError::Catalogue { reason: "the extension vector is missing".into() })?;
    VECTOR_SCHEMA.set(Some(schema.clone()));
    Ok(schema)
}

/// A value as a jsonb argument.
pub fn jsonb<'a>(value: &impl serde::Serialize) -> Result<DatumWithOid<'a>> {
    let value = serde_json::to_value(value).map_err(|error| OncallError::Catalogue { reason: error.to_string() })?;
    Ok(JsonB(value).into())
}

/// A vector as a `real[]` argument: the cast to `vector` checks length and finiteness, and costs microseconds.
pub fn reals<'a>(vector: &pgvector::Vector) -> DatumWithOid<'a> {
    vector.as_slice().to_vec().into()
}

/// The time of the transaction: the same for every call of an agent, as on replay.
pub fn transaction_start() -> Result<Timestamp> {
    let microseconds: Option<i64> = statement!("transaction_start").ask(&[])?;
    Timestamp::from_microsecond(microseconds.unwrap_or_default())
        .map_err(|error| OncallError::Catalogue { reason: error.to_string() })
}
