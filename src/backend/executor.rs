//! The process of an executor: how it is started, how it logs in, and what it sets for itself.

use std::ffi::{CStr, CString, c_char};
use std::mem;
use std::ptr;
use std::time::Duration;

use pgrx::{PgSqlErrorCode, ereport, is_a, pg_guard, pg_sys};

use super::command::{Access, other_role};
use super::log_capture;
use super::mailbox::Ticket;
use super::process::set_where_known;

/// The most memory of its own that a process which only reads may have: a runaway query ends, and nothing else does.
const MOST_MEMORY: u64 = 512 * 1024 * 1024;

/// The worker process of a mail, as the one who started it knows it.
#[derive(Debug)]
pub struct Process(*mut pg_sys::BackgroundWorkerHandle);

impl Process {
    /// Start an executor for this mail; `None` when the server has no worker slot free. This process is woken when it
    /// starts and when it ends.
    pub fn start(ticket: Ticket) -> Option<Self> {
        // SAFETY: all zeros is a valid value of this struct of numbers and characters. The server copies it; the handle
        // is allocated where nothing but `drop` frees it.
        unsafe {
            let mut worker: pg_sys::BackgroundWorker = mem::zeroed();
            write_name(&mut worker.bgw_name, c"pg_oncall executor");
            write_name(&mut worker.bgw_type, c"pg_oncall executor");
            write_name(&mut worker.bgw_library_name, c"pg_oncall");
            write_name(&mut worker.bgw_function_name, c"oncall_executor_main");
            worker.bgw_flags = (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION) as i32;
            worker.bgw_start_time = pg_sys::BgWorkerStartTime::BgWorkerStart_ConsistentState;
            worker.bgw_restart_time = pg_sys::BGW_NEVER_RESTART;
            worker.bgw_main_arg = pg_sys::Datum::from(ticket.to_argument());
            worker.bgw_notify_pid = pg_sys::MyProcPid;
            let mut handle = ptr::null_mut();
            let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
            let started = pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, &raw mut handle);
            pg_sys::MemoryContextSwitchTo(before);
            // Not `then_some`: a handle that was never given must not come to be, for it would be freed at once.
            started.then(|| Self(handle))
        }
    }

    /// Whether it has ended, or never came up.
    pub fn has_ended(&self) -> bool {
        let mut pid = 0;
        // SAFETY: the handle is of a worker that this process registered.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(self.0, &raw mut pid) };
        status == pg_sys::BgwHandleStatus::BGWH_STOPPED
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: the handle was allocated for this value alone; to forget a worker does not end it.
        unsafe { pg_sys::pfree(self.0.cast()) };
    }
}

fn write_name(field: &mut [c_char], name: &CStr) {
    for (place, byte) in field.iter_mut().zip(name.to_bytes_with_nul()) {
        *place = *byte as c_char;
    }
}

/// The OID of a role, in a transaction.
pub fn role_oid(name: &CStr) -> Option<u32> {
    // SAFETY: a look into the catalogue inside of a transaction; a missing role is answered by 0.
    let oid = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) }.to_u32();
    Some(oid).filter(|&oid| oid != 0)
}

/// The OID of this process' database.
pub fn database() -> u32 {
    // SAFETY: a plain value of this process.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// Log this process in to a database as a role. A refusal ends the process, and the log hook hears why.
pub fn log_in(database: u32, role: u32) {
    log_capture::listen();
    super::process::handle_signals();
    // From 17 on the roles need no LOGIN. Before, they have it, with CONNECTION LIMIT 0, which keeps clients out.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    let flags = pg_sys::BGWORKER_BYPASS_ROLELOGINCHECK;
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    let flags = 0;
    // SAFETY: in the main function of a background worker, once, before anything that needs a database.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(pg_sys::Oid::from(database), pg_sys::Oid::from(role), flags);
        // Whoever may signal a role's sessions could end the executors of that role: a tool that ends sessions, or one
        // executor another. Sessions of the bootstrap superuser only a superuser may signal, and that is all that this
        // field is read for.
        (*pg_sys::MyProc).roleId = pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
        NEXT_UTILITY = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(utility);
    }
}

/// Whether the role that this process runs as is a superuser.
pub fn is_superuser() -> bool {
    // SAFETY: a setting that every process has; its value lives until the next call.
    unsafe { CStr::from_ptr(pg_sys::GetConfigOption(c"is_superuser".as_ptr(), false, false)) == c"on" }
}

