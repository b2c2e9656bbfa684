//! When a page is tried again, and when it is given up.

use std::time::Duration;

/// The longest wait that is taken from a receiver's `Retry-After`: a page that waits for a day is lost.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The most attempts: as many as the waits below leave room for in a day. It counts attempts that were begun, so a
/// request that ends the process cannot end it for ever.
pub const MOST_ATTEMPTS: u32 = 110;

/// How many failures in a row make a sink suspect: it rests, and the log says so once.
pub const SUSPECT: u32 = 3;

/// How long a page waits after its attempt number `attempt` failed: 1 s, doubling, to a quarter of an hour.
///
/// There is no chance in it: a database sends to its sinks alone, and few at a time, so there is no herd to break up.
pub fn wait_after(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(10)).min(LONGEST)
}

/// How long the whole sink is left alone after so many failures in a row; none while it may be chance.
///
/// A sink that is down would otherwise be asked by each page anew. It comes back within half a minute of its return.
pub fn rest_after(failures_in_a_row: u32) -> Option<Duration> {
    let over = failures_in_a_row.checked_sub(SUSPECT)?;
    Some(Duration::from_secs(1 << over.min(5)).min(Duration::from_secs(30)))
}

/// How many requests may be on their way to a sink at once: one, while it is suspect.
pub fn in_flight_after(failures_in_a_row: u32, most: usize) -> usize {
    if failures_in_a_row >= SUSPECT { 1 } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = [1, 2, 3, 10, 11, 12, u32::MAX].map(|n| wait_after(n).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 512, 900, 900, 900]);
    }

    #[test]
    fn a_page_is_tried_for_about_a_day() {
        let all: Duration = (1..MOST_ATTEMPTS).map(wait_after).sum();
        assert!((23..26).contains(&(all.as_secs() / 3600)), "{} h", all.as_secs() / 3600);
    }

    #[test]
    fn a_sink_rests_after_three_failures_in_a_row_and_is_then_asked_by_one_page_at_a_time() {
        let rests = [0, 2, 3, 4, 8, u32::MAX].map(|n| rest_after(n).map(|rest| rest.as_secs()));
        assert_eq!(rests, [None, None, Some(1), Some(2), Some(30), Some(30)]);
        assert_eq!([in_flight_after(2, 8), in_flight_after(3, 8)], [8, 1]);
    }
}
