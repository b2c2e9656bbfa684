//! What must be true after a drill, whatever was killed: invariants 1, 4 and 5.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use postgres::Client;

use super::kills::Target;
use crate::error::Result;
use crate::stub_sink::StubSink;

/// The outcome of a drill.
#[derive(Debug)]
pub struct Verdict {
    seed: u64,
    killed: BTreeMap<Target, usize>,
    settling: Duration,
    figures: Vec<(&'static str, i64)>,
    broken: Vec<(&'static str, i64)>,
    objections: Vec<(String, i64)>,
}

/// Why people were paged: what failed of the policy, and what was said of work that went badly.
const OBJECTIONS: &str = "
    SELECT why, count(*) FROM (
        SELECT c ->> 'name' FROM oncall.incident_audit, jsonb_array_elements(reasons) AS c WHERE NOT (c ->> 'pass')::boolean
        UNION ALL
        SELECT regexp_replace(escalation, '[0-9]{3}', 'nnn', 'g') FROM oncall.incident_audit
        WHERE routing_decision = 'autonomous' AND escalation IS NOT NULL) AS o (why)
    GROUP BY why ORDER BY count(*) DESC, why LIMIT 10";

/// What is counted for the reader.
const FIGURES: &[(&str, &str)] = &[
    ("alerts accepted", "SELECT count(*) FROM oncall.alert_inbox"),
    ("incidents", "SELECT count(*) FROM oncall.incident_audit"),
    ("decided autonomous", "SELECT count(*) FROM oncall.incident_audit WHERE routing_decision = 'autonomous'"),
    ("escalated", "SELECT count(*) FROM oncall.incident_audit WHERE routing_decision = 'escalate'"),
    ("runs of the tool", "SELECT count(*) FROM drill.run"),
    (
        "actions whose outcome was lost and settled by a look",
        "SELECT count(*) FROM oncall.incident_step WHERE kind = 'action' AND status = 'unknown'",
    ),
    ("given up", "SELECT count(*) FROM oncall.incident_work WHERE state = 'given_up'"),
];

/// What must be none.
const BROKEN: &[(&str, &str)] = &[
    ("inbox rows that nobody has taken", "SELECT count(*) FROM oncall.alert_inbox WHERE state = 'waiting'"),
    (
        "alerts without exactly one audit row",
        "SELECT count(*) FROM (SELECT DISTINCT payload #>> '{labels,alertname}' AS name FROM oncall.alert_inbox) AS accepted
         WHERE (SELECT count(*) FROM oncall.incident_audit WHERE alert ->> 'name' = accepted.name) <> 1",
    ),
    ("incidents without an end", "SELECT count(*) FROM oncall.incident_audit WHERE handled_at IS NULL OR routing_decision IS NULL"),
    ("work that is not done", "SELECT count(*) FROM oncall.incident_work WHERE state NOT IN ('done', 'given_up')"),
    ("intents without an outcome", "SELECT count(*) FROM oncall.incident_step WHERE status = 'intent'"),
    ("actions that ran twice", "SELECT count(*) FROM (SELECT FROM drill.run GROUP BY key HAVING count(*) > 1) AS twice"),
    (
        "destructive actions that ran",
        "SELECT count(*) FROM drill.run WHERE substr(key, 2)::integer % 3 = 2",
    ),
    (
        "actions said to be done that did not run",
        "SELECT count(*) FROM oncall.incident_step AS s WHERE kind = 'action' AND status = 'done'
         AND NOT EXISTS (SELECT FROM drill.run WHERE key = s.request #>> '{parameters,key}')",
    ),
    (
        "runs without an intent",
        "SELECT count(*) FROM drill.run AS r
         WHERE NOT EXISTS (SELECT FROM oncall.incident_step WHERE kind = 'action' AND request #>> '{parameters,key}' = r.key)",
    ),
    ("pages that are not sent", "SELECT count(*) FROM oncall.delivery WHERE state <> 'sent'"),
    (
        "escalations without a page",
        "SELECT count(*) FROM oncall.incident_audit AS a WHERE routing_decision = 'escalate'
         AND NOT EXISTS (SELECT FROM oncall.delivery WHERE incident_id = a.incident_id)",
    ),
];

/// How many things are still open.
pub fn open(client: &mut Client) -> Result<i64> {
    let sql = "SELECT (SELECT count(*) FROM oncall.alert_inbox WHERE state = 'waiting')
        + (SELECT count(*) FROM oncall.incident_work WHERE state IN ('queued', 'running', 'held'))
        + (SELECT count(*) FROM oncall.delivery WHERE state = 'waiting')";
    Ok(client.query_one(sql, &[])?.get(0))
}

/// Count everything.
pub fn judge(
    client: &mut Client,
    sink: &StubSink,
    seed: u64,
    killed: Vec<Target>,
    settling: Duration,
) -> Result<Verdict> {
    let mut count = |rows: &[(&'static str, &str)]| -> Result<Vec<(&'static str, i64)>> {
        rows.iter().map(|(what, sql)| Ok((*what, client.query_one(*sql, &[])?.get(0)))).collect()
    };
    let mut figures = count(FIGURES)?;
    let mut broken = count(BROKEN)?;
    let bodies: Vec<String> = sink
        .received()
        .into_iter()
        .map(|received| String::from_utf8_lossy(&received.request.body).into_owned())
        .collect();
    figures.push(("requests at the sink", i64::try_from(bodies.len()).unwrap_or(i64::MAX)));
    let ghosts = bodies.iter().filter(|body| body.contains("RolledBack")).count();
    broken.push(("pages for what was rolled back", i64::try_from(ghosts).unwrap_or(i64::MAX)));
    let objections = client.query(OBJECTIONS, &[])?.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut by_target = BTreeMap::new();
    for target in killed {
        *by_target.entry(target).or_default() += 1;
    }
    Ok(Verdict { seed, killed: by_target, settling, figures, broken, objections })
}

impl Verdict {
    /// Whether every invariant holds.
    pub fn holds(&self) -> bool {
        self.broken.iter().all(|(_, count)| *count == 0)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let killed: Vec<String> = self.killed.iter().map(|(target, count)| format!("{target} {count}")).collect();
        writeln!(
            f,
            "seed {}; killed: {}; settled {:.1} s after the last",
            self.seed,
            killed.join(", "),
            self.settling.as_secs_f64()
        )?;
        for (what, count) in &self.figures {
            writeln!(f, "{count:>8}  {what}")?;
        }
        writeln!(f, "Why people were paged:")?;
        for (why, count) in &self.objections {
            writeln!(f, "{count:>8}  {why}")?;
        }
        writeln!(f, "What must be none:")?;
        for (what, count) in &self.broken {
            writeln!(f, "{count:>8}  {what}{}", if *count == 0 { "" } else { "   <-- broken" })?;
        }
        Ok(())
    }
}
