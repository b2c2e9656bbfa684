//! A page: what a person is told about an incident, in one piece and in no sink's format.
//!
//! It carries everything that an engineer needs at night: what came in, what it was taken for and why, what was done
//! or what to type next. The formats of [`crate::delivery`] word it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::redact::{redact, redact_named};

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageKind {
    /// A person must decide or act.
    Escalation,
    /// It was handled: this is what was done.
    Notice,
    /// A step that a person approved or rejected has ended.
    ApprovalOutcome,
    /// The incident is over.
    Resolved,
    /// Nothing happened: somebody tries whether a sink works.
    Test,
}

impl PageKind {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Escalation => "escalation",
            Self::Notice => "notice",
            Self::ApprovalOutcome => "approval_outcome",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}

/// What a person is told about an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The incident, as in `INC-0047`.
    pub incident_id: String,
    /// Why somebody is told.
    pub kind: PageKind,
    /// How bad it is, where the sender of the alert says so.
    pub severity: Option<Severity>,
    /// The alert's fingerprint: repeats of the same alert have the same.
    pub fingerprint: String,
    /// One line.
    pub title: String,
    /// What came in.
    pub alert: PagedAlert,
    /// What it was taken for, as in `ConnectionPoolExhaustion`.
    pub classification: Option<String>,
    /// How sure the triage is, 0..=1.
    pub confidence: Option<f64>,
    /// What the triage takes for the cause.
    pub hypothesis: Option<String>,
    /// What may be done next, best first.
    pub recommended: Vec<RecommendedAction>,
    /// The section of the runbook that fits best.
    pub runbook: Option<PagedSection>,
    /// What was found on looking.
    pub evidence: Vec<Evidence>,
    /// The conditions of the router's decision.
    pub reasons: Vec<PagedReason>,
    /// What was done, or would have been.
    pub done: Vec<PagedWork>,
    /// When the page was written.
    pub created_at: Timestamp,
}

/// What of an alert stands in a page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PagedAlert {
    /// What a person reads.
    pub text: String,
    /// The system that sent it.
    pub source: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// What identifies it.
    pub labels: BTreeMap<String, String>,
    /// Since when it holds.
    pub started_at: Option<Timestamp>,
}

/// A step that may be done next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecommendedAction {
    /// The step, as in `RB-003/drop-old-wal`.
    pub step_id: String,
    /// What it does.
    pub summary: String,
    /// Whether it may destroy something, or somebody's work.
    pub destructive: bool,
    /// The SQL to type, where the step waits for a person's word.
    pub approve: Option<String>,
}

/// One section of a runbook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PagedSection {
    /// The runbook, as in `RB-001`.
    pub runbook_id: String,
    /// The runbook's title.
    pub title: String,
    /// The section's heading.
    pub section: String,
    /// Its text, markdown.
    pub content: String,
}

/// One finding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was looked at.
    pub what: String,
    /// What was seen there.
    pub finding: String,
}

/// One condition of the router's decision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PagedReason {
    /// Its name.
    pub condition: String,
    /// Whether it was met.
    pub pass: bool,
    /// The sentence that says why, or why not.
    pub reason: String,
}

/// One piece of work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PagedWork {
    /// The step, where it was one of a runbook.
    pub step_id: Option<String>,
    /// What was done, and on what.
    pub summary: String,
    /// What came of it: `done`, `planned`, `failed: …`.
    pub outcome: String,
}

/// The most bytes of the texts of a page, by what they are.
mod most {
    /// Ids, names of things, single words.
    pub const NAME: usize = 200;
    /// The title.
    pub const TITLE: usize = 300;
    /// A sentence or two, or the SQL to type.
    pub const SENTENCE: usize = 600;
    /// A paragraph.
    pub const TEXT: usize = 2000;
    /// A section of a runbook.
    pub const SECTION: usize = 6000;
    /// The items of a list.
    pub const ITEMS: usize = 20;
}

impl Page {
    /// A page that says nothing yet.
    pub fn blank(incident_id: &str, kind: PageKind, created_at: Timestamp) -> Self {
        Self {
            incident_id: incident_id.to_owned(),
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
            created_at,
        }
    }

    /// The page with every text redacted and cut, every list bounded: under 100 kB of JSON, whatever came in.
    ///
    /// Whoever builds a page ends with it, so that the journal has what was sent; the outbox does it again, so that
    /// nobody's slip sends a secret away.
    pub fn clean(mut self) -> Self {
        line(&mut self.incident_id, most::NAME);
        line(&mut self.fingerprint, most::NAME);
        line(&mut self.title, most::TITLE);
        if self.title.is_empty() {
            self.title = format!("{} {}", self.incident_id, self.kind.as_str());
        }
        self.alert.clean();
        self.classification.iter_mut().for_each(|name| line(name, most::NAME));
        // Three digits, as the audit keeps.
        self.confidence = self.confidence.filter(|c| (0.0..=1.0).contains(c)).map(|c| (c * 1000.0).round() / 1000.0);
        self.hypothesis.iter_mut().for_each(|text| block(text, most::TEXT));
        for action in bounded(&mut self.recommended) {
            line(&mut action.step_id, most::NAME);
            block(&mut action.summary, most::SENTENCE);
            // It is typed by hand: shortened it would be something else.
            action.approve = action.approve.take().filter(|sql| sql.len() <= most::SENTENCE);
            action.approve.iter_mut().for_each(|sql| block(sql, most::SENTENCE));
        }
        if let Some(section) = &mut self.runbook {
            line(&mut section.runbook_id, most::NAME);
            line(&mut section.title, most::NAME);
            line(&mut section.section, most::NAME);
            block(&mut section.content, most::SECTION);
        }
        for evidence in bounded(&mut self.evidence) {
            line(&mut evidence.what, most::NAME);
            block(&mut evidence.finding, most::TEXT / 2);
        }
        for reason in bounded(&mut self.reasons) {
            line(&mut reason.condition, most::NAME);
            line(&mut reason.reason, most::SENTENCE);
        }
        for work in bounded(&mut self.done) {
            work.step_id.iter_mut().for_each(|id| line(id, most::NAME));
            block(&mut work.summary, most::SENTENCE);
            block(&mut work.outcome, most::SENTENCE);
        }
        self
    }
}

impl PagedAlert {
    fn clean(&mut self) {
        block(&mut self.text, most::TEXT);
        line(&mut self.source, most::NAME);
        self.name.iter_mut().for_each(|name| line(name, most::NAME));
        let labels = std::mem::take(&mut self.labels);
        for (mut name, value) in labels.into_iter().take(most::ITEMS) {
            let mut value = redact_named(&name, &value).as_str().to_owned();
            line(&mut name, most::NAME);
            line(&mut value, most::NAME);
            self.labels.insert(name, value);
        }
    }
}

/// The first of `items`; the rest goes.
fn bounded<T>(items: &mut Vec<T>) -> std::slice::IterMut<'_, T> {
    items.truncate(most::ITEMS);
    items.iter_mut()
}

/// Redact `text` and cut it to `bytes`, without control characters: JSON would take six bytes for each, and Postgres
/// takes no NUL at all.
fn block(text: &mut String, bytes: usize) {
    let plain = text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', " ");
    *text = redact(plain.trim()).cut(bytes).as_str().to_owned();
}

/// The same on one line.
fn line(text: &mut String, bytes: usize) {
    *text = text.replace(char::is_whitespace, " ");
    block(text, bytes);
}

#[cfg(test)]
pub(crate) mod tests;
