//! The diagnostics agent: looks for what confirms or refutes the supposed cause. It reads, and nothing else.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Limits;
use super::answer::{NoAnswer, ask, plain, short};
use super::asking::told;
use super::offers::{Offers, described, offers};
use crate::host::{ActingHost, ChatRequest, ToolOutcome};
use crate::incident::Incident;
use crate::prompt::Prompt;
use crate::redact::redact_json;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Each query that was run, in order.
    pub looks: Vec<Look>,
    /// What the model reads from the results.
    pub finding: Option<String>,
    /// Why the queries are the fixed ones, where a model should have chosen them.
    pub trouble: Option<String>,
}

/// One query and what it gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Its label, as in `pgbouncer_pools(server=pgbouncer)`.
    pub query: String,
    /// Its first rows.
    pub rows: Vec<Value>,
    /// Whether there are more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Why it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Always looked at, and first: it tells more of the usual causes apart than any other query.
const BASELINE: &str = "activity_by_state";
/// How many queries a model may choose, in all.
const MOST_QUERIES: usize = 5;
/// How often it may choose.
const ROUNDS: usize = 2;
/// How many rows of a query are kept.
const MOST_ROWS: usize = 20;
/// The most bytes of a text in a row.
const MOST_TEXT: usize = 200;

/// A model's wish, unchecked: each query must be on the list.
#[derive(Debug, Deserialize)]
struct Wish {
    queries: Vec<String>,
    #[serde(default)]
    finding: String,
}

/// Look around, by the model's choice; without a pod, or where its answer has a defect, by the fixed choice.
pub async fn diagnose(host: &impl ActingHost, incident: &Incident, limits: &Limits) -> Found {
    let offers = offers(incident);
    let mut found = Found::default();
    look(host, &offers, BASELINE, &mut found).await;
    let chosen = choose(host, incident, limits, &offers, &mut found).await;
    if let Err(why) = chosen {
        found.trouble = match why {
            NoAnswer::NoPod => None,
            NoAnswer::Failed(reason) => Some(reason),
        };
        // What was chosen before the defect stands.
        if found.looks.len() <= 1 {
            look_at_all(host, &offers, &fixed(incident, &offers), &mut found).await;
        }
    }
    found
}

/// Look around without asking anybody.
pub(super) async fn diagnose_unasked(host: &impl ActingHost, incident: &Incident) -> Found {
    let offers = offers(incident);
    let mut found = Found::default();
    look(host, &offers, BASELINE, &mut found).await;
    look_at_all(host, &offers, &fixed(incident, &offers), &mut found).await;
    found
}

async fn choose(
    host: &impl ActingHost,
    incident: &Incident,
    limits: &Limits,
    offers: &Offers,
    found: &mut Found,
) -> Result<(), NoAnswer> {
    let queries = described(offers, incident);
    let mut left = MOST_QUERIES;
    for _ in 0..ROUNDS {
        let results = found.looks.iter().map(|look| json!(look).to_string()).collect::<Vec<_>>().join("\n");
        let prompt = Prompt::diagnostics(incident, &queries, left, &results, limits.prompt_budget)
            .map_err(|over| NoAnswer::Failed(over.to_string()))?;
        let schema = schema(offers, left);
        let request = ChatRequest {
            purpose: "diagnostics",
            prompt,
            schema_name: "queries",
            schema: schema.into(),
            max_tokens: limits.max_tokens,
        };
        let wish: Wish = ask(host, &request).await?;
        found.finding = Some(short(&wish.finding, 1000)).filter(|finding| !finding.trim().is_empty());
        let chosen = checked(&wish.queries, offers, left)?;
        left -= chosen.len();
        look_at_all(host, offers, &chosen, found).await;
        if chosen.is_empty() || left == 0 {
            break;
        }
    }
    Ok(())
}

/// The queries as they stand in the list; one that does not makes the whole wish void.
fn checked<'o>(wished: &[String], offers: &'o Offers, left: usize) -> Result<Vec<&'o str>, NoAnswer> {
    if wished.len() > left {
        return Err(NoAnswer::Failed(format!("{} queries were asked for where {left} may be", wished.len())));
    }
    let find = |text: &String| {
        let odd = || NoAnswer::Failed(format!("there is no query {} on the list", plain(&text.escape_default())));
        offers.get_key_value(text).map(|(label, _)| label.as_str()).ok_or_else(odd)
    };
    wished.iter().map(find).collect()
}

fn schema(offers: &Offers, left: usize) -> Value {
    let labels: Vec<&String> = offers.keys().collect();
    let most = if labels.is_empty() { 0 } else { left };
    let items = if labels.is_empty() { json!({"type": "string"}) } else { json!({"type": "string", "enum": labels}) };
    json!({
        "type": "object", "required": ["queries", "finding"], "additionalProperties": false,
        "properties": {
            "queries": {"type": "array", "items": items, "maxItems": most},
            "finding": {"type": "string", "maxLength": 800},
        },
    })
}

