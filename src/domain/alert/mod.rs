//! What a monitoring system says, normalised.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

impl Severity {
    /// As it is written: `P1` to `P5`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::P5 => "P5",
        }
    }
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
    /// The system that sent it: `alertmanager`, `grafana`, `pagerduty`, `datadog`, `opsgenie`, `cloudwatch`, `zabbix`, `nagios`, `generic`, `text`.
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
