//! The one table of severity words.

use std::fmt;

use super::Severity;

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

    /// The severity that a sender's word stands for; `None` for a word that is not in the table.
    ///
    /// Case, spaces, `-` and `_` do not count (`SEV-1` is `sev1`). Bare numbers are not in the table, because systems
    /// count in both directions. `unknown`, a check that could not tell, is a warning, as Nagios colours it.
    pub fn parse(word: &str) -> Option<Self> {
        // The longest word of the table has 13 letters; a whole text is no word.
        if word.len() > 32 {
            return None;
        }
        let word: String = word
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_'))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        Some(match word.as_str() {
            "p1" | "sev1" | "critical" | "crit" | "disaster" | "fatal" | "emergency" | "emerg" | "page" | "panic"
            | "down" => Self::P1,
            "p2" | "sev2" | "high" | "error" | "err" | "major" | "urgent" | "severe" | "unreachable" => Self::P2,
            "p3" | "sev3" | "warning" | "warn" | "average" | "minor" | "medium" | "moderate" | "unknown" => Self::P3,
            "p4" | "sev4" | "low" | "info" | "information" | "informational" | "notice" => Self::P4,
            "p5" | "sev5" | "ok" | "debug" | "none" | "up" | "success" | "normal" | "clear" => Self::P5,
            _ => return None,
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_severity_comes_out_the_same() {
        for (severity, words) in [
            (Severity::P1, ["critical", "Disaster", " fatal ", "EMERGENCY", "page", "P1", "SEV-1"]),
            (Severity::P2, ["high", "Error", "major", "urgent", "p2", "sev 2", "err"]),
            (Severity::P3, ["warning", "Average", "minor", "P3", "warn", "medium", "sev_3"]),
            (Severity::P4, ["low", "Info", "notice", "P4", "information", "informational", "sev4"]),
            (Severity::P5, ["ok", "Debug", "none", "P5", "success", "clear", "sev5"]),
        ] {
            for word in words {
                assert_eq!(Severity::parse(word), Some(severity), "{word}");
            }
            assert_eq!(Severity::parse(severity.as_str()), Some(severity));
            assert_eq!(severity.to_string(), severity.as_str());
        }
    }

    #[test]
    fn a_number_or_a_sentence_is_no_severity() {
        for word in ["", " ", "1", "5", "P0", "P6", "criticality", "not classified", "critical: the disk is full"] {
            assert_eq!(Severity::parse(word), None, "{word}");
        }
    }

    #[test]
    fn the_worst_severity_sorts_first() {
        assert!(Severity::P1 < Severity::P5);
    }
}
