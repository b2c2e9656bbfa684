//! `delivery`: the outbox of pages, and `sink`, where they go.

use jiff::Timestamp;
use oncall_domain::alert::Severity;
use oncall_domain::delivery::Format;
use oncall_domain::page::{Page, PageKind, PagedAlert};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Result, jsonb, statement};
use crate::error::OncallError;

/// A page that is to be sent now.
#[derive(Debug, Clone, Deserialize)]
pub struct Due {
    /// The row.
    pub id: i64,
    /// The sink's name.
    pub sink: String,
    /// The incident; none for a test.
    pub incident_id: Option<String>,
    /// The same for each attempt.
    pub idempotency_key: String,
    /// The same for each page of the incident.
    pub incident_key: String,
    /// What is told.
    pub page: Page,
    /// This attempt's number, from 1.
    pub attempts: u32,
    /// How the sink is spoken to.
    pub format: Format,
    /// Its address, where that is not its secret.
    pub url: Option<String>,
    /// The name of its secret's file.
    pub secret_file: Option<String>,
}

/// What a look at the outbox gives.
#[derive(Debug, Deserialize)]
pub struct Claimed {
    /// The database, as it is called at this time.
    pub database: String,
    /// To be sent now; each counts as begun.
    pub due: Vec<Due>,
    /// How long until the next one is due, seconds.
    pub next_in_s: Option<f64>,
}

/// What came of a request, as it is written down.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The row.
    pub id: i64,
    /// `sent`, `waiting` or `dead`.
    pub state: &'static str,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What was wrong, without secrets.
    pub error: Option<String>,
    /// How long it waits before the next attempt.
    pub wait_s: f64,
}

/// A page that was given up.
#[derive(Debug, Deserialize)]
pub struct Expired {
    /// The row.
    pub id: i64,
    /// The sink's name.
    pub sink: String,
    /// The incident; none for a test.
    pub incident_id: Option<String>,
    /// Why.
    pub last_error: String,
}

/// What the audit knows that a page written by hand says.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// The alert, as normalised.
    pub alert: Option<PagedAlert>,
    /// Its text.
    pub text: String,
    /// Its severity.
    pub severity: Option<Severity>,
    /// Its fingerprint.
    pub fingerprint: Option<String>,
    /// What it was taken for.
    pub classification: Option<String>,
    /// How sure that was.
    pub confidence: Option<f64>,
    /// What was taken for the cause.
    pub hypothesis: Option<String>,
}

impl Case {
    /// A page of this kind with what came in, and nothing of what was made of it.
    pub fn page(self, incident: &str, kind: PageKind, now: Timestamp) -> Page {
        let title = self.text.clone();
        Page {
            severity: self.severity,
            fingerprint: self.fingerprint.unwrap_or_default(),
            title,
            alert: self.alert.unwrap_or_else(|| PagedAlert { text: self.text, ..PagedAlert::default() }),
            ..Page::blank(incident, kind, now)
        }
    }
}

/// An incident that is over, and the sinks that still take it for open.
#[derive(Debug, Deserialize)]
pub struct Over {
    /// The incident.
    pub incident: String,
    /// The sinks that have a page of it, and none since that it is over.
    pub sinks: Vec<String>,
    /// The person who resolved it; none where its sender did.
    pub by: Option<String>,
    /// What it was, in the person's words.
    pub what: Option<String>,
}

/// A page that is to be sent.
#[derive(Deserialize)]
pub struct Queued {
    id: i64,
    format: String,
    /// To which sink.
    pub sink: String,
}

impl Queued {
    /// The sink with its format, as the audit names it: `slack:ops`.
    pub fn label(&self) -> String {
        format!("{}:{}", self.format, self.sink)
    }
}

/// Queue a page of an incident for every sink that wants it. It leaves when this transaction has committed.
pub fn enqueue(incident: &str, page: &Page) -> Result<Vec<Queued>> {
    queue(Some(incident), page, None)
}

/// Queue a page of an incident for these sinks, whatever pages they want otherwise.
pub fn enqueue_for(sinks: Vec<String>, incident: &str, page: &Page) -> Result<Vec<Queued>> {
    queue(Some(incident), page, Some(sinks))
}

/// Queue a page for one sink, about no incident; its row, or nothing where there is no such sink.
pub fn enqueue_test(sink: &str, page: &Page) -> Result<Option<i64>> {
    Ok(queue(None, page, Some(vec![sink.to_owned()]))?.first().map(|queued| queued.id))
}

fn queue(incident: Option<&str>, page: &Page, only: Option<Vec<String>>) -> Result<Vec<Queued>> {
    let clean = page.clone().clean();
    let args = [incident.map(str::to_owned).into(), jsonb(&clean)?, only.into()];
    Ok(statement!("enqueue_page").tell(&args)?.unwrap_or_default())
}

/// Those of `incidents` that are resolved, as far as a sink that was paged has not heard it.
pub fn over(incidents: &[String]) -> Result<Vec<Over>> {
    // Not as a reader, who would not see what this very command has written.
    Ok(statement!("resolutions_to_tell").tell(&[incidents.to_vec().into()])?.unwrap_or_default())
}

/// What the audit knows of an incident.
pub fn case(incident: &str) -> Result<Case> {
    statement!("page_case")
        .ask(&[incident.into()])?
        .ok_or_else(|| OncallError::NoSuchIncident { id: incident.to_owned() })
}

/// Begin what is due, beside what is `on_its_way`. At most as many a sink as `room` has for its name, and `most` for
/// a sink that it does not name.
pub fn claim(on_its_way: Vec<i64>, room: &Value, most: usize) -> Result<Option<Claimed>> {
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    statement!("claim_deliveries").tell(&[on_its_way.into(), jsonb(room)?, most.into()])
}

/// Write down what came of requests.
pub fn record(outcomes: &[Outcome]) -> Result<()> {
    statement!("record_deliveries").tell::<Value>(&[jsonb(&outcomes)?])?;
    Ok(())
}

/// Give up what has waited for a day, was begun `most` times, or has no sink any more.
pub fn expire(on_its_way: Vec<i64>, most: u32) -> Result<Vec<Expired>> {
    let most = i32::try_from(most).unwrap_or(i32::MAX);
    Ok(statement!("expire_deliveries").tell(&[on_its_way.into(), most.into()])?.unwrap_or_default())
}
