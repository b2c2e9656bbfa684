//! (d) How soon a cancelled model call ends.

use std::thread;
use std::time::{Duration, Instant};

use super::{Figure, percentile};
use crate::cluster::{Cluster, Options};
use crate::error::Result;
use crate::stub_pod::{Behaviour, StubPod};

/// From the cancel to the error, while the pod keeps the caller waiting.
pub fn measure() -> Result<Vec<Figure>> {
    let pod = StubPod::start(Behaviour::SlowHead(Duration::from_secs(20)));
    let cluster =
        Cluster::start(&Options::default().set("oncall.model_url", &pod.url()).set("oncall.chat_model", "stub"))?;
    cluster.client()?.batch_execute("CREATE EXTENSION pg_oncall CASCADE")?;
    let mut times = Vec::new();
    for round in 0..20 {
        let mut client = cluster.client()?;
        let cancel = client.cancel_token();
        let waiting = thread::spawn(move || {
            let outcome = client.query("SELECT oncall.handle_alert($1::text)", &[&format!("round {round}")]);
            (outcome.err().and_then(|e| e.code().cloned()), Instant::now())
        });
        thread::sleep(Duration::from_millis(200));
        let began = Instant::now();
        cancel.cancel_query(postgres::NoTls)?;
        let (code, ended) = waiting.join().expect("the session does not panic");
        assert_eq!(code, Some(postgres::error::SqlState::QUERY_CANCELED), "the call was cancelled, not answered");
        times.push(ended - began);
    }
    Ok(vec![
        Figure::plain("cancel during a model call, p50", percentile(&mut times, 0.5), "ms"),
        Figure::plain("cancel during a model call, worst of 20", percentile(&mut times, 1.0), "ms").at_most(100.0),
    ])
}
