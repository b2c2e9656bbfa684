//! Which commands an executor runs: a short list, by the server's own parser.
//!
//! A tool's template is SQL that an admin wrote. What it may be is written here, so that a template, too, is bounded:
//! what blocks others for long, what ends or rewrites data, and what changes who may do what is not on the list.

use std::ffi::{CStr, CString, c_char};
use std::panic::AssertUnwindSafe;

use pgrx::{PgList, PgSqlErrorCode, PgTryBuilder, is_a, pg_sys};

use super::toplevel::c_text;
use super::transaction::SqlError;

/// What a command may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look, and nothing else.
    Read,
    /// Act.
    Write,
}

/// The name of a relation, as the command writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its schema, if the command says it.
    pub schema: Option<String>,
    /// Its own name.
    pub name: String,
}

/// What a command is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// SELECT, VALUES, TABLE, SHOW.
    Select,
    /// CREATE INDEX CONCURRENTLY: the table, and the index if it is named.
    CreateIndex(Relation, Option<String>),
    /// DROP INDEX CONCURRENTLY.
    DropIndex(Relation),
    /// REINDEX INDEX CONCURRENTLY.
    Reindex(Relation),
    /// VACUUM and ANALYZE of these tables; of every table of the database when there are none.
    Vacuum(Vec<Relation>),
    /// ALTER TABLE SET and RESET of storage parameters.
    AlterTable(Relation),
    /// ALTER ROLE SET and RESET of a timeout.
    AlterRole(String),
    /// ALTER DATABASE SET and RESET of `default_transaction_read_only`.
    AlterDatabase(String),
}

impl Kind {
    /// Whether it blocks nobody while it waits for a lock: it asks for one that conflicts with neither readers nor writers.
    pub fn waits_in_nobodys_way(&self) -> bool {
        matches!(self, Self::CreateIndex(..) | Self::DropIndex(_) | Self::Reindex(_) | Self::Vacuum(_))
    }
}

/// A command that may run.
#[derive(Debug, Clone)]
pub struct Command {
    sql: CString,
    kind: Kind,
    access: Access,
}

impl Command {
    /// Its text.
    pub fn sql(&self) -> &CStr {
        &self.sql
    }

    /// What it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What it may do.
    pub fn access(&self) -> Access {
        self.access
    }
}

/// The settings that `ALTER ROLE … SET` may give to a role.
const ROLE_SETTINGS: [&str; 4] =
    ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"];

/// Read a command, and refuse what may not run.
pub fn read(sql: &str, access: Access) -> Result<Command, SqlError> {
    let sql = c_text(sql)?;
    let kind = PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: on the main thread; the parser needs no transaction, and its tree lives in the current context for as
        // long as it is looked at.
        unsafe { classify((*one_statement(&sql)).stmt) }
    }))
    .catch_others(|caught| Err(SqlError::from(&caught)))
    .execute()?;
    if access == Access::Read && kind != Kind::Select {
        return Err(refused("only SELECT and SHOW may run as a query"));
    }
    Ok(Command { sql, kind, access })
}

fn refused(reason: &str) -> SqlError {
    SqlError {
        code: PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        message: format!("an executor does not run this: {reason}"),
        detail: None,
        hint: Some(
            "Actions are SELECT, CREATE, DROP and REINDEX INDEX CONCURRENTLY, VACUUM, ANALYZE, ALTER TABLE SET autovacuum_…, \
             ALTER ROLE SET a timeout, ALTER DATABASE SET default_transaction_read_only. Put anything else into a function, \
             and SELECT that."
                .to_owned(),
        ),
    }
}

fn raise(error: SqlError) -> ! {
    let mut report = pgrx::pg_sys::panic::ErrorReport::new(error.code, error.message, "oncall");
    if let Some(hint) = error.hint {
        report = report.set_hint(hint);
    }
    report.report(pgrx::PgLogLevel::ERROR);
    unreachable!("reporting an error does not return")
}

/// The one statement of a text; an error when there are more, or none.
// SAFETY: to be called where the server's parser may raise; the tree is allocated in the current context.
pub unsafe fn one_statement(sql: &CStr) -> *mut pg_sys::RawStmt {
    // SAFETY: the parser takes a NUL-terminated text and gives a list of RawStmt.
    let parsed = unsafe { PgList::<pg_sys::RawStmt>::from_pg(pg_sys::pg_parse_query(sql.as_ptr())) };
    match parsed.get_ptr(0) {
        Some(raw) if parsed.len() == 1 => raw,
        _ => raise(refused("it is not exactly one statement")),
    }
}

