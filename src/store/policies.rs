//! `router_policy` and `circuit_breaker`: by what the router decides.

use oncall_domain::policy::{Breaker, Policy};

use super::{Result, statement};

/// Every policy that can still decide.
pub fn all() -> Result<Vec<Policy>> {
    Ok(statement!("policies").ask(&[])?.unwrap_or_default())
}

/// The breaker as it is now.
pub fn breaker_now() -> Result<Breaker> {
    Ok(breaker(statement!("breaker").ask::<String>(&[])?.as_deref()))
}

/// What the state of the breaker's row says. A row that is missing is an open breaker: a kill switch must not fail open.
pub fn breaker(state: Option<&str>) -> Breaker {
    match state {
        Some("closed") => Breaker::Closed,
        Some("unknown") => Breaker::Unknown,
        _ => Breaker::Open,
    }
}
