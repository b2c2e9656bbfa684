//! What a monitoring system says, normalised: whoever sent it, an alert looks the same from here on.
//!
//! [`normalise`] takes a payload as its sender posted it, [`normalise_text`] takes a text. The format is told by its
//! keys, in the fixed order of `formats`; each family of senders has one adapter, which fills a `Draft`; what every
//! alert has in common (name, fingerprint, sizes) is settled once, in `draft`.
//!
//! # What comes out the same, whatever system sent the story
//!
//! - **Severity**: one table of words, [`Severity::parse`].
//! - **Times**: RFC 3339 (nanoseconds, `Z`, `+01:00`, `+0000`), a date and time without an offset (read as UTC), and
//!   epoch seconds, milliseconds, microseconds or nanoseconds. A zero time (`0001-01-01T00:00:00Z`, 0) is none.
//!   `ends_at` is set only when the alert is resolved; an end announced for a firing alert stays in `extra`.
//! - **Labels**: the labels of Alertmanager and Grafana as they are; the `k:v` tags and scope of Datadog, the tags of
//!   Zabbix, the details of Opsgenie, the dimensions of CloudWatch, `custom_details.labels` of PagerDuty under their own names; the
//!   alert's name under `alertname`; the machine under `host` (Datadog `hostname`, Zabbix and Nagios `host`);
//!   PagerDuty's `source`, `component`, `group`, `class` and service, and Opsgenie's `entity` and `source`, under
//!   those names. A severity is a label only where its sender made it one: told elsewhere it may change, or be absent
//!   from the resolution, and the alert would not be the same any more.
//! - **Fingerprint**: the sender's correlation key, or else the labels, or else the text; see `fingerprint`.
//!
//! What a format cannot carry: Nagios has no labels beside host and service; a PagerDuty incident (webhook v3) has no
//! labels beside its service and no name; a PagerDuty or Opsgenie acknowledgement may be nothing but a key;
//! CloudWatch has no severity; plain text has neither labels nor times. Datadog, CloudWatch, Zabbix and Nagios
//! identify an alert by keys of their own, so their fingerprints agree with themselves (a resolution has its
//! trigger's) and not with those of other systems.
//!
//! # Bounds
//!
//! A text or an annotation is cut to [`MAX_TEXT`] bytes, at a character's border; a note in `extra` (`_notes`) says so and
//! how long it was. NUL characters, which Postgres cannot store, become U+FFFD.

mod alertmanager;
mod cloudwatch;
mod datadog;
mod draft;
mod fields;
mod fingerprint;
mod formats;
mod generic;
mod marker;
mod nagios;
mod opsgenie;
mod pagerduty;
mod pairs;
mod severity;
mod status;
mod text;
mod time;
mod unreadable;
mod words;
mod zabbix;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use draft::MAX_TEXT;
pub use fingerprint::Basis;
pub use formats::{AlertError, explain, normalise, normalise_text};
pub use unreadable::{UNREADABLE_SOURCE, unreadable};

/// How bad it is, from `P1` (wake somebody) to `P5` (for the record).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Critical.
    P1,
    /// High.
    P2,
    /// Warning.
    P3,
    /// Low, informational.
    P4,
    /// For the record.
    P5,
}

/// Where an alert stands, by its sender's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It holds now.
    Firing,
    /// It holds, and somebody has seen it.
    Acknowledged,
    /// It no longer holds.
    Resolved,
}

/// One alert, the same whatever system sent it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The system that sent it: `alertmanager`, `grafana`, `pagerduty`, `datadog`, `opsgenie`, `cloudwatch`, `zabbix`, `nagios`, `generic`, `text`; `pg_oncall` for one of its own ([`unreadable`]).
    pub source: String,
    /// Where it stands.
    pub status: Status,
    /// How bad it is, where the sender says so.
    pub severity: Option<Severity>,
    /// Its name (`alertname`), where it has one.
    pub name: Option<String>,
    /// What a person reads, never empty.
    pub text: String,
    /// 16 hexadecimal digits: the same for repeats, and for the resolution, of the same alert.
    pub fingerprint: String,
    /// What identifies it.
    pub labels: BTreeMap<String, String>,
    /// What describes it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it holds.
    pub starts_at: Option<Timestamp>,
    /// Since when it no longer holds.
    pub ends_at: Option<Timestamp>,
    /// Where to look at it.
    pub url: Option<String>,
    /// Every key of the payload that found no place above.
    pub extra: Map<String, Value>,
}
