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
        ..Page::blank("TEST", PageKind::Test, store::transaction_start()?)
    };
    Ok(deliveries::enqueue_test(sink, &page)?)
}

/// Queue a page about an incident for every sink that wants it, with a sentence of the person who sends it; the sinks.
#[pg_extern(schema = "oncall_internal", strict)]
fn page_incident(incident: &str, note: &str) -> Answer<Vec<String>> {
    let case = deliveries::case(incident)?;
    let mut page = Page {
        classification: case.classification.clone(),
        confidence: case.confidence,
        hypothesis: case.hypothesis.clone(),
        ..case.page(incident, PageKind::Escalation, store::transaction_start()?)
    };
    if !note.trim().is_empty() {
        page.title = note.to_owned();
    }
    Ok(deliveries::enqueue(incident, &page)?.into_iter().map(|queued| queued.sink).collect())
}
