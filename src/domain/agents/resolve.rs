//! Treats an incident: resolves what may be done without a person, pages the rest.

use futures::future::join3;

use super::Limits;
use super::diagnostics::diagnose;
use super::escalation::{escalate, escalate_after};
use super::notification::{Draft, draft};
use super::paging;
use super::remediation::{Remediation, remediate};
use super::synthesis::{Resolution, Told};
use crate::host::ActingHost;
use crate::incident::Incident;
use crate::page::PageKind;
use crate::policy::{Autonomy, Route};

/// Do what the router decided.
pub async fn treat(host: &impl ActingHost, incident: &Incident, limits: &Limits) -> Resolution {
    match incident.decision.route {
        Route::Autonomous => resolve(host, incident, limits).await,
        Route::Escalate => escalate(host, incident).await,
    }
}

/// Remedy, look and write at once: it takes as long as the longest of the three. Then tell people what came of it.
pub async fn resolve(host: &impl ActingHost, incident: &Incident, limits: &Limits) -> Resolution {
    let (remedying, looking, writing) =
        (host.branch("remediation"), host.branch("diagnostics"), host.branch("notification"));
    let (fixed, found, draft) = join3(
        remediate(&remedying, incident, limits),
        diagnose(&looking, incident, limits),
        draft(&writing, incident, limits),
    )
    .await;
    match fixed.objection.clone() {
        None => {
            let told = notify(&writing, incident, &fixed, &draft).await;
            Resolution::worked(incident, fixed, &found, Some(&draft), &told)
        }
        Some(why) => {
            let told = escalate_after(&host.branch("escalation"), incident, &fixed, &found, &why).await;
            Resolution::worked(incident, fixed, &found, None, &told)
        }
    }
}

/// Tell people what was done, in the words that were written meanwhile.
async fn notify(host: &impl ActingHost, incident: &Incident, fixed: &Remediation, draft: &Draft) -> Told {
    let now = host.now().await;
    let mut page = paging::page(incident, PageKind::Notice, now);
    let dry = incident.decision.autonomy != Autonomy::On;
    page.title = if dry { format!("[dry run] {}", draft.headline) } else { draft.headline.clone() };
    if let Some(message) = &draft.message {
        page.hypothesis = Some(message.clone());
    }
    page.done = paging::done(&fixed.work);
    page.recommended = paging::follow_ups(&fixed.work);
    if dry {
        // Nothing was done: whoever reads this may want to.
        let planned = paging::named(incident).into_iter();
        page.recommended.extend(planned.map(|step| paging::recommended(incident, step, None)));
    }
    let page = page.clean();
    let sinks = host.deliver(&page).await;
    Told { page: page.kind, title: page.title, sinks }
}
