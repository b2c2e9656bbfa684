//! Another role for one statement.

use pgrx::datum::DatumWithOid;
use pgrx::{AnyElement, pg_sys};

/// A value of any type as an argument of a statement.
pub fn argument<'a>(value: AnyElement) -> DatumWithOid<'a> {
    let oid = value.oid();
    // SAFETY: the value is of this type by the server's own word, and lives as long as the call that brought it here.
    unsafe { DatumWithOid::new(value, oid) }
}

/// Do something with no more rights than `role` has, as the server evaluates the expression of an index: who does it may
/// not become somebody else, and what it sets is gone after it.
pub fn as_role<T>(role: pg_sys::Oid, body: impl FnOnce() -> T) -> T {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    let restricted = (pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION) as i32;
    // SAFETY: on the main thread inside of a transaction. If `body` raises, the abort of the (sub)transaction puts user and
    // context back and closes the nest level, as it does for a SECURITY DEFINER function.
    let level = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(role, context | restricted);
        pg_sys::NewGUCNestLevel()
    };
    let value = body();
    // SAFETY: undoes the above, once, in the reverse order; not as a commit, so that no setting of the body's stays.
    unsafe {
        pg_sys::AtEOXact_GUC(false, level);
        pg_sys::SetUserIdAndSecContext(user, context);
    }
    value
}
