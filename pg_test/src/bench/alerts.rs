//! (a) `handle_alert` against a stub pod with no delay: embed, retrieve, prompt, chat, route and insert for each alert.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;

use super::corpus::{self, Dice, alert_text};
use super::{Figure, Size, percentile};
use crate::cluster::{Cluster, Options};
use crate::error::Result;
use crate::stub_pod::{Behaviour, StubPod};

/// What the same steps took as a LangGraph pipeline on this class of machine; the goal is five times better.
const LANGGRAPH_P50_MS: f64 = 16.0;
const LANGGRAPH_ALERTS_PER_S: f64 = 140.0;

/// The alerts of each session before those that are timed.
const WARM_UP: usize = 50;

/// Latency and throughput with 1, 8 and 32 sessions.
pub fn measure(size: Size) -> Result<Vec<Figure>> {
    let pod = StubPod::start(Behaviour::Ok);
    let cluster = Cluster::start(
        &Options::default()
            .durable()
            .set("shared_buffers", "512MB")
            .set("oncall.model_url", &pod.url())
            .set("oncall.chat_model", "stub")
            .set("oncall.embedding_model", "stub"),
    )?;
    let mut client = cluster.client()?;
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE; SELECT oncall.ensure_log_partitions()")?;
    load(&mut client, size.sections)?;
    let mut figures = Vec::new();
    for sessions in [1, 8, 32] {
        let (mut times, elapsed) = storm(&cluster, sessions, Duration::from_secs(size.seconds))?;
        let rate = times.len() as f64 / elapsed.as_secs_f64();
        let named = |what: &str| format!("handle_alert, {} sections, {sessions} sessions: {what}", size.sections);
        let p50 = Figure::plain(named("p50"), percentile(&mut times, 0.5), "ms");
        let rate = Figure::plain(named("rate"), rate, "alerts/s");
        if sessions == 1 {
            figures.push(p50.at_most(LANGGRAPH_P50_MS / 5.0));
            figures.push(rate);
        } else {
            figures.push(p50);
            figures.push(rate.at_least(LANGGRAPH_ALERTS_PER_S * 5.0));
        }
        figures.push(Figure::plain(named("p99"), percentile(&mut times, 0.99), "ms"));
        if sessions == 1 {
            figures.extend(parts(&mut client)?);
        }
    }
    Ok(figures)
}

/// Where the time of a single session went, by the journal's own word.
fn parts(client: &mut Client) -> Result<Vec<Figure>> {
    let rows = client.query(
        "SELECT kind, percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FROM oncall.incident_step GROUP BY kind ORDER BY min(step_no)",
        &[],
    )?;
    Ok(rows
        .iter()
        .map(|row| Figure::plain(format!("  of which {}: p50", row.get::<_, &str>(0)), row.get(1), "ms"))
        .collect())
}

/// The corpus, each section with a step to recommend.
fn load(client: &mut Client, count: usize) -> Result<()> {
    let insert = client.prepare(
        "INSERT INTO oncall.ops_runbooks (runbook_id, title, section, content, incident_type, step)
         VALUES ($1, $2, $3, $4, 'Bench', CASE WHEN $3 = 'Mitigation' THEN '{\"tool\": \"vacuum_analyze\", \"parameters\": {\"table\": \"public.orders\"}}'::jsonb END)",
    )?;
    let mut all = client.transaction()?;
    for s in corpus::sections(count) {
        all.execute(&insert, &[&s.runbook_id, &s.title, &s.section, &s.content])?;
    }
    all.commit()?;
    client.batch_execute("VACUUM ANALYZE oncall.ops_runbooks")?;
    Ok(())
}

/// Alerts of ever new fingerprints from `sessions` at once, each in its own transaction.
fn storm(cluster: &Cluster, sessions: usize, length: Duration) -> Result<(Vec<Duration>, Duration)> {
    let mut clients = Vec::new();
    for _ in 0..sessions {
        clients.push(cluster.client()?);
    }
    let start = Barrier::new(sessions);
    let outcomes: Vec<Result<(Vec<Duration>, Duration)>> = thread::scope(|scope| {
        let workers: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(session, client)| {
                let start = &start;
                scope.spawn(move || one_session(client, sessions * 1000 + session, start, length))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a session does not panic")).collect()
    });
    let (mut all, mut longest) = (Vec::new(), Duration::ZERO);
    for outcome in outcomes {
        let (times, elapsed) = outcome?;
        all.extend(times);
        longest = longest.max(elapsed);
    }
    Ok((all, longest))
}

/// How long each of its alerts took, and all of them.
fn one_session(
    mut client: Client,
    session: usize,
    start: &Barrier,
    length: Duration,
) -> Result<(Vec<Duration>, Duration)> {
    let handle = client.prepare("SELECT incident_id, routing_decision FROM oncall.handle_alert($1::jsonb)")?;
    let mut dice = Dice::new(session as u64 + 1);
    let mut number = 0;
    let mut handle_one = || -> Result<Duration> {
        number += 1;
        let alert = serde_json::json!({
            "alertname": "Bench", "severity": "warning", "message": alert_text(&mut dice),
            "labels": { "session": session.to_string(), "number": number.to_string() },
        });
        let began = Instant::now();
        let rows = client.query(&handle, &[&alert])?;
        assert_eq!(rows.len(), 1, "each alert opens its own incident");
        Ok(began.elapsed())
    };
    // A session's first alerts make its plans, read the runbooks, open its connections and map the shared memory that it reads
    // page by page: pools keep them for the next.
    for _ in 0..WARM_UP {
        handle_one()?;
    }
    start.wait();
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < length {
        times.push(handle_one()?);
    }
    Ok((times, began.elapsed()))
}
