//! Many conversations on one thread: incidents against a pod that answers in a second, 64 questions in flight.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Figure, Size};
use crate::cluster::{Cluster, Options};
use crate::error::{Doing, Error, Result};
use crate::stub_pod::{Behaviour, StubPod};

/// How long the pod takes for an answer.
const ANSWER: Duration = Duration::from_secs(1);
/// How many questions may be in flight.
const IN_FLIGHT: usize = 64;

/// Time against the ideal, and what the pump holds meanwhile.
pub fn measure(size: Size) -> Result<Vec<Figure>> {
    let incidents = if size.seconds < Size::FULL.seconds { 50 } else { 500 };
    let pod = StubPod::start(Behaviour::SlowHead(ANSWER));
    let cluster = Cluster::start(
        &Options::default()
            .durable()
            .workers()
            .set("oncall.model_url", &pod.url())
            .set("oncall.chat_model", "stub")
            .set("oncall.max_model_calls", &IN_FLIGHT.to_string()),
    )?;
    let mut client = cluster.client()?;
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE")?;
    client.batch_execute(
        "INSERT INTO oncall.router_policy (max_actions_per_hour, max_repeats_per_hour) VALUES (100000, 100000)",
    )?;
    let directory = cluster.tree().runbooks()?.display().to_string();
    client.query("SELECT * FROM oncall.load_runbooks($1)", &[&directory])?;
    let pump: i32 = client.query_one("SELECT pid FROM oncall.worker_status() WHERE kind = 'pump'", &[])?.get(0);
    let idle = private_memory(pump)?;

    let mut transaction = client.transaction()?;
    for number in 0..incidents {
        let alert = json!({
            "text": "Connection pool exhaustion: pool_size=50, active=198", "severity": "critical",
            "labels": {"alertname": "PgBouncerPoolExhausted", "instance": format!("host-{number}")},
        });
        transaction.execute("INSERT INTO oncall.alert_inbox (source, payload) VALUES ('bench', $1)", &[&alert])?;
    }
    transaction.commit()?;
    let began = Instant::now();
    let (mut looks, mut in_transaction, mut most) = (0_u32, 0_u32, idle);
    loop {
        thread::sleep(Duration::from_millis(100));
        let open: i64 = client
            .query_one(
                "SELECT (SELECT count(*) FROM oncall.alert_inbox WHERE state = 'waiting')
                    + (SELECT count(*) FROM oncall.incident_work WHERE state IN ('queued', 'running'))",
                &[],
            )?
            .get(0);
        let inside: bool = client
            .query_one(
                "SELECT xact_start IS NOT NULL OR backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = $1",
                &[&pump],
            )?
            .get(0);
        looks += 1;
        in_transaction += u32::from(inside);
        most = most.max(private_memory(pump)?);
        if open == 0 {
            break;
        }
    }
    let took = began.elapsed().as_secs_f64();
    let calls = pod.request_count() as f64;
    let ideal = calls * ANSWER.as_secs_f64() / IN_FLIGHT as f64;
    let named = |what: &str| format!("{incidents} incidents, {IN_FLIGHT} in flight, 1 s an answer: {what}");
    Ok(vec![
        Figure::plain(named("model calls"), calls, "calls"),
        Figure::plain(named("ideal"), ideal, "s"),
        Figure::plain(named("time"), took, "s"),
        Figure::plain(named("over the ideal"), (took / ideal - 1.0) * 100.0, "%").at_most(5.0),
        Figure::plain(named("private memory, idle"), idle, "MB"),
        Figure::plain(named("private memory, most"), most, "MB").at_most(24.0),
        Figure::plain(named("looks that met a transaction"), f64::from(in_transaction) / f64::from(looks) * 100.0, "%"),
    ])
}

/// The memory of a process that it shares with none, in megabytes. Pages of the server's shared memory are nobody's own,
/// though the kernel counts them so as long as no other process has touched them.
fn private_memory(pid: i32) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps");
    let text = fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    let (mut shared, mut kilobytes) = (false, 0.0);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Private_Clean:" | "Private_Dirty:"), Some(size)) if !shared => {
                kilobytes += size.parse::<f64>().map_err(|_| Error::Stage(format!("{path} says {line}")))?;
            }
            // The head of a mapping: its addresses, and its rights with p for private or s for shared.
            (Some(range), Some(rights)) if range.contains('-') && rights.len() == 4 => shared = rights.ends_with('s'),
            _ => {}
        }
    }
    Ok(kilobytes / 1024.0)
}
