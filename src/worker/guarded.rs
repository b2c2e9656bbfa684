//! A future that can fail alone.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::LocalBoxFuture;
use pgrx::pg_sys::panic::CaughtError;

use crate::backend::{self, SqlError};

/// Why a future ended before its time.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// It panicked, or raised an error outside of [`backend::transaction`].
    #[error("it panicked: {0}")]
    Panic(String),
    /// It returned to the event loop with a transaction open.
    #[error("it left a transaction open over an await")]
    OpenTransaction,
}

/// Around a future: whatever goes wrong while it is polled ends this future and nothing else.
///
/// After every poll it is looked whether a transaction was left open, for the next future that begins one would take the
/// whole process down.
pub struct Guarded<T>(Option<LocalBoxFuture<'static, T>>);

impl<T> Guarded<T> {
    /// The guard around this future.
    pub fn new(future: LocalBoxFuture<'static, T>) -> Self {
        Self(Some(future))
    }
}

impl<T> Future for Guarded<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.0.as_mut() else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        let left_open = backend::abandon_transaction();
        let outcome = match polled {
            Ok(Poll::Pending) if !left_open => return Poll::Pending,
            Ok(Poll::Ready(value)) if !left_open => Ok(value),
            Ok(_) => Err(Failure::OpenTransaction),
            Err(panic) => Err(Failure::Panic(said(&*panic))),
        };
        // Its destructors are its own code, too.
        let future = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
        backend::abandon_transaction();
        Poll::Ready(outcome)
    }
}

/// What a panic says: an error of Postgres by its message, else the panic's own words.
pub fn said(panic: &(dyn Any + Send)) -> String {
    if let Some(caught) = panic.downcast_ref::<CaughtError>() {
        let error = SqlError::from(caught);
        return format!("{} ({})", error.message, error.sqlstate());
    }
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
