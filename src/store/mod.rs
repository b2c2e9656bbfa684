//! SQL by table. Statements are files with names; a complex answer is one jsonb value, read into a type.

pub mod breaker;
pub mod catalogue;
pub mod chores;
pub mod deliveries;
pub mod dossier;
pub mod ground;
pub mod inbox;
pub mod incidents;
pub mod journal;
pub mod measurements;
mod pen;
pub mod people;
pub mod rights;
pub mod rounds;
pub mod search;
pub mod work;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;

use jiff::Timestamp;
use pgrx::datum::DatumWithOid;
use pgrx::datum::JsonString;
use pgrx::spi::{self, OwnedPreparedStatement, SpiHeapTupleData};
use pgrx::{JsonB, PgOid, Spi};
use serde::de::DeserializeOwned;

use crate::error::OncallError;

pub use pen::{forgetting, is_forgetting, is_writing, writing};

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

    /// The statement `text` with its `slot` filled by what is no parameter to the server: a schema, a type's length, a
    /// list of parameters. Never by a text from outside.
    pub fn filled(text: &'static str, slot: &str, with: &str) -> Self {
        Self::new(text.replace(slot, with))
    }

    /// Several statements that ask, as one: it answers with an object of their answers by these names. They see the same
    /// state, and the server goes to work once; their parameters are shared.
    fn together(questions: &[(&str, &'static str)]) -> String {
        // Each on lines of its own: a file may end in a comment.
        let fields: Vec<String> = questions.iter().map(|(name, text)| format!("'{name}', (\n{text}\n)")).collect();
        Self::filled(include_str!("sql/together.sql"), "@questions@", &fields.join(", ")).0.into_owned()
    }

    /// Run it as a reader and take the one json or jsonb value that it answers with; `None` for no row or NULL.
    ///
    /// `select`, not `update`: that one would assign a transaction id and fail on a standby.
    pub fn ask<T: DeserializeOwned>(self, args: &Args<'_>) -> Result<Option<T>> {
        let plan = self.plan(args)?;
        Spi::connect(|client| first_value(client.select(plan, Some(1), args)?))
    }

    /// Run it as a reader and take every row by `read`.
    pub fn rows<T>(self, args: &Args<'_>, read: impl Fn(SpiHeapTupleData<'_>) -> Result<T>) -> Result<Vec<T>> {
        let plan = self.plan(args)?;
        Spi::connect(|client| client.select(plan, None, args)?.map(read).collect())
    }

    /// Run it as a writer and take the one jsonb value of its `RETURNING`; `None` for no row.
    pub fn tell<T: DeserializeOwned>(self, args: &Args<'_>) -> Result<Option<T>> {
        let plan = self.plan(args)?;
        Spi::connect_mut(|client| first_value(client.update(plan, Some(1), args)?))
    }

    /// Run it as a writer; how many rows it wrote.
    pub fn write(self, args: &Args<'_>) -> Result<usize> {
        let plan = self.plan(args)?;
        Spi::connect_mut(|client| Ok(client.update(plan, None, args)?.len()))
    }

    /// Its plan, kept for the life of the process: planning all statements of an alert anew costs more than running them.
    fn plan(self, args: &Args<'_>) -> Result<&'static OwnedPreparedStatement> {
        if let Some(plan) = PLANS.with_borrow(|plans| plans.find(&self)) {
            return Ok(plan);
        }
        let vector = if self.0.contains("@vector@") { vector_schema()? } else { String::new() };
        let sql = self.0.replace("@vector@", &vector);
        let types: Vec<PgOid> = args.iter().map(|arg| PgOid::from(arg.oid())).collect();
        let plan = Spi::connect(|client| client.prepare(sql.as_str(), &types).map(|plan| plan.keep()))?;
        // Never dropped: a destructor at the end of the process would free it after the server's memory is gone.
        let plan: &'static OwnedPreparedStatement = Box::leak(Box::new(plan));
        PLANS.with_borrow_mut(|plans| plans.keep(self, plan));
        Ok(plan)
    }
}

thread_local! {
    // A backend is one thread: these are its plans.
    static PLANS: RefCell<Plans> = RefCell::default();
}

/// Plans by the text of their statements: that of a file by where it lies, since to hash it takes longer than to find it.
#[derive(Default)]
struct Plans {
    of_files: HashMap<*const str, &'static OwnedPreparedStatement>,
    of_others: HashMap<String, &'static OwnedPreparedStatement>,
}

impl Plans {
    fn find(&self, statement: &Statement) -> Option<&'static OwnedPreparedStatement> {
        match &statement.0 {
            Cow::Borrowed(text) => self.of_files.get(&ptr::from_ref(*text)).copied(),
            Cow::Owned(text) => self.of_others.get(text).copied(),
        }
    }

    fn keep(&mut self, statement: Statement, plan: &'static OwnedPreparedStatement) {
        match statement.0 {
            Cow::Borrowed(text) => self.of_files.insert(ptr::from_ref(text), plan),
            Cow::Owned(text) => self.of_others.insert(text, plan),
        };
    }
}

/// The statement in the file `sql/<name>.sql` beside this module; several that ask, as one, which is put together once.
macro_rules! statement {
    ($name:literal) => {
        $crate::store::Statement::new(include_str!(concat!("sql/", $name, ".sql")))
    };
    ($($name:literal),+) => {{
        static TOGETHER: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            $crate::store::Statement::together(&[$(($name, include_str!(concat!("sql/", $name, ".sql")))),+])
        });
        $crate::store::Statement::new(TOGETHER.as_str())
    }};
}
pub(crate) use statement;

/// A json value is cheaper to build than a jsonb one, and is read without a detour.
fn first_value<T: DeserializeOwned>(rows: spi::SpiTupleTable<'_>) -> Result<Option<T>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let is_json = rows.column_type_oid(1)? == PgOid::from(pgrx::pg_sys::JSONOID);
    let rows = rows.first();
    let value = if is_json {
        rows.get_one::<JsonString>()?.map(|JsonString(text)| serde_json::from_str(&text))
    } else {
        rows.get_one::<JsonB>()?.map(|JsonB(value)| serde_json::from_value(value))
    };
    value.transpose().map_err(|error| OncallError::Catalogue { reason: error.to_string() })
}

/// The schema that pgvector was installed in, quoted.
fn vector_schema() -> Result<String> {
    let found: Option<String> = statement!("vector_schema").ask(&[])?;
    found.ok_or_else(|| OncallError::Catalogue { reason: "the extension vector is missing".into() })
}

/// A value as a jsonb argument.
pub fn jsonb<'a>(value: &impl serde::Serialize) -> Result<DatumWithOid<'a>> {
    let value = serde_json::to_value(value).map_err(|error| OncallError::Catalogue { reason: error.to_string() })?;
    Ok(JsonB(value).into())
}

/// The time of the transaction: the same for every call of an agent, as on replay.
pub fn transaction_start() -> Result<Timestamp> {
    let microseconds: Option<i64> = statement!("transaction_start").ask(&[])?;
    Timestamp::from_microsecond(microseconds.unwrap_or_default())
        .map_err(|error| OncallError::Catalogue { reason: error.to_string() })
}
