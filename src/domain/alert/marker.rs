//! Marks that senders put before a message: `[FIRING:1]`, `[P1]`, `CRITICAL:`, `RECOVERY - `.

use super::{Severity, Status};

/// A line, and what its marks said.
#[derive(Debug, PartialEq)]
pub(super) struct Marked<'a> {
    /// The status that a mark names.
    pub status: Option<Status>,
    /// The severity that a mark names.
    pub severity: Option<Severity>,
    /// The line after its marks; the whole line where nothing would be left.
    pub rest: &'a str,
}

/// Read the marks at the start of a line.
///
/// A mark is a status or severity word in brackets, perhaps with a count or a place (`[FIRING:1]`, `[Triggered on
/// {host:a}]`), or before `:` or ` - `. Any other bracket belongs to the message.
pub(super) fn read(line: &str) -> Marked<'_> {
    let mut found = Marked { status: None, severity: None, rest: line };
    let mut rest = line.trim();
    // Three are more than any sender was seen to use.
    for _ in 0..3 {
        let Some((word, after)) = split(rest) else { break };
        // "ok" is both: as a mark it says that the alert is over, not how bad it was.
        match (Status::parse(word), Severity::parse(word)) {
            (Some(status), _) => found.status = found.status.or(Some(status)),
            (None, Some(severity)) => found.severity = found.severity.or(Some(severity)),
            (None, None) => break,
        }
        rest = after.trim_start();
        if !rest.is_empty() {
            found.rest = rest;
        }
    }
    found
}

/// The word that may be a mark, and what follows it.
fn split(line: &str) -> Option<(&str, &str)> {
    if let Some(inner) = line.strip_prefix('[') {
        let (inner, after) = inner.split_once(']')?;
        let word = inner.split(|c: char| c == ':' || c.is_whitespace()).next()?;
        return Some((word, after));
    }
    let end = line.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (word, after) = line.split_at(end);
    after.strip_prefix(':').or_else(|| after.strip_prefix(" - ")).map(|after| (word, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_and_taken_off() {
        let read = |line| {
            let Marked { status, severity, rest } = read(line);
            (status, severity, rest)
        };
        assert_eq!(read("[FIRING:1] Disk full"), (Some(Status::Firing), None, "Disk full"));
        assert_eq!(read("[P1] [RESOLVED] Disk full"), (Some(Status::Resolved), Some(Severity::P1), "Disk full"));
        assert_eq!(read("[Recovered on {host:a}] Disk full"), (Some(Status::Resolved), None, "Disk full"));
        assert_eq!(read("CRITICAL - cl_waiting 16"), (None, Some(Severity::P1), "cl_waiting 16"));
        assert_eq!(read("Problem: Disk full"), (Some(Status::Firing), None, "Disk full"));
        assert_eq!(read("OK: all is well"), (Some(Status::Resolved), None, "all is well"));
    }

    #[test]
    fn a_message_without_marks_stays_whole() {
        for line in ["Disk: full", "[shop] disk full", "critical", "[", "[]", "high-load: a", "", "error:", "ÄÖ: ü"]
        {
            assert_eq!(read(line).rest, line);
        }
    }
}
