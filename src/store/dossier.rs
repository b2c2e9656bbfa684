//! An incident as the workers find it, and how their part ends.

use std::cell::RefCell;
use std::sync::Arc;

use jiff::Timestamp;
use oncall_domain::agents;
use oncall_domain::alert::Alert;
use oncall_domain::incident::Incident;
use oncall_domain::policy::{Autonomy, Condition, Decision, Route};
use oncall_domain::retrieval::{Retrieval, Retrieved};
use oncall_domain::tool::Catalogue;
use oncall_domain::triage::Triage;
use serde::Deserialize;
use serde_json::Value;

use super::{Result, breaker, catalogue, jsonb, statement, writing};
use crate::error::OncallError;
use crate::settings;

/// What is kept of an incident.
#[derive(Debug, Deserialize)]
pub struct Dossier {
    /// As `incident_audit.state` has it.
    pub state: String,
    /// The alert as normalised, secrets redacted.
    pub alert: Alert,
    /// When it was opened.
    pub created_at: Timestamp,
    triage: Option<Triage>,
    route: Option<Route>,
    conditions: Option<Vec<Condition>>,
    autonomy: Option<Autonomy>,
    policy_version: Option<i64>,
    breaker: Option<String>,
    sections: Vec<Retrieved>,
}

impl Dossier {
    /// Whether its sender, a person or time has closed it.
    pub fn is_closed(&self) -> bool {
        self.state == "resolved" || self.state == "expired"
    }

    /// The incident as its agents see it, with the steps and the tools of now; none before it is routed. What was `begun`
    /// goes on as it was decided: under another decision nobody would ask what came of it.
    pub fn incident(self, id: &str, begun: bool) -> Result<Option<Incident>> {
        let (Some(triage), Some(route)) = (self.triage, self.route) else { return Ok(None) };
        let mut retrieval = Retrieval { sections: self.sections, ..Retrieval::default() };
        retrieval.steps = catalogue::steps_of(&retrieval.runbooks())?;
        let mut decision = Decision::recorded(
            route,
            self.conditions.unwrap_or_default(),
            self.policy_version.unwrap_or_default(),
            self.autonomy.unwrap_or(Autonomy::Off),
            &triage,
            &retrieval,
        );
        if !begun {
            // A switch that was thrown since counts.
            decision = decision.under(settings::autonomy(), breaker::of(self.breaker.as_deref()));
        }
        Ok(Some(Incident {
            id: id.to_owned(),
            opened_at: self.created_at,
            alert: self.alert,
            triage,
            retrieval,
            decision,
            catalogue: shared_tools()?,
        }))
    }
}

thread_local! {
    // A worker is one thread: the catalogue as its conversations share it.
    static TOOLS: RefCell<Arc<Catalogue>> = RefCell::default();
}

/// The tools of now. Hundreds of incidents hold them while they wait, so those that are the same are one copy.
fn shared_tools() -> Result<Arc<Catalogue>> {
    let tools = catalogue::tools()?;
    Ok(TOOLS.with_borrow_mut(|kept| {
        if **kept != tools {
            *kept = Arc::new(tools);
        }
        Arc::clone(kept)
    }))
}

/// What is kept of an incident.
pub fn read(id: &str) -> Result<Dossier> {
    statement!("dossier").ask(&[id.into()])?.ok_or_else(|| OncallError::NoSuchIncident { id: id.to_owned() })
}

/// When the maintenance window ends that covers an incident now, in seconds since the epoch.
pub fn window_of(id: &str) -> Result<Option<f64>> {
    statement!("window_of").ask(&[id.into()])
}

/// What the workers add to the audit row.
#[derive(Debug, Default)]
pub struct Handled<'a> {
    /// What was done, beside what was done before.
    pub remediation_action: Option<&'a Value>,
    /// What was found.
    pub diagnostics: Option<&'a Value>,
    /// Who was told.
    pub notification: Option<&'a Value>,
    /// Why a person was paged.
    pub escalation: Option<&'a str>,
}

/// The workers have done their part.
pub fn record_handled(id: &str, handled: &Handled<'_>) -> Result<()> {
    let value = |value: Option<&Value>| value.map(|value| pgrx::JsonB(value.clone()));
    let action = match handled.remediation_action {
        None => None,
        Some(later) => {
            let stood = statement!("remediation_action").ask(&[id.into()])?;
            Some(agents::with_later(stood.unwrap_or_default(), later.clone()))
        }
    };
    let args = &[
        id.into(),
        value(action.as_ref()).into(),
        value(handled.diagnostics).into(),
        value(handled.notification).into(),
        handled.escalation.map(str::to_owned).into(),
    ];
    writing(|| statement!("record_handled").write(args))?;
    Ok(())
}

/// An incident that the workers give up is a person's, whatever was decided: that is its decision if it had none.
pub fn record_given_up(id: &str, decision: &Decision) -> Result<()> {
    let args = &[id.into(), jsonb(&decision.conditions)?];
    writing(|| statement!("record_given_up").write(args))?;
    Ok(())
}