/// After the rewriter, a SELECT must still be one SELECT: neither SELECT INTO nor one with a writing WITH.
// SAFETY: `queries` is a list of Query, as the analyzer gives it.
pub unsafe fn check_rewritten(queries: *mut pg_sys::List, command: &Command) {
    if command.kind != Kind::Select {
        return;
    }
    // SAFETY: as the function's contract says.
    unsafe {
        let queries = PgList::<pg_sys::Query>::from_pg(queries);
        let query = queries.get_ptr(0).filter(|_| queries.len() == 1);
        let allowed = query.is_some_and(|query| match (*query).commandType {
            pg_sys::CmdType::CMD_SELECT => !(*query).hasModifyingCTE && (*query).rowMarks.is_null(),
            pg_sys::CmdType::CMD_UTILITY => is_a((*query).utilityStmt, pg_sys::NodeTag::T_VariableShowStmt),
            _ => false,
        });
        if !allowed {
            raise(refused(
                "a SELECT must not write or lock: no INTO, no FOR UPDATE, no INSERT, UPDATE or DELETE in WITH",
            ));
        }
    }
}

// SAFETY: `node` is a statement as the raw parser gives it, alive until the function returns.
unsafe fn classify(node: *mut pg_sys::Node) -> Result<Kind, SqlError> {
    // SAFETY: a node is read as what its tag says that it is.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_SelectStmt | pg_sys::NodeTag::T_VariableShowStmt => Ok(Kind::Select),
            pg_sys::NodeTag::T_IndexStmt => {
                let stmt = &*node.cast::<pg_sys::IndexStmt>();
                if !stmt.concurrent {
                    return Err(refused("CREATE INDEX without CONCURRENTLY blocks every writer of the table"));
                }
                Ok(Kind::CreateIndex(relation(stmt.relation)?, text(stmt.idxname)))
            }
            pg_sys::NodeTag::T_DropStmt => {
                let stmt = &*node.cast::<pg_sys::DropStmt>();
                let objects = PgList::<pg_sys::List>::from_pg(stmt.objects);
                let object = objects.get_ptr(0).filter(|_| objects.len() == 1);
                match object {
                    Some(object)
                        if stmt.removeType == pg_sys::ObjectType::OBJECT_INDEX
                            && stmt.concurrent
                            && stmt.behavior == pg_sys::DropBehavior::DROP_RESTRICT =>
                    {
                        Ok(Kind::DropIndex(qualified(object)?))
                    }
                    _ => Err(refused(
                        "of all that DROP can do, only DROP INDEX CONCURRENTLY of one index is safe to repeat",
                    )),
                }
            }
            pg_sys::NodeTag::T_ReindexStmt => {
                let stmt = &*node.cast::<pg_sys::ReindexStmt>();
                let concurrently = stmt.kind == pg_sys::ReindexObjectType::REINDEX_OBJECT_INDEX
                    && options(stmt.params).iter().any(|option| option == "concurrently");
                if !concurrently {
                    return Err(refused("REINDEX must be REINDEX INDEX CONCURRENTLY: any other blocks every writer"));
                }
                Ok(Kind::Reindex(relation(stmt.relation)?))
            }
            pg_sys::NodeTag::T_VacuumStmt => {
                let stmt = &*node.cast::<pg_sys::VacuumStmt>();
                if options(stmt.options).iter().any(|option| option == "full") {
                    return Err(refused("VACUUM FULL locks the table against everybody"));
                }
                let tables = PgList::<pg_sys::VacuumRelation>::from_pg(stmt.rels);
                tables.iter_ptr().map(|table| relation((*table).relation)).collect::<Result<_, _>>().map(Kind::Vacuum)
            }
            pg_sys::NodeTag::T_AlterTableStmt => {
                let stmt = &*node.cast::<pg_sys::AlterTableStmt>();
                let parts = PgList::<pg_sys::AlterTableCmd>::from_pg(stmt.cmds);
                let sound = |part: *mut pg_sys::AlterTableCmd| {
                    [pg_sys::AlterTableType::AT_SetRelOptions, pg_sys::AlterTableType::AT_ResetRelOptions]
                        .contains(&(*part).subtype)
                        && options((*part).def.cast()).iter().all(|option| option.starts_with("autovacuum_"))
                };
                if stmt.objtype != pg_sys::ObjectType::OBJECT_TABLE || !parts.iter_ptr().all(sound) {
                    return Err(refused("ALTER TABLE may only SET or RESET storage parameters autovacuum_…"));
                }
                Ok(Kind::AlterTable(relation(stmt.relation)?))
            }
            pg_sys::NodeTag::T_AlterRoleSetStmt => {
                let stmt = &*node.cast::<pg_sys::AlterRoleSetStmt>();
                let role = other_role(stmt.role)
                    .ok_or_else(|| refused("ALTER ROLE SET must name a role, and none of pg_oncall's own"))?;
                if !sets_one_of(stmt.setstmt, &ROLE_SETTINGS) {
                    return Err(refused("ALTER ROLE may only SET or RESET a timeout"));
                }
                Ok(Kind::AlterRole(role))
            }
            pg_sys::NodeTag::T_AlterDatabaseSetStmt => {
                let stmt = &*node.cast::<pg_sys::AlterDatabaseSetStmt>();
                if !sets_one_of(stmt.setstmt, &["default_transaction_read_only"]) {
                    return Err(refused("ALTER DATABASE may only SET or RESET default_transaction_read_only"));
                }
                Ok(Kind::AlterDatabase(text(stmt.dbname).unwrap_or_default()))
            }
            _ => Err(refused("it is not one of the statements that actions are made of")),
        }
    }
}

