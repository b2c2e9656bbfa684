//! The word that an incident is over, to whoever was paged for it: PagerDuty and Opsgenie close theirs by it.
//!
//! It is queued in the transaction that closes the incident. A page that its workers queue at the same moment is not yet
//! seen there; they look themselves when they have done their part. Both write the row of the incident first, so the
//! second of the two sees what the first one did, and each sink hears it once.

use oncall_domain::page::{Page, PageKind, PagedWork};

use crate::store::{self, deliveries};

/// Queue a page of [`PageKind::Resolved`] for those of these incidents that are resolved, to each sink that has a page of
/// it and does not know that.
pub fn tell(incidents: &[String]) -> store::Result<()> {
    if incidents.is_empty() {
        return Ok(());
    }
    for over in deliveries::over(incidents)? {
        let how = match over.by {
            Some(person) => PagedWork { step_id: None, summary: person, outcome: over.what.unwrap_or_default() },
            None => PagedWork {
                step_id: None,
                summary: "The sender of the alert".to_owned(),
                outcome: "it no longer holds".to_owned(),
            },
        };
        let case = deliveries::case(&over.incident)?;
        let page = case.page(&over.incident, PageKind::Resolved, store::transaction_start()?);
        deliveries::enqueue_for(over.sinks, &over.incident, &Page { done: vec![how], ..page })?;
    }
    Ok(())
}
