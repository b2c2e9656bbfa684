//! The alert that pg_oncall raises itself, when one came in that nobody can read.
//!
//! Whoever sent it meant to wake somebody. So it is an incident like any other, one for each sender.

use super::draft::Draft;
use super::{Alert, Severity};

/// What such an alert has as its source, and no other alert has.
pub const UNREADABLE_SOURCE: &str = "pg_oncall";

/// The alert about an alert from `sender`, handed in by `role`, that cannot be read, and `why`.
///
/// P2: it may have been the worst of all, and nobody can tell.
pub fn unreadable(sender: Option<&str>, role: &str, why: &str) -> Alert {
    let mut draft = Draft::new(UNREADABLE_SOURCE);
    draft.name = Some("AlertUnreadable".to_owned());
    draft.severity = Some(Severity::P2);
    draft.text = Some(format!("an alert could not be read: {why}"));
    draft.labels.insert("sender".to_owned(), sender.unwrap_or("unknown").to_owned());
    draft.labels.insert("received_by".to_owned(), role.to_owned());
    draft.annotation("look_at", Some("SELECT * FROM oncall.malformed_alerts".to_owned()));
    draft.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_sender_garbles_is_one_alert_and_what_another_garbles_is_another() {
        let one = unreadable(Some("gateway"), "ingest", "EOF at line 1");
        assert_eq!(one.fingerprint, unreadable(Some("gateway"), "ingest", "EOF at line 7").fingerprint);
        assert_ne!(one.fingerprint, unreadable(Some("cron"), "ingest", "EOF at line 1").fingerprint);
        assert_ne!(one.fingerprint, unreadable(None, "ingest", "EOF at line 1").fingerprint);
        assert_eq!(one.text, "an alert could not be read: EOF at line 1");
    }
}
