//! `router_policy` and `circuit_breaker`: by what the router decides.

use oncall_domain::policy::{Breaker, Policy};

use super::{Result, statement};

/// Every policy that can still decide.
pub fn all() -> Result<Vec<Policy>> {
    Ok(statement!("policies").ask(&[])?.unwrap_or_default())
}

/// The state of the breaker. A row that is missing is an open breaker: a kill switch must not fail open.
pub fn breaker() -> Result<Breaker> {
    let state: Option<String> = statement!("breaker").ask(&[])?;
    Ok(match state.as_deref() {
        Some("closed") => Breaker::Closed,
        Some("unknown") => Breaker::Unknown,
        _ => Breaker::Open,
    })
}