async fn look_at_all(host: &impl ActingHost, offers: &Offers, labels: &[&str], found: &mut Found) {
    for label in labels {
        look(host, offers, label, found).await;
    }
}

/// Run one query of the list, once.
async fn look(host: &impl ActingHost, offers: &Offers, label: &str, found: &mut Found) {
    let Some(call) = offers.get(label) else { return };
    if found.looks.iter().any(|look| look.query == label) {
        return;
    }
    let query = label.to_owned();
    found.looks.push(match host.run_tool(call).await {
        ToolOutcome::Done { rows, truncated, .. } => {
            let more = truncated || rows.len() > MOST_ROWS;
            Look { query, rows: rows.iter().take(MOST_ROWS).map(trimmed).collect(), more, error: None }
        }
        outcome => Look { query, rows: Vec::new(), more: false, error: Some(plain(&told(&outcome))) },
    });
}

/// A row without secrets, its texts cut: statements may be pages long.
fn trimmed(row: &Value) -> Value {
    fn cut(value: Value) -> Value {
        match value {
            Value::String(text) => Value::from(short(&text, MOST_TEXT)),
            Value::Array(items) => items.into_iter().take(MOST_ROWS).map(cut).collect(),
            Value::Object(entries) => entries.into_iter().map(|(key, value)| (key, cut(value))).collect(),
            other => other,
        }
    }
    cut(redact_json(row))
}

/// What is looked at when nobody chooses: the queries that the retrieved sections of the best runbook name, then those
/// that are usual for the kind of incident.
fn fixed<'o>(incident: &Incident, offers: &'o Offers) -> Vec<&'o str> {
    let best = incident.retrieval.sections.first();
    let sections =
        incident.retrieval.sections.iter().filter(|section| Some(&section.runbook_id) == best.map(|b| &b.runbook_id));
    // In backticks, as the runbooks write them.
    let named = sections.flat_map(|section| section.content.split('`').skip(1).step_by(2));
    let usual = usual(best.and_then(|best| best.incident_type.as_deref()).unwrap_or_default());
    let mut chosen: Vec<&str> = Vec::new();
    for name in named.chain(usual.iter().copied()) {
        let offer = offers.iter().find(|(_, call)| call.tool().is_some_and(|tool| tool.as_str() == name));
        if let Some((label, _)) = offer
            && name != BASELINE
            && !chosen.contains(&label.as_str())
        {
            chosen.push(label);
        }
    }
    chosen.truncate(MOST_QUERIES);
    chosen
}

fn usual(incident_type: &str) -> &'static [&'static str] {
    match incident_type {
        "ConnectionPoolExhaustion" | "IdleInTransaction" => {
            &["pgbouncer_pools", "pgbouncer_config", "long_transactions", "lock_waits"]
        }
        "QueryLatencySpike" => &["top_statements", "table_scans", "lock_waits", "table_bloat"],
        "DiskSpaceCritical" => &["archiver_and_wal", "replication_slots", "database_sizes"],
        "TransactionIdWraparound" => &["table_xid_age", "snapshot_holders", "vacuum_progress"],
        "ReplicationLag" => &["replication", "replication_slots", "archiver_and_wal"],
        "LockPileUp" => &["blockers", "lock_waits", "long_transactions"],
        "AutovacuumBehind" => &["table_bloat", "vacuum_progress", "snapshot_holders"],
        _ => &["blockers", "long_transactions", "top_statements", "archiver_and_wal"],
    }
}

impl Found {
    /// As `incident_audit.diagnostics` has it: the figures that an eye looks for first, flat, then everything.
    pub fn to_audit(&self) -> Value {
        let mut audit = Map::new();
        let first = self.looks.first();
        match first.filter(|look| look.query == BASELINE && look.error.is_none()) {
            Some(activity) => {
                audit.insert("query".to_owned(), json!("pg_stat_activity"));
                audit.insert("active".to_owned(), json!(sessions(activity, |state| state == "active")));
                audit.insert(
                    "idle_in_tx".to_owned(),
                    json!(sessions(activity, |s| s.starts_with("idle in transaction"))),
                );
            }
            None => {
                audit.insert("query".to_owned(), json!(first.map(|look| &look.query)));
            }
        }
        for (key, text) in [("finding", &self.finding), ("trouble", &self.trouble)] {
            if let Some(text) = text {
                audit.insert(key.to_owned(), json!(text));
            }
        }
        audit.insert("looked_at".to_owned(), json!(self.looks));
        Value::Object(audit)
    }
}

/// The sessions in these states, over all databases.
fn sessions(activity: &Look, counts: impl Fn(&str) -> bool) -> u64 {
    let of_row = |row: &Value| {
        let state = row.get("state").and_then(Value::as_str).unwrap_or_default();
        if counts(state) { row.get("sessions").and_then(Value::as_u64).unwrap_or(0) } else { 0 }
    };
    activity.rows.iter().map(of_row).sum()
}
