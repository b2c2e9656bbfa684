//! What the functions of `sql/people.sql` and `sql/chores.sql` need of the domain, and of the pen that changes the audit.

use std::collections::BTreeMap;

use oncall_domain::policy::step_hash;
use oncall_domain::runbook::{Binding, Step};
use oncall_domain::tool::{Catalogue, bind};
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use serde_json::{Value, json};

use crate::backend;
use crate::error::{Answer, OncallError};
use crate::resolved;
use crate::store::{self, catalogue, incidents, people};

/// What a step of an incident would do with these values for what it leaves open: its SQL, and the hash to approve.
///
/// The values are JSON as text, because a `JsonB` panics at numbers that only Postgres can read.
#[pg_extern(schema = "oncall_internal", strict)]
fn plan_step(incident_id: &str, step_id: &str, chosen: &str) -> Answer<JsonB> {
    Ok(JsonB(plan(incident_id, step_id, chosen)?))
}

fn plan(incident_id: &str, step_id: &str, chosen: &str) -> store::Result<Value> {
    let step = offered(incident_id, step_id)?;
    let chosen: BTreeMap<String, Value> = serde_json::from_str(chosen)
        .map_err(|error| OncallError::StepShape { reason: format!("its parameters cannot be read: {error}") })?;
    let tools = catalogue::tools()?;
    let hash = step_hash(&step, &chosen, &tools)
        .map_err(|problem| OncallError::Unplanned { problem: Box::new(problem), open: open_parameters(&step) })?;
    Ok(json!({ "hash": hash, "sql": action(&step, &chosen, &tools)? }))
}

/// What would be run. It cannot fail where [`step_hash`] did not.
fn action(step: &Step, chosen: &BTreeMap<String, Value>, tools: &Catalogue) -> store::Result<String> {
    let unknown = || OncallError::StepShape { reason: format!("there is no tool {}", step.tool) };
    let tool = tools.get(&step.tool).ok_or_else(unknown)?;
    Ok(tool.render(&bind(step, tool, chosen)?)?)
}

/// What a step is as far as the runbook fixes it: enough to reject it.
#[pg_extern(schema = "oncall_internal", strict)]
fn step_on_offer(incident_id: &str, step_id: &str) -> Answer<JsonB> {
    let step = offered(incident_id, step_id)?;
    let fixed: BTreeMap<&String, &Value> = step
        .parameters
        .iter()
        .filter_map(|(name, binding)| match binding {
            Binding::Fixed(value) => Some((name, value)),
            Binding::Open(_) => None,
        })
        .collect();
    Ok(JsonB(json!({ "sql": format!("{} {}", step.tool, json!(fixed)) })))
}

/// A step of a runbook that was retrieved for this very incident, as it stands now.
fn offered(incident_id: &str, step_id: &str) -> store::Result<Step> {
    let case = incidents::case(incident_id)?;
    let mut steps = catalogue::steps_of(&case.runbooks)?;
    let Some(place) = steps.iter().position(|step| step.id.as_str() == step_id) else {
        let offered = steps.iter().map(|step| step.id.to_string()).collect();
        return Err(OncallError::NotOnOffer { incident: incident_id.to_owned(), step: step_id.to_owned(), offered });
    };
    Ok(steps.swap_remove(place))
}

/// What a step leaves open and within which bounds, for the error that asks for it.
fn open_parameters(step: &Step) -> Vec<String> {
    let open = step.parameters.iter().filter_map(|(name, binding)| match binding {
        Binding::Open(bounds) => Some(format!("{name} ({})", json!(bounds))),
        Binding::Fixed(_) => None,
    });
    open.collect()
}

/// The version of the policy in force for an incident; 0 where no row is.
#[pg_extern(schema = "oncall_internal", strict)]
fn policy_in_force(incident_id: &str) -> Answer<i64> {
    Ok(people::policy_in_force(incident_id)?.version)
}

/// The person of this session has the incident.
#[pg_extern(schema = "oncall_internal", strict)]
fn record_acknowledgement(incident_id: &str) -> Answer<()> {
    Ok(people::record_acknowledgement(incident_id)?)
}

/// A decision on a step goes into the audit row.
#[pg_extern(schema = "oncall_internal", strict)]
fn record_decision(approval_id: i64) -> Answer<()> {
    Ok(people::record_decision(approval_id)?)
}

/// The person of this session closes an incident; whoever was paged for it hears that.
#[pg_extern(schema = "oncall_internal", strict)]
fn record_resolution(incident_id: &str, what: &str) -> Answer<()> {
    people::record_resolution(incident_id, what)?;
    Ok(resolved::tell(&[incident_id.to_owned()])?)
}

/// Whether a transaction id is this transaction's own: a row that bears it has not been committed yet.
#[pg_extern(schema = "oncall_internal", strict)]
fn is_own_transaction(xid: &str) -> bool {
    xid.parse().is_ok_and(backend::is_own_transaction)
}

/// Journal entries of incidents that were closed before are forgotten.
#[pg_extern(schema = "oncall_internal", strict)]
fn forget_journal(before: TimestampWithTimeZone, most: i32) -> Answer<i64> {
    Ok(people::forget_journal(before, most)?)
}

/// Inferences older than that are forgotten, where they lie in no month of their own.
#[pg_extern(schema = "oncall_internal", strict)]
fn forget_inferences(before: TimestampWithTimeZone, most: i32) -> Answer<i64> {
    Ok(people::forget_inferences(before, most)?)
}