/// The role that a statement names, unless it is one of ours or says "the current one".
// SAFETY: `role` is null or a RoleSpec of the parser.
pub unsafe fn other_role(role: *mut pg_sys::RoleSpec) -> Option<String> {
    // SAFETY: as the function's contract says.
    let named = unsafe {
        role.as_ref()
            .filter(|role| role.roletype == pg_sys::RoleSpecType::ROLESPEC_CSTRING)
            .and_then(|role| text(role.rolename))
    };
    named.filter(|name| !name.starts_with("oncall_"))
}

// SAFETY: `stmt` is a VariableSetStmt of the parser.
unsafe fn sets_one_of(stmt: *mut pg_sys::VariableSetStmt, names: &[&str]) -> bool {
    // SAFETY: as the function's contract says.
    unsafe {
        let kinds = [pg_sys::VariableSetKind::VAR_SET_VALUE, pg_sys::VariableSetKind::VAR_RESET];
        kinds.contains(&(*stmt).kind) && text((*stmt).name).is_some_and(|name| names.contains(&name.as_str()))
    }
}

// SAFETY: `list` is null or a list of DefElem.
unsafe fn options(list: *mut pg_sys::List) -> Vec<String> {
    // SAFETY: as the function's contract says.
    unsafe {
        let list = PgList::<pg_sys::DefElem>::from_pg(list);
        list.iter_ptr().filter_map(|option| text((*option).defname)).collect()
    }
}

// SAFETY: `name` is null or a RangeVar of the parser.
unsafe fn relation(name: *mut pg_sys::RangeVar) -> Result<Relation, SqlError> {
    // SAFETY: as the function's contract says.
    let named = unsafe { name.as_ref().and_then(|name| Some((text(name.schemaname), text(name.relname)?))) };
    named.map(|(schema, name)| Relation { schema, name }).ok_or_else(|| refused("it names no relation"))
}

// SAFETY: `names` is a list of String nodes, as the parser writes a qualified name.
unsafe fn qualified(names: *mut pg_sys::List) -> Result<Relation, SqlError> {
    // SAFETY: as the function's contract says.
    let mut parts: Vec<String> = unsafe {
        let names = PgList::<pg_sys::String>::from_pg(names);
        names.iter_ptr().filter_map(|name| text((*name).sval)).collect()
    };
    let name = parts.pop().ok_or_else(|| refused("it names no relation"))?;
    Ok(Relation { schema: parts.pop(), name })
}

// SAFETY: `text` is null or NUL-terminated.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: as the function's contract says.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
