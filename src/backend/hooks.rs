//! What other sessions do that concerns the workers, seen where it happens: extensions and databases come and go.
//!
//! Hooks, and not event triggers or calls in the extension's script: they see DROP DATABASE before it counts sessions,
//! and nobody can switch them off.

use std::ffi::{c_char, c_int, c_void};

use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{PgList, is_a, pg_guard, pg_sys};

use super::{board, commit, shared};

static mut EARLIER_ACCESS_HOOK: pg_sys::object_access_hook_type = None;
static mut EARLIER_UTILITY_HOOK: pg_sys::ProcessUtility_hook_type = None;

/// Install both; called once, while the library is preloaded.
pub fn install() {
    // SAFETY: in the postmaster, before there is any other process or thread; who was there before is called on.
    unsafe {
        EARLIER_ACCESS_HOOK = pg_sys::object_access_hook;
        pg_sys::object_access_hook = Some(on_access);
        EARLIER_UTILITY_HOOK = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(on_utility);
    }
}

// SAFETY: called by the server only, with what its hook promises.
#[pg_guard]
unsafe extern "C-unwind" fn on_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub: c_int,
    argument: *mut c_void,
) {
    // SAFETY: written once, before this hook could be called; called with the very arguments, behind a guard since it is C.
    unsafe {
        if let Some(earlier) = EARLIER_ACCESS_HOOK {
            pg_guard_ffi_boundary(|| earlier(access, class, object, sub, argument));
        }
    }
    use pg_sys::ObjectAccessType as Access;
    match (class, access) {
        // A pump is wanted, or gone back to: it looks itself whether the extension is this one.
        (pg_sys::ExtensionRelationId, Access::OAT_POST_CREATE) => commit::call_launcher_at_commit(),
        (pg_sys::ExtensionRelationId, Access::OAT_DROP) => commit::wake_pump_at_commit(),
        // DROP DATABASE has checked who may, and counts the sessions next.
        (pg_sys::DatabaseRelationId, Access::OAT_DROP) => {
            shared::send_away(object.to_u32());
            board::end_executors(object.to_u32());
        }
        (pg_sys::DatabaseRelationId, Access::OAT_POST_CREATE | Access::OAT_POST_ALTER) => {
            commit::call_launcher_everywhere_at_commit();
        }
        _ => {}
    }
}

// SAFETY: called by the server only, with what its hook promises.
#[pg_guard]
#[allow(clippy::too_many_arguments, reason = "the server's signature")]
unsafe extern "C-unwind" fn on_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the server hands over a valid statement; what is called next gets the very arguments, behind a guard
    // since an earlier hook is C.
    unsafe {
        before((*statement).utilityStmt);
        match EARLIER_UTILITY_HOOK {
            Some(earlier) => pg_guard_ffi_boundary(|| {
                earlier(statement, query, read_only_tree, context, parameters, environment, destination, completion)
            }),
            None => pg_sys::standard_ProcessUtility(
                statement,
                query,
                read_only_tree,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
        }
    }
}

/// What must happen before a command runs: these want the database to themselves and wait a few seconds for that only.
// SAFETY: for callers, `command` is the node of a utility command.
unsafe fn before(command: *mut pg_sys::Node) {
    // SAFETY: each node is read as what its tag says that it is.
    unsafe {
        if is_a(command, pg_sys::NodeTag::T_CreatedbStmt) {
            let create = &*command.cast::<pg_sys::CreatedbStmt>();
            if let Some(template) = option(create.options, b"template") {
                send_away_if_owned(template);
            }
        } else if is_a(command, pg_sys::NodeTag::T_RenameStmt) {
            let rename = &*command.cast::<pg_sys::RenameStmt>();
            if rename.renameType == pg_sys::ObjectType::OBJECT_DATABASE {
                send_away_if_owned(rename.subname);
            }
        } else if is_a(command, pg_sys::NodeTag::T_AlterDatabaseStmt) {
            let alter = &*command.cast::<pg_sys::AlterDatabaseStmt>();
            if option(alter.options, b"tablespace").is_some() {
                send_away_if_owned(alter.dbname);
            }
        } else if is_a(command, pg_sys::NodeTag::T_TransactionStmt) {
            let transaction = &*command.cast::<pg_sys::TransactionStmt>();
            if transaction.kind == pg_sys::TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED {
                // What the prepared transaction had to tell is not known here. A needless look costs little.
                commit::wake_pump_at_commit();
            }
        }
    }
}

/// The text of an option of a command, if it is given.
// SAFETY: for callers, `options` is a list of `DefElem`.
unsafe fn option(options: *mut pg_sys::List, name: &[u8]) -> Option<*mut c_char> {
    // SAFETY: the list and its elements are the parser's; names are NUL-terminated; defGetString raises for no value.
    unsafe {
        let options = PgList::<pg_sys::DefElem>::from_pg(options);
        let named = options.iter_ptr().find(|&e| std::ffi::CStr::from_ptr((*e).defname).to_bytes() == name)?;
        (!(*named).arg.is_null()).then(|| pg_sys::defGetString(named))
    }
}

/// Send the pump of this database away, if the user owns it: nobody else could do what follows, or may disturb the pump.
// SAFETY: for callers, `name` is a C string.
unsafe fn send_away_if_owned(name: *const c_char) {
    // SAFETY: inside of the command's transaction; a missing database is answered by 0.
    unsafe {
        let database = pg_sys::get_database_oid(name, true);
        if database != pg_sys::InvalidOid && is_owner(database) {
            shared::send_away(database.to_u32());
        }
    }
}

/// Whether the user owns this database, or is a superuser.
// SAFETY: for callers, inside of a transaction.
unsafe fn is_owner(database: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalogue by its caches; the function has another name before 16.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_database_ownercheck(database, pg_sys::GetUserId());
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, pg_sys::GetUserId());
    }
}
