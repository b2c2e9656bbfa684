//! The one table of status words.

use std::fmt;

use super::Status;

impl Status {
    /// As it is written: `firing`, `acknowledged`, `resolved`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    /// The status that a sender's word stands for; `None` for a word that is not in the table.
    pub fn parse(word: &str) -> Option<Self> {
        if word.len() > 32 {
            return None;
        }
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "firing" | "alerting" | "alarm" | "trigger" | "triggered" | "problem" | "active" | "open" | "opened" => {
                Self::Firing
            }
            "ack" | "acked" | "acknowledge" | "acknowledged" | "acknowledgement" => Self::Acknowledged,
            "resolve" | "resolved" | "ok" | "recovery" | "recovered" | "close" | "closed" | "clear" | "cleared"
            | "normal" | "inactive" | "up" | "fixed" => Self::Resolved,
            _ => return None,
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_is_written() {
        for status in [Status::Firing, Status::Acknowledged, Status::Resolved] {
            assert_eq!(Status::parse(status.as_str()), Some(status));
            assert_eq!(Status::parse(&status.to_string().to_uppercase()), Some(status));
        }
        assert_eq!(Status::parse("suppressed"), None);
    }
}
