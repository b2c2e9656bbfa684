//! Times as senders write them.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

/// What a value says of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// A time.
    At(Timestamp),
    /// The way in which a sender says "no time": year 1, epoch 0, or anything before 1970.
    Zero,
}

/// The time that a value stands for; `None` if it stands for none.
pub(super) fn read(value: &Value) -> Option<Time> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) => epoch(i128::from(whole)),
            None => seconds(number.as_f64()?),
        },
        Value::String(text) => read_text(text.trim()),
        _ => None,
    }
}

fn read_text(text: &str) -> Option<Time> {
    // No form of a time is longer; a message of a megabyte is not worth three parsers.
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return epoch(i128::from(whole));
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.bytes().filter(|b| *b == b'.').count() == 1 {
        return seconds(text.parse().ok()?);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(not_zero(at));
    }
    // No offset: read as UTC. Zabbix writes its dates with dots.
    let dashed = match text.as_bytes() {
        [_, _, _, _, b'.', _, _, b'.', ..] if text.is_char_boundary(8) => text.replacen('.', "-", 2),
        _ => text.to_owned(),
    };
    let civil = dashed.parse::<DateTime>().ok()?;
    Some(not_zero(TimeZone::UTC.to_timestamp(civil).ok()?))
}

/// An epoch number, its unit told by its size: each unit covers the years 2001 to 5138.
fn epoch(number: i128) -> Option<Time> {
    let nanoseconds = match number {
        i128::MIN..=0 => return Some(Time::Zero),
        // 1 to 999,999,999 would be a time before 2001: some other number.
        1..1_000_000_000 => return None,
        1_000_000_000..100_000_000_000 => number * 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => number * 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => number * 1_000,
        _ => number,
    };
    Timestamp::from_nanosecond(nanoseconds).ok().map(Time::At)
}

/// Epoch seconds with a fraction, to the microsecond: a float holds no more.
fn seconds(number: f64) -> Option<Time> {
    if number <= 0.0 {
        return Some(Time::Zero);
    }
    if !(1e9..1e11).contains(&number) {
        return None;
    }
    Timestamp::from_microsecond((number * 1e6).round() as i64).ok().map(Time::At)
}

fn not_zero(at: Timestamp) -> Time {
    if at > Timestamp::UNIX_EPOCH { Time::At(at) } else { Time::Zero }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(value: Value) -> String {
        match read(&value) {
            Some(Time::At(at)) => at.to_string(),
            other => panic!("{value} was read as {other:?}"),
        }
    }

    #[test]
    fn one_moment_is_the_same_in_every_form() {
        for form in [
            json!("2026-11-20T08:18:45.82Z"),
            json!("2026-11-20T08:18:45.820+0000"),
            json!("2026-11-20T09:18:45.820000+01:00"),
            json!("2026-11-20 08:18:45.82+00"),
            json!("2026-11-20 08:18:45.82"),
            json!("2026.11.20 08:18:45.82"),
            json!(1795162725820_i64),
            json!("1795162725820"),
            json!(1795162725.82),
            json!("1795162725.82"),
            json!(1795162725820000_i64),
            json!(1795162725820000000_i64),
        ] {
            assert_eq!(at(form), "2026-11-20T08:18:45.82Z");
        }
        assert_eq!(at(json!(1795162725)), "2026-11-20T08:18:45Z");
        assert_eq!(at(json!("2026-11-20T08:19:43.396802691Z")), "2026-11-20T08:19:43.396802691Z");
    }

    #[test]
    fn a_zero_time_is_no_time() {
        for zero in [
            json!("0001-01-01T00:00:00Z"),
            json!(0),
            json!("0"),
            json!(0.0),
            json!(-62135596800_i64),
            json!("1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(read(&zero), Some(Time::Zero), "{zero}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_made_one() {
        for other in [
            json!(3),
            json!("3"),
            json!(1e300),
            json!("soon"),
            json!(""),
            json!(null),
            json!([1]),
            json!("99999-01-01"),
            json!("2026.1é.20"),
        ] {
            assert_eq!(read(&other), None, "{other}");
        }
    }
}
