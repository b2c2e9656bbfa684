//! Trying again: where it helps, after how long, and never past the end of the call.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Whether another attempt may go better than this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// The same question gets the same answer: a wrong key, a bad request, a refusal.
    Never,
    /// A server's own error: once, in case it was a hiccup.
    Once,
    /// The way to the server, or its load.
    Yes,
    /// When the server itself says so.
    After(Duration),
}

impl Again {
    /// What a status says, with the text of its `Retry-After`, where it has one.
    pub fn for_status(status: u16, retry_after: Option<&str>) -> Self {
        match status {
            408 | 429 | 502..=504 => {
                retry_after.and_then(|text| wait_for(text, Timestamp::now())).map_or(Self::Yes, Self::After)
            }
            500 => Self::Once,
            _ => Self::Never,
        }
    }

    /// How long to wait before the next attempt, after `failed` of at most `max_retries + 1`; none where it is over.
    pub fn wait(self, failed: u32, max_retries: u32) -> Option<Duration> {
        let most = match self {
            Self::Never => 0,
            Self::Once => max_retries.min(1),
            Self::Yes | Self::After(_) => max_retries,
        };
        if failed > most {
            return None;
        }
        Some(match self {
            Self::After(wait) => wait,
            _ => backoff(failed),
        })
    }
}

/// Doubling from 0.2 s to 5 s, of which a random half, so that calls refused together do not return together.
fn backoff(failed: u32) -> Duration {
    let full = Duration::from_millis(200 << failed.saturating_sub(1).min(10)).min(Duration::from_secs(5));
    let random = RandomState::new().hash_one(failed) % 1024;
    full / 2 + full.mul_f64(random as f64 / 2048.0)
}

/// `Retry-After` in either form of RFC 9110 section 10.2.3: seconds, or a date.
pub(crate) fn wait_for(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_busy_or_broken_way_is_tried_again() {
        for status in [400, 401, 403, 404, 413, 422, 501, 505] {
            assert_eq!(Again::for_status(status, Some("1")), Again::Never, "{status}");
        }
        for status in [408, 429, 502, 503, 504] {
            assert_eq!(Again::for_status(status, None), Again::Yes, "{status}");
        }
    }

    #[test]
    fn a_servers_own_error_is_tried_again_once() {
        let again = Again::for_status(500, None);
        assert!(again.wait(1, 5).is_some());
        assert_eq!(again.wait(2, 5), None);
        assert_eq!(again.wait(1, 0), None);
    }

    #[test]
    fn no_more_retries_than_allowed() {
        assert!(Again::Yes.wait(2, 2).is_some());
        assert_eq!(Again::Yes.wait(3, 2), None);
        assert_eq!(Again::Yes.wait(1, 0), None);
        assert_eq!(Again::Never.wait(1, 9), None);
    }

    #[test]
    fn waits_double_up_to_five_seconds_and_keep_a_random_half() {
        for (failed, full) in [(1, 200), (2, 400), (3, 800), (30, 5000), (u32::MAX, 5000)] {
            let wait = backoff(failed).as_millis();
            assert!((full / 2..=full).contains(&wait), "{failed}: {wait} ms");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let wait = |text| wait_for(text, now);
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(wait("Fri, 20 Nov 2026 10:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Fri, 20 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO), "a date gone by");
        for text in ["", "soon", "-1", "1.5", "99999999999"] {
            assert_eq!(wait(text), None, "{text}");
        }
    }

    #[test]
    fn the_servers_own_wait_replaces_the_backoff() {
        assert_eq!(Again::for_status(429, Some("3")).wait(1, 2), Some(Duration::from_secs(3)));
        assert_eq!(Again::for_status(503, Some("nonsense")), Again::Yes);
    }
}
