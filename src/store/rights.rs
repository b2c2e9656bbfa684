//! What an executor asks the catalogue about its own command: which rights it lacks, and what a failure left behind.

use serde::Deserialize;

use super::{Result, statement};

/// An index that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InvalidIndex {
    /// Its OID.
    pub oid: i64,
    /// Its own name.
    pub name: String,
    /// Its name with the schema, quoted.
    pub qualified: String,
    /// The command that drops it.
    pub drop: String,
}

/// The invalid indexes of a table, which is named by itself or by one of its indexes.
pub fn invalid_indexes(schema: Option<&str>, name: &str) -> Result<Vec<InvalidIndex>> {
    let args = &[schema.map(str::to_owned).into(), name.to_owned().into()];
    Ok(statement!("invalid_indexes").ask(args)?.unwrap_or_default())
}

/// What a relation's owner would have to grant to the current role so that it may do this with it: `create index`,
/// `maintain` or `alter`.
pub fn missing_on_relation(schema: Option<&str>, name: &str, purpose: &str) -> Result<Option<String>> {
    let args = &[schema.map(str::to_owned).into(), name.to_owned().into(), purpose.to_owned().into()];
    statement!("missing_on_relation").ask(args)
}

/// What would have to be granted to the current role so that it may ALTER DATABASE.
pub fn missing_on_database(name: &str) -> Result<Option<String>> {
    statement!("missing_on_database").ask(&[name.to_owned().into()])
}

/// Whether there is a table of this database that the current role may vacuum.
pub fn may_vacuum_anything() -> Result<bool> {
    Ok(statement!("may_vacuum_anything").ask(&[])?.unwrap_or(false))
}
