//! A page in the words of a sink: one file a format, each a pure function from a page to a request.
//!
//! The way of a page: [`render`] makes a [`Request`] of it, the outbox sends that, [`schedule`] says what follows from
//! what came back. A request is made anew for each attempt, so that no secret has to be kept with the page.

mod generic;
mod opsgenie;
mod pagerduty;
mod parts;
pub mod schedule;
mod secret;
mod slack;
mod teams;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::page::Page;

pub use secret::{InvalidSecret, Secret};

/// How a sink wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The page as a CloudEvent in JSON, signed where there is a secret.
    Generic,
    /// A Slack incoming webhook; its address is the secret.
    Slack,
    /// The PagerDuty Events API v2; the secret is the routing key.
    Pagerduty,
    /// A Teams workflow, by Adaptive Card; its address is the secret.
    Teams,
    /// The Opsgenie alert API; the secret is the key of the integration.
    Opsgenie,
}

impl Format {
    /// As it is written in a sink's row.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Slack => "slack",
            Self::Pagerduty => "pagerduty",
            Self::Teams => "teams",
            Self::Opsgenie => "opsgenie",
        }
    }

    /// What the secret of such a sink is.
    pub fn secret_is(self) -> SecretIs {
        match self {
            Self::Generic => SecretIs::Optional,
            Self::Slack | Self::Teams => SecretIs::Address,
            Self::Pagerduty | Self::Opsgenie => SecretIs::Key,
        }
    }
}

/// What the secret of a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretIs {
    /// A key that signs; without one the request goes unsigned.
    Optional,
    /// A key that the receiver wants.
    Key,
    /// The address itself, where the sink's row has none.
    Address,
}

/// What stands on the outside of a page.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The same for each attempt at this page and this sink, and for no other.
    pub idempotency_key: &'a str,
    /// The same for every page of the incident, in any sink: what PagerDuty and Opsgenie join alerts by.
    pub incident_key: &'a str,
    /// The database that pages.
    pub database: &'a str,
    /// The time of the attempt, for the signature.
    pub now: Timestamp,
    /// The sink's secret, where it is not the address.
    pub secret: Option<&'a Secret>,
}

/// What to send: always a POST, always JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// What follows the sink's address.
    pub path: String,
    /// Headers beside `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
    /// The body, JSON.
    pub body: String,
}

/// `page` in the words of `format`. Every field keeps to the receiver's limits, whatever the page holds.
pub fn render(format: Format, page: &Page, envelope: &Envelope<'_>) -> Request {
    let mut request = match format {
        Format::Generic => generic::render(page, envelope),
        Format::Slack => slack::render(page),
        Format::Pagerduty => pagerduty::render(page, envelope),
        Format::Teams => teams::render(page),
        Format::Opsgenie => opsgenie::render(page, envelope),
    };
    request.headers.push(("Idempotency-Key", envelope.idempotency_key.to_owned()));
    request
}

impl Request {
    /// A request to the sink's own address.
    fn to_address(body: &serde_json::Value) -> Self {
        Self { path: String::new(), headers: Vec::new(), body: body.to_string() }
    }
}
