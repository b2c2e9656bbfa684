//! What an executor does about a command that failed: name the right that is missing, and clean up what was left.

use oncall_domain::host::ToolOutcome;
use oncall_domain::tool::missing_right;

use super::{cleaning_time, failed, failure};
use crate::backend::command::{self, Access, Command, Kind, Relation};
use crate::backend::toplevel::{self, Limits};
use crate::backend::{SqlError, transaction};
use crate::store::rights::{self, InvalidIndex};

const EXECUTOR: &str = "oncall_executor";
const OBSERVER: &str = "oncall_observer";

/// The relation whose indexes may be left invalid by a command.
fn builds_on(kind: &Kind) -> Option<&Relation> {
    match kind {
        Kind::CreateIndex(table, _) => Some(table),
        Kind::Reindex(index) => Some(index),
        _ => None,
    }
}

/// The invalid indexes of the table that a command builds an index on, none for any other command.
pub fn invalid_indexes(kind: &Kind) -> Vec<InvalidIndex> {
    let Some(relation) = builds_on(kind) else { return Vec::new() };
    transaction(|| rights::invalid_indexes(relation.schema.as_deref(), &relation.name)).unwrap_or_default()
}

/// A VACUUM of a table that it may not touch skips it, warns and succeeds. That is no success.
pub fn skipped(kind: &Kind, warnings: &mut Vec<String>) -> Option<ToolOutcome> {
    let Kind::Vacuum(tables) = kind else { return None };
    let skips = |warning: &String| warning.contains("skipping");
    if tables.is_empty() {
        // A VACUUM of everything is of what it may touch; it warns of each of the others.
        warnings.retain(|warning| !skips(warning));
        let nothing = transaction(rights::may_vacuum_anything).is_ok_and(|anything| !anything);
        let message = format!("{EXECUTOR} may vacuum no table of this database");
        let hint = "GRANT the role that owns the tables, or the database, TO oncall_executor";
        return nothing.then(|| failed("42501", message, Some(hint.to_owned())));
    }
    let warning = warnings.iter().find(|warning| skips(warning))?;
    let locked = warning.contains("lock not available");
    let hint = if locked { None } else { tables.iter().find_map(|table| on_relation(table, "maintain")) };
    Some(failed(if locked { "55P03" } else { "42501" }, warning.clone(), hint))
}

/// The failure, with what is missing as its hint, after what it left behind was removed.
pub fn after_failure(command: &Command, error: SqlError, before: &[InvalidIndex], limits: &Limits) -> ToolOutcome {
    let cleaned = clean_up(command.kind(), before, limits);
    let role = if command.access() == Access::Write { EXECUTOR } else { OBSERVER };
    let ToolOutcome::Failed { sqlstate, message, detail, hint } = failure(error) else {
        unreachable!("a failure is one")
    };
    let missing = (sqlstate == "42501").then(|| on_object(command.kind())).flatten();
    let hint = missing.or_else(|| missing_right(role, &sqlstate, &message, detail.as_deref())).or(hint);
    let detail = match (detail, cleaned) {
        (Some(detail), Some(cleaned)) => Some(format!("{detail} {cleaned}")),
        (detail, cleaned) => detail.or(cleaned),
    };
    ToolOutcome::Failed { sqlstate, message, detail, hint }
}

/// Which GRANT the object of a command wants.
fn on_object(kind: &Kind) -> Option<String> {
    match kind {
        Kind::CreateIndex(table, _) => on_relation(table, "create index"),
        Kind::Reindex(index) => on_relation(index, "maintain"),
        Kind::Vacuum(tables) => tables.iter().find_map(|table| on_relation(table, "maintain")),
        Kind::DropIndex(relation) | Kind::AlterTable(relation) => on_relation(relation, "alter"),
        Kind::AlterDatabase(database) => transaction(|| rights::missing_on_database(database)).ok().flatten(),
        Kind::AlterRole(_) | Kind::Select => None,
    }
}

fn on_relation(relation: &Relation, purpose: &str) -> Option<String> {
    transaction(|| rights::missing_on_relation(relation.schema.as_deref(), &relation.name, purpose)).ok().flatten()
}

/// Drop the invalid index that a failed build left; what was done, in words.
///
/// It waits for whoever has used the table, as the build did: longer than a short limit of that, if need be.
fn clean_up(kind: &Kind, before: &[InvalidIndex], limits: &Limits) -> Option<String> {
    let limits = &Limits { statement_timeout: cleaning_time(limits.statement_timeout), ..*limits };
    let left = invalid_indexes(kind);
    let ours =
        |index: &&InvalidIndex| !before.iter().any(|known| known.oid == index.oid) && is_left_by(kind, &index.name);
    let told: Vec<String> = left.iter().filter(ours).map(|index| drop_index(index, limits)).collect();
    (!told.is_empty()).then(|| told.join(" "))
}

/// Whether a failed command leaves an index of this name: not that of somebody else who builds one on the same table.
fn is_left_by(kind: &Kind, name: &str) -> bool {
    match kind {
        Kind::CreateIndex(_, index) => index.as_deref().is_none_or(|index| index == name),
        Kind::Reindex(index) => ["_ccnew", "_ccold"].iter().any(|ending| {
            // A long name is cut to make room for the ending.
            name.rsplit_once(ending).is_some_and(|(stem, _)| !stem.is_empty() && index.name.starts_with(stem))
        }),
        _ => false,
    }
}

fn drop_index(index: &InvalidIndex, limits: &Limits) -> String {
    let dropped = command::read(&index.drop, Access::Write).and_then(|drop| toplevel::execute(&drop, limits));
    match dropped {
        Ok(_) => format!("The invalid index {} that it left was dropped.", index.qualified),
        Err(error) => {
            format!("It left the invalid index {}, which could not be dropped: {error}.", index.qualified)
        }
    }
}
