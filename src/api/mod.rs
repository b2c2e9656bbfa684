//! What SQL calls: parse, call, convert. The functions that people call stand in `sql/functions.sql`; these are what
//! they are made of, in the schema `oncall_internal`.

pub mod diagnostics;
pub mod guards;
pub mod inbox;
pub mod incidents;
pub mod people;
pub mod runbooks;
pub mod sinks;
pub mod workers;

/// The schema of these functions, declared for pgrx; `sql/roles.sql` makes it, before anything that lies in it.
#[pgrx::pg_schema]
mod oncall_internal {}
