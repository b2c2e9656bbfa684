//! A span of time as runbooks write it: a whole number and one unit, as in `5 min`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds in each unit, largest first, with its short name.
///
/// The short names are those that Postgres reads alike in an interval and in a setting such as `statement_timeout`.
const UNITS: [(u64, &str, &[&str]); 5] = [
    (86_400_000, "d", &["day", "days"]),
    (3_600_000, "h", &["hour", "hours"]),
    (60_000, "min", &["minute", "minutes"]),
    (1_000, "s", &["sec", "second", "seconds"]),
    (1, "ms", &["millisecond", "milliseconds"]),
];

/// The greatest interval: 24 days, so that it fits the 32-bit milliseconds of Postgres' timeouts.
const MAX_MS: u64 = 24 * 86_400_000;

/// A span of time, from 1 ms to 24 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval {
    milliseconds: u64,
}

/// Why a text is not an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an interval: a whole number and one of ms, s, min, h, d, from '1 ms' to '24 d'")]
pub struct InvalidInterval(String);

impl Interval {
    /// Read `5 min`, `5min`, `300 seconds`.
    pub fn parse(text: &str) -> Result<Self, InvalidInterval> {
        let invalid = || InvalidInterval(text.to_owned());
        let trimmed = text.trim_matches(' ');
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start_matches(' ');
        let (size, ..) =
            UNITS.iter().find(|(_, short, long)| *short == unit || long.contains(&unit)).ok_or_else(invalid)?;
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let milliseconds = number.checked_mul(*size).filter(|ms| (1..=MAX_MS).contains(ms)).ok_or_else(invalid)?;
        Ok(Self { milliseconds })
    }
}

/// The canonical form, in the largest unit that divides it: `5min`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, short, _) =
            UNITS.iter().find(|(size, ..)| self.milliseconds.is_multiple_of(*size)).expect("1 divides everything");
        write!(f, "{}{short}", self.milliseconds / size)
    }
}

impl TryFrom<String> for Interval {
    type Error = InvalidInterval;
    fn try_from(text: String) -> Result<Self, InvalidInterval> {
        Self::parse(&text)
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> String {
        interval.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_span_has_one_form_however_it_was_written() {
        for text in ["5 min", "5min", "300 seconds", "300s", "300000 ms", " 5 minutes "] {
            assert_eq!(Interval::parse(text).unwrap().to_string(), "5min", "{text}");
        }
        assert_eq!(Interval::parse("90 s").unwrap().to_string(), "90s");
        assert_eq!(Interval::parse("24 h").unwrap().to_string(), "1d");
    }

    #[test]
    fn what_postgres_would_read_otherwise_is_refused() {
        for text in [
            "",
            "5",
            "min",
            "-5 min",
            "5 m",
            "1.5 h",
            "5 min ago",
            "0 s",
            "25 d",
            "1 d 2 h",
            "99999999999 d",
            "5\u{a0}min",
        ] {
            assert!(Interval::parse(text).is_err(), "{text}");
        }
    }
}
