//! The executor's own end: log in, run the command, leave the outcome, end.

use oncall_domain::host::ToolOutcome;
use pgrx::prelude::*;

use super::{Command, failed, failure, remedy};
use crate::backend::board::{Kind, Place};
use crate::backend::command::{self, Access};
use crate::backend::mailbox::{self, Letter};
use crate::backend::toplevel::{self, Limits};
use crate::backend::{executor, log_capture};

/// How many bytes the rows may take: an outcome has to fit into its mailbox, with the warnings, and JSON's escapes.
const MOST_BYTES: usize = 12 * 1024;
/// The most characters of a message, a detail or a hint.
const MOST_WORDS: usize = 1000;

/// The main function of an executor; the argument is its mail.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn oncall_executor_main(argument: pg_sys::Datum) {
    let Some(letter) = Letter::open(argument.value()) else { return };
    let Some((database, role)) = letter.address() else { return };
    executor::log_in(database, role);
    let mut place = Place::take(Kind::Executor, Some(database));
    let Some(text) = letter.begin() else { return };
    let outcome = match serde_json::from_slice::<Command>(&text) {
        Ok(command) => {
            place.say(&command.sql, "");
            obey(&command)
        }
        Err(error) => failed("XX000", format!("the command cannot be read: {error}"), None),
    };
    letter.answer(&fitted(outcome));
}

fn obey(command: &Command) -> ToolOutcome {
    if executor::is_superuser() {
        let message = format!("{} is a superuser, and must not be one", command.role().to_string_lossy());
        let hint = "What runs as this role is to have no right that was not granted. ALTER ROLE … NOSUPERUSER";
        return failed("42501", message, Some(hint.to_owned()));
    }
    let access = if command.writes { Access::Write } else { Access::Read };
    executor::settle(access);
    let limits = Limits {
        statement_timeout: command.statement_timeout,
        max_rows: command.max_rows as usize,
        max_bytes: MOST_BYTES,
    };
    let read = match command::read(&command.sql, access) {
        Ok(read) => read,
        Err(error) => return failure(error),
    };
    executor::limit_lock_waits((!read.kind().waits_in_nobodys_way()).then_some(command.lock_timeout));
    let before = remedy::invalid_indexes(read.kind());
    log_capture::take_warnings();
    let given = toplevel::execute(&read, &limits);
    let mut warnings = log_capture::take_warnings();
    match given {
        Ok(given) => match remedy::skipped(read.kind(), &mut warnings) {
            Some(failed) => failed,
            None => {
                ToolOutcome::Done { rows: given.rows, truncated: given.truncated, affected: given.affected, warnings }
            }
        },
        Err(error) => remedy::after_failure(&read, error, &before, &limits),
    }
}

/// As JSON, small enough for the mailbox.
fn fitted(mut outcome: ToolOutcome) -> Vec<u8> {
    if let ToolOutcome::Failed { message, detail, hint, .. } = &mut outcome {
        cut(message);
        detail.iter_mut().chain(hint).for_each(cut);
    }
    loop {
        let text = serde_json::to_vec(&outcome).unwrap_or_default();
        if text.len() <= mailbox::ROOM {
            return text;
        }
        match &mut outcome {
            ToolOutcome::Done { rows, truncated, .. } if !rows.is_empty() => {
                rows.pop();
                *truncated = true;
            }
            ToolOutcome::Done { warnings, .. } if !warnings.is_empty() => drop(warnings.pop()),
            // Words of a thousand characters each fit, whatever they are.
            _ => return text,
        }
    }
}

fn cut(words: &mut String) {
    if let Some((end, _)) = words.char_indices().nth(MOST_WORDS) {
        words.truncate(end);
        words.push('…');
    }
}
