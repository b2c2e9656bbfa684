//! The escalation agent: pages a person, with the full context.

use super::diagnostics::{Found, diagnose_unasked};
use super::paging;
use super::remediation::Remediation;
use super::synthesis::{Resolution, Told};
use crate::host::ActingHost;
use crate::incident::Incident;
use crate::page::{Evidence, Page, PageKind};

use jiff::Timestamp;

/// Page what the router escalated. The page waits for nothing: what the diagnostics see goes into the audit row
/// afterwards.
pub async fn escalate(host: &impl ActingHost, incident: &Incident) -> Resolution {
    let (paging_branch, looking) = (host.branch("escalation"), host.branch("diagnostics"));
    let now = paging_branch.now().await;
    let metrics = paging_branch.metrics().await;
    let mut page = paging::page(incident, PageKind::Escalation, now);
    page.recommended =
        paging::named(incident).into_iter().map(|step| paging::recommended(incident, step, None)).collect();
    page.evidence.extend(paging::measured(&metrics));
    let page = page.clean();
    let sinks = paging_branch.deliver(&page).await;

    let found = diagnose_unasked(&looking, incident).await;
    let why: Vec<&str> = incident.decision.objections().collect();
    Resolution::escalated(incident, why.join(" "), found, Told { page: page.kind, title: page.title, sinks })
}

/// The page of an incident that nobody could treat: what is there, and nothing that a host would have to be asked for.
pub fn last_resort(incident: &Incident, now: Timestamp) -> Page {
    paging::page(incident, PageKind::Escalation, now).clean()
}

/// Page an incident that was to be handled without a person and was not: with what was done, what was seen, and the
/// steps that the world is ready for.
pub(super) async fn escalate_after(
    host: &impl ActingHost,
    incident: &Incident,
    fixed: &Remediation,
    found: &Found,
    why: &str,
) -> Told {
    let now = host.now().await;
    let mut page = paging::page(incident, PageKind::Escalation, now);
    let left =
        fixed.work.iter().filter(|work| work.end.wants_a_person()).map(|work| work.step.clone()).collect::<Vec<_>>();
    let ready = paging::steps(incident, &fixed.proposals);
    let ready = ready.into_iter().map(|step| paging::recommended(incident, step, Some("Its guard holds now.")));
    let again = paging::steps(incident, &left);
    let again = again.into_iter().map(|step| paging::recommended(incident, step, Some("It was not carried out.")));
    page.recommended = ready.chain(again).chain(paging::follow_ups(&fixed.work)).collect();
    page.evidence.insert(0, Evidence { what: "Why you".to_owned(), finding: why.to_owned() });
    page.evidence.extend(paging::seen(found));
    page.done = paging::done(&fixed.work);
    let page = page.clean();
    let sinks = host.deliver(&page).await;
    Told { page: page.kind, title: page.title, sinks }
}