/// What holds whatever `ALTER ROLE … SET` and `ALTER DATABASE … SET` say: a role may alter itself, and must not by that
/// stop those who come after it.
const SETTINGS: &[(&CStr, &CStr)] = &[
    (c"role", c"none"),
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"lc_messages", c"C"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_deferrable", c"off"),
    (c"statement_timeout", c"0"),
    (c"transaction_timeout", c"0"),
    (c"idle_in_transaction_session_timeout", c"0"),
    (c"standard_conforming_strings", c"on"),
    (c"transform_null_equals", c"off"),
    (c"gin_fuzzy_search_limit", c"0"),
    (c"row_security", c"on"),
    (c"DateStyle", c"ISO"),
    (c"IntervalStyle", c"postgres"),
    (c"bytea_output", c"hex"),
    (c"extra_float_digits", c"1"),
    (c"application_name", c"pg_oncall"),
    (c"track_activities", c"on"),
    (c"pg_stat_statements.track", c"none"),
];

/// What holds for a process that only reads, beside these.
const READER_SETTINGS: &[(&CStr, &CStr)] = &[
    (c"default_transaction_read_only", c"on"),
    (c"max_parallel_workers_per_gather", c"0"),
    (c"work_mem", c"16MB"),
    (c"temp_file_limit", c"1GB"),
];

/// Set what the command runs under, after the login, so that no setting of the role's own counts.
pub fn settle(access: Access) {
    SETTINGS.iter().for_each(|(name, value)| set_where_known(name, value));
    match access {
        Access::Read => {
            READER_SETTINGS.iter().for_each(|(name, value)| set_where_known(name, value));
            limit_memory();
        }
        Access::Write => set_where_known(c"default_transaction_read_only", c"off"),
    }
    // SAFETY: a plain setting of this process.
    if unsafe { pg_sys::log_min_messages } > pg_sys::WARNING as i32 {
        // The warnings of a command are heard on their way to the log.
        set_where_known(c"log_min_messages", c"warning");
    }
}

/// How long the command may wait for any one lock; for as long as it may run if there is no limit.
pub fn limit_lock_waits(limit: Option<Duration>) {
    let milliseconds = limit.map_or(0, |limit| limit.as_millis().clamp(1, i32::MAX as u128));
    let text = CString::new(milliseconds.to_string()).expect("digits hold no NUL");
    set_where_known(c"lock_timeout", &text);
}

/// Bound what this process may allocate: then an allocation fails, which is an error like others.
fn limit_memory() {
    let limit = libc::rlimit { rlim_cur: MOST_MEMORY, rlim_max: MOST_MEMORY };
    // SAFETY: a system call with a struct that lives here. Where it is refused there is no bound, as in any session.
    unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) };
}

// SAFETY: written once, by `log_in`, before the first command, and never by another thread.
static mut NEXT_UTILITY: pg_sys::ProcessUtility_hook_type = None;

/// No command of an executor changes roles, by whatever function it is wrapped in: a role may alter itself, and what it
/// stores there would outlive it.
#[pg_guard]
#[allow(clippy::too_many_arguments, reason = "the server's hook")]
// SAFETY: the server calls it with a statement that it has planned; the arguments go on as they came.
unsafe extern "C-unwind" fn utility(
    planned: *mut pg_sys::PlannedStmt,
    sql: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    to: *mut pg_sys::DestReceiver,
    done: *mut pg_sys::QueryCompletion,
) {
    use pg_sys::NodeTag as Tag;
    // SAFETY: as above; a node is read as what its tag says that it is.
    unsafe {
        let node = (*planned).utilityStmt;
        let alters_roles = [
            Tag::T_CreateRoleStmt,
            Tag::T_AlterRoleStmt,
            Tag::T_DropRoleStmt,
            Tag::T_GrantRoleStmt,
            Tag::T_ReassignOwnedStmt,
            Tag::T_DropOwnedStmt,
        ]
        .contains(&(*node).type_)
            || is_a(node, Tag::T_AlterRoleSetStmt)
                && other_role((*node.cast::<pg_sys::AlterRoleSetStmt>()).role).is_none();
        if alters_roles {
            ereport!(
                ERROR,
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "an executor does not change roles",
                "Only a timeout of a role that is none of pg_oncall's own: ALTER ROLE … SET statement_timeout."
            );
        }
        match NEXT_UTILITY {
            Some(next) => next(planned, sql, read_only_tree, context, params, environment, to, done),
            None => {
                pg_sys::standard_ProcessUtility(planned, sql, read_only_tree, context, params, environment, to, done)
            }
        }
    }
}
