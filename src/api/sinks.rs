//! Sinks: what is checked when one is written, a page to try one, and a page written by hand.

use oncall_domain::delivery::Format;
use oncall_domain::page::{Page, PageKind, PagedAlert};
use pgrx::prelude::*;
use serde_json::json;

use crate::error::{Answer, OncallError};
use crate::sinks::{self, Surroundings};
use crate::store::{self, deliveries};

/// Refuse a sink that could not be reached.
#[pg_extern(schema = "oncall_internal")]
fn check_sink(format: &str, url: Option<&str>, secret_file: Option<&str>) -> Answer<()> {
    let refused = |reason: String| OncallError::Sink { reason };
    let format: Format =
        serde_json::from_value(json!(format)).map_err(|_| refused(format!("there is no format {format:?}")))?;
    let surroundings = Surroundings::now().map_err(refused)?;
    sinks::open(format, url, secret_file, &surroundings).map_err(refused)?;
    Ok(())
}

/// Queue a page that asks for nothing; its row in the outbox, or NULL where there is no such sink.
#[pg_extern(schema = "oncall_internal", strict)]
fn send_test_page(sink: &str) -> Answer<Option<i64>> {
    let page = Page {
        title: format!("pg_oncall can reach the sink {sink}"),
        alert: PagedAlert {
            text: "This page was sent by SELECT oncall.send_test_page(). There is nothing to do.".to_owned(),
            source: "pg_oncall".to_owned(),
            ..PagedAlert::default()
        },
        ..blank("TEST", PageKind::Test)?
    };
    Ok(deliveries::enqueue_test(sink, &page)?)
}

/// Queue a page about an incident for every sink that wants it, with a sentence of the person who sends it; the sinks.
#[pg_extern(schema = "oncall_internal", strict)]
fn page_incident(incident: &str, note: &str) -> Answer<Vec<String>> {
    let case = deliveries::case(incident)?;
    let title = if note.trim().is_empty() { case.text.clone() } else { note.to_owned() };
    let text = case.text;
    let page = Page {
        severity: case.severity,
        fingerprint: case.fingerprint.unwrap_or_default(),
        title,
        alert: case.alert.unwrap_or_else(|| PagedAlert { text, ..PagedAlert::default() }),
        classification: case.classification,
        confidence: case.confidence,
        hypothesis: case.hypothesis,
        ..blank(incident, PageKind::Escalation)?
    };
    Ok(deliveries::enqueue(incident, &page)?.into_iter().map(|queued| queued.sink).collect())
}

/// A page that says nothing yet.
fn blank(incident: &str, kind: PageKind) -> store::Result<Page> {
    Ok(Page {
        incident_id: incident.to_owned(),
        kind,
        severity: None,
        fingerprint: String::new(),
        title: String::new(),
        alert: PagedAlert::default(),
        classification: None,
        confidence: None,
        hypothesis: None,
        recommended: Vec::new(),
        runbook: None,
        evidence: Vec::new(),
        reasons: Vec::new(),
        done: Vec::new(),
        created_at: store::transaction_start()?,
    })
}
