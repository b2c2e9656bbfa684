//! (b) Retrieval among many sections: how fast, and how much of what an exact scan finds.

use std::time::Instant;

use postgres::Client;

use super::corpus::{self, Dice, alert_text};
use super::{Figure, Size, percentile};
use crate::cluster::{Cluster, Options};
use crate::error::Result;

const QUERIES: usize = 200;

/// p50 of `search_runbooks`, and its recall@5.
pub fn measure(size: Size) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(
        &Options::default()
            .set("shared_buffers", "1GB")
            .set("maintenance_work_mem", "2GB")
            .set("max_parallel_maintenance_workers", "2"),
    )?;
    let mut client = cluster.client()?;
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE")?;
    load(&mut client, size.many_sections)?;
    let search = client.prepare("SELECT similarity::float8 FROM oncall.search_runbooks($1, 5)")?;
    let mut dice = Dice::new(99);
    let queries: Vec<String> = (0..QUERIES).map(|_| alert_text(&mut dice)).collect();
    let mut times = Vec::new();
    let mut near: Vec<Vec<f64>> = Vec::new();
    for warm in [true, false] {
        near.clear();
        for query in &queries {
            let began = Instant::now();
            let rows = client.query(&search, &[query])?;
            if !warm {
                times.push(began.elapsed());
            }
            near.push(rows.iter().map(|row| row.get(0)).collect());
        }
    }
    let mut found = 0;
    let mut wanted = 0;
    for (query, near) in queries.iter().zip(&near) {
        let exact = exact(&mut client, query)?;
        let fifth = exact.last().copied().unwrap_or(f64::NAN);
        wanted += exact.len();
        // By score, so that a tie is no miss. search_runbooks rounds to three digits.
        found += near.iter().filter(|score| **score >= fifth - 0.0005).count().min(exact.len());
    }
    let named = |what: &str| format!("search_runbooks, {} sections: {what}", size.many_sections);
    Ok(vec![
        Figure::plain(named("p50"), percentile(&mut times, 0.5), "ms").at_most(5.0),
        Figure::plain(named("p99"), percentile(&mut times, 0.99), "ms"),
        Figure::plain(named("recall@5"), found as f64 / wanted as f64, "share").at_least(0.98),
    ])
}

/// The five best scores by a scan of every row.
fn exact(client: &mut Client, query: &str) -> Result<Vec<f64>> {
    let mut scan = client.transaction()?;
    scan.batch_execute("SET LOCAL enable_indexscan = off")?;
    let rows = scan.query(
        "SELECT 1 - (builtin_embedding <=> oncall.embed_builtin($1)) FROM oncall.ops_runbooks
         ORDER BY builtin_embedding <=> oncall.embed_builtin($1) LIMIT 5",
        &[&query],
    )?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Rows first, index after: the way to load many. The pod's column is searched only when there is a pod.
fn load(client: &mut Client, count: usize) -> Result<()> {
    client.batch_execute(
        "DROP INDEX oncall.ops_runbooks_builtin_embedding_idx, oncall.ops_runbooks_embedding_idx;
         CREATE TEMPORARY TABLE corpus (runbook_id text, title text, section text, content text)",
    )?;
    let sections = corpus::sections(count);
    for part in sections.chunks(5_000) {
        let insert = client.prepare("INSERT INTO corpus VALUES ($1, $2, $3, $4)")?;
        let mut all = client.transaction()?;
        for s in part {
            all.execute(&insert, &[&s.runbook_id, &s.title, &s.section, &s.content])?;
        }
        all.commit()?;
    }
    client.batch_execute(
        "INSERT INTO oncall.ops_runbooks (runbook_id, title, section, content) SELECT * FROM corpus;
         CREATE INDEX ops_runbooks_builtin_embedding_idx ON oncall.ops_runbooks USING hnsw (builtin_embedding halfvec_cosine_ops)",
    )?;
    client.batch_execute("VACUUM ANALYZE oncall.ops_runbooks")?;
    Ok(())
}
