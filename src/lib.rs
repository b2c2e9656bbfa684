//! An on-call engineer that lives inside Postgres.
//!
//! The way of an alert: [`api`] takes it, [`host`] lets the triage agent of `oncall_domain` reach the database
//! ([`store`]) and the model pod (`oncall_model`), the router of `oncall_domain` decides, [`store`] writes it down.
//! What is decided is done by [`worker`]: one process a database that waits for many things at once.
//! [`backend`] holds every `unsafe` block; [`settings`] and [`error`] are what users meet first.

#![allow(clippy::result_large_err, reason = "pgrx reports errors by value, once a statement at most")]

use pgrx::prelude::*;

mod api;
mod authorities;
mod backend;
mod error;
mod host;
mod journaled;
mod pod;
mod resolved;
mod routing;
mod secrets;
mod settings;
mod sinks;
mod store;
mod triaging;
mod worker;

pgrx::pg_module_magic!(name, version);

pgrx::extension_sql_file!("../sql/roles.sql", name = "roles", bootstrap);
pgrx::extension_sql_file!("../sql/tools.sql", name = "tools", requires = ["roles"]);
pgrx::extension_sql_file!("../sql/runbooks.sql", name = "runbooks", requires = ["tools"]);
pgrx::extension_sql_file!("../sql/policy.sql", name = "policy", requires = ["runbooks"]);
pgrx::extension_sql_file!("../sql/incidents.sql", name = "incidents", requires = ["policy"]);
pgrx::extension_sql_file!(
    "../sql/inbox.sql",
    name = "inbox",
    requires = ["incidents", api::inbox::explain_dedup, api::inbox::row_as_json, api::workers::wake_pump]
);
pgrx::extension_sql_file!("../sql/metrics.sql", name = "metrics", requires = ["inbox"]);
pgrx::extension_sql_file!("../sql/health.sql", name = "health", requires = ["metrics"]);
pgrx::extension_sql_file!(
    "../sql/delivery.sql",
    name = "delivery",
    requires = [
        "health",
        api::sinks::check_sink,
        api::sinks::send_test_page,
        api::sinks::page_incident,
        api::workers::wake_pump,
        api::workers::wake
    ]
);
pgrx::extension_sql_file!(
    "../sql/guards.sql",
    name = "guards",
    requires = [
        "delivery",
        api::guards::refuse_change,
        api::guards::tell_sessions,
        api::workers::wake_pump,
        api::workers::wake
    ]
);
pgrx::extension_sql_file!(
    "../sql/functions.sql",
    name = "functions",
    requires = [
        "guards",
        api::incidents::triage,
        api::incidents::triage_text,
        api::incidents::handle,
        api::incidents::handle_text,
        api::incidents::route,
        api::incidents::conditions,
        api::runbooks::store_runbook,
        api::runbooks::check_step,
        api::runbooks::check_tool,
        api::runbooks::embed_builtin,
        api::runbooks::embed_passage_builtin,
        api::runbooks::embed_passage,
        api::runbooks::embedding_model,
        api::runbooks::embedding_dimension,
        api::runbooks::probe_dimension,
        api::runbooks::search,
        api::workers::processes,
        api::diagnostics::run_diagnostic,
        api::diagnostics::try_guard
    ]
);
pgrx::extension_sql_file!(
    "../sql/people.sql",
    name = "people",
    requires = [
        "functions",
        api::people::plan_step,
        api::people::step_on_offer,
        api::people::policy_in_force,
        api::people::record_acknowledgement,
        api::people::record_decision,
        api::people::record_resolution,
        api::people::is_own_transaction
    ]
);
pgrx::extension_sql_file!("../sql/maintenance.sql", name = "maintenance", requires = ["people"]);
pgrx::extension_sql_file!(
    "../sql/chores.sql",
    name = "chores",
    requires = ["maintenance", api::people::forget_journal, api::people::forget_inferences]
);
pgrx::extension_sql_file!("../sql/grants.sql", name = "grants", finalize);

/// Called once a process when the library is loaded; in the postmaster, when it is preloaded as it must be.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    if backend::is_binary_upgrade() {
        return;
    }
    if !backend::is_preloading() {
        error::raise(error::OncallError::NotPreloaded);
    }
    settings::define();
    backend::shared::request();
    backend::board::request();
    backend::mailbox::request();
    backend::install_hooks();
    worker::launcher::register();
}
