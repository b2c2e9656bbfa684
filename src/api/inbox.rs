//! What people ask of the inbox, and what its trigger needs.

use jiff::SignedDuration;
use oncall_domain::intake;
use pgrx::prelude::*;
use pgrx::{AnyElement, JsonB};
use serde_json::json;

use crate::backend;
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

/// A row as JSON in text, made as this role. In text, because a `JsonB` panics at numbers that only Postgres can read.
#[pg_extern(schema = "oncall_internal", strict)]
fn row_as_json(row: AnyElement, role: pg_sys::Oid) -> Answer<Option<String>> {
    Ok(backend::as_role(role, || inbox::row_as_json(backend::argument(row)))?)
}
