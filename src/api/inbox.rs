//! What people ask of the inbox.

use jiff::SignedDuration;
use oncall_domain::intake;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::json;

use crate::error::{Answer, OncallError};
use crate::settings;
use crate::store::{self, inbox};

/// What each alert of a payload, JSON as text, would do, and by which rule.
#[pg_extern(schema = "oncall_internal", strict, stable)]
fn explain_dedup(payload: &str) -> Answer<JsonB> {
    let alerts = intake::read_explained(payload).map_err(OncallError::from)?;
    let known = inbox::known(alerts.iter().map(|(alert, _)| alert.fingerprint.clone()).collect())?;
    let window = SignedDuration::from_secs(settings::dedup_window_s().into());
    let explained = intake::explain(&alerts, known, window, store::transaction_start()?);
    Ok(JsonB(json!(explained)))
}
