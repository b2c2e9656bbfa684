//! What can go wrong outside of the extension.

use std::io;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a set-up, a cluster or a test stage failed, in words for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine lacks something that only its owner can give.
    #[error("{0}")]
    SetUp(String),
    /// A program ran and failed.
    #[error("`{command}` failed ({status})\n{output}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// Its exit status.
        status: String,
        /// What it printed, where that was caught; its error messages first.
        output: String,
    },
    /// A stage of the verification failed.
    #[error("{0}")]
    Stage(String),
    /// A server did not start, or stopped by itself.
    #[error("{what}; the end of its log:\n{log}")]
    Server {
        /// What happened.
        what: String,
        /// The last lines of its log.
        log: String,
    },
    /// The file system refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The server refused a statement.
    #[error("{}", in_full(.0))]
    Sql(#[from] postgres::Error),
}

/// Says what was being done when the file system refused.
pub trait Doing<T> {
    /// `doing` completes the sentence "cannot …".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { doing: doing(), source })
    }
}

/// The server's message with its SQLSTATE, detail and hint: the driver's own text is only "db error".
fn in_full(error: &postgres::Error) -> String {
    let Some(server) = error.as_db_error() else { return error.to_string() };
    let mut text = format!("{}: {}", server.code().code(), server.message());
    for (name, more) in [("DETAIL", server.detail()), ("HINT", server.hint()), ("CONTEXT", server.where_())] {
        if let Some(more) = more {
            text.push_str(&format!("\n{name}: {more}"));
        }
    }
    text
}
