//! `circuit_breaker`: the switch that stops the router.

use oncall_domain::policy::Breaker;

use super::{Result, statement};

/// The breaker as it is now.
pub fn now() -> Result<Breaker> {
    Ok(of(statement!("breaker").ask::<String>(&[])?.as_deref()))
}

/// What the state of the breaker's row says. A row that is missing is an open breaker: a kill switch must not fail open.
pub fn of(state: Option<&str>) -> Breaker {
    match state {
        Some("closed") => Breaker::Closed,
        Some("unknown") => Breaker::Unknown,
        _ => Breaker::Open,
    }
}
