//! What handing an alert in costs its sender, and how soon a worker has taken it in.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use postgres::Client;
use serde_json::json;

use super::{Figure, Size, percentile};
use crate::cluster::{Cluster, Options};
use crate::error::{Error, Result};

/// How many rows one measurement of the trigger inserts, and how often the best of it is taken.
const ROWS: u32 = 5_000;
const ROUNDS: usize = 7;

/// How many alerts are followed on their way in.
const FOLLOWED: usize = 200;

/// Cost of the trigger; time from the sender's commit to the worker's first touch, and to the marked row.
pub fn measure_inbox(_: Size) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&Options::default().durable().workers())?;
    let mut client = cluster.client()?;
    client.batch_execute(
        "CREATE EXTENSION pg_oncall CASCADE;
         CREATE TABLE bare (payload jsonb);
         CREATE TABLE handed_in (payload jsonb);
         CREATE TRIGGER hand_in AFTER INSERT ON handed_in FOR EACH ROW EXECUTE FUNCTION oncall.triage_alert_trigger('payload')",
    )?;
    let disabled = "ALTER TABLE oncall.alert_inbox DISABLE TRIGGER wake_pump;";
    let wake = added(&mut client, ("", "oncall.alert_inbox"), (disabled, "oncall.alert_inbox"))?;
    let own = added(&mut client, ("", "handed_in"), ("", "bare"))?;
    let mut figures = vec![
        Figure::plain("inbox: what the trigger adds to an INSERT", wake, "us").at_most(100.0),
        Figure::plain("inbox: what triage_alert_trigger() adds to an INSERT", own, "us").at_most(100.0),
    ];
    // The rows that were rolled back above are still in the index that every claim reads from its beginning.
    client.batch_execute("VACUUM oncall.alert_inbox")?;
    for (what, repeats) in [("a repeat", true), ("a new alert", false)] {
        let mut followed = follow(&mut client, repeats)?;
        let named = |until: &str| format!("inbox, {what}: commit answered to {until}");
        let Followed { picked_up, taken_in } = &mut followed;
        figures.push(Figure::plain(named("picked up") + ", p50", percentile(picked_up, 0.5), "ms").at_most(5.0));
        figures.push(Figure::plain(named("picked up") + ", p95", percentile(picked_up, 0.95), "ms"));
        figures.push(Figure::plain(named("taken in") + ", p50", percentile(taken_in, 0.5), "ms"));
        figures.push(Figure::plain(named("taken in") + ", p95", percentile(taken_in, 0.95), "ms"));
    }
    Ok(figures)
}

/// Microseconds that one INSERT into the one table takes longer than into the other, each after a preparation: the best
/// of several rounds, in turn. All of it is rolled back.
fn added(client: &mut Client, one: (&str, &str), other: (&str, &str)) -> Result<f64> {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (place, (prepare, table)) in [one, other].into_iter().enumerate() {
            let mut lost = client.transaction()?;
            lost.batch_execute(prepare)?;
            let began = Instant::now();
            lost.batch_execute(&format!(
                "DO $$ BEGIN FOR n IN 1..{ROWS} LOOP
                     INSERT INTO {table} (payload) VALUES ('{{\"alertname\": \"Bench\", \"severity\": \"warning\", \"message\": \"it hurts\"}}');
                 END LOOP; END $$; SET CONSTRAINTS ALL IMMEDIATE"
            ))?;
            best[place] = best[place].min(began.elapsed().as_secs_f64() * 1e6 / f64::from(ROWS));
            lost.rollback()?;
        }
    }
    Ok(best[0] - best[1])
}

/// From the answer to the sender's commit, for alerts that come one by one while the worker has nothing else to do.
struct Followed {
    /// Until a worker began with it.
    picked_up: Vec<Duration>,
    /// Until the mark on the row, which says that it is done.
    taken_in: Vec<Duration>,
}

fn follow(client: &mut Client, repeats: bool) -> Result<Followed> {
    let insert =
        client.prepare("INSERT INTO oncall.alert_inbox (source, payload) VALUES ('bench', $1) RETURNING id")?;
    let mut sent = Vec::new();
    for number in 0..FOLLOWED {
        let name = if repeats { "Repeat".to_owned() } else { format!("New{number}") };
        let alert = json!({ "alertname": name, "severity": "warning", "message": "it hurts" });
        let id: i64 = client.query_one(&insert, &[&alert])?.get(0);
        sent.push((id, SystemTime::now()));
        thread::sleep(Duration::from_millis(25));
        wait_until_none(client, "oncall.incident_work WHERE state IN ('queued', 'running')")?;
    }
    wait_until_taken_in(client)?;
    let (mut picked_up, mut taken_in) = (Vec::new(), Vec::new());
    for (id, answered) in sent {
        let row = client.query_one("SELECT begun_at, done_at FROM oncall.alert_inbox WHERE id = $1", &[&id])?;
        // The worker may be at it before the sender has its answer.
        let since = |at: SystemTime| at.duration_since(answered).unwrap_or_default();
        picked_up.push(since(row.get(0)));
        taken_in.push(since(row.get(1)));
    }
    Ok(Followed { picked_up, taken_in })
}

/// How many alerts a storm has, and of how many kinds.
const STORM: i32 = 10_000;
const KINDS: i32 = 20;

/// A storm, all at once and from several senders.
pub fn measure_storm(_: Size) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&Options::default().durable().workers().set("shared_buffers", "512MB"))?;
    let mut client = cluster.client()?;
    client.batch_execute("CREATE EXTENSION pg_oncall CASCADE")?;
    let mut figures = Vec::new();
    for (name, senders, each) in
        [("one transaction", 1, STORM), ("4 senders, groups of 25", 4, 25), ("16 senders, one by one", 16, 1)]
    {
        let before: i64 = incidents(&mut client)?.0;
        let took = storm(&cluster, &mut client, name, senders, each)?;
        let (count, alerts) = incidents(&mut client)?;
        if count - before != i64::from(KINDS) || alerts != i64::from(STORM) * (count / i64::from(KINDS)) {
            return Err(Error::SetUp(format!("{count} incidents of {alerts} alerts after the storm from {name}")));
        }
        let rate = Figure::plain(
            format!("storm of {STORM}, {KINDS} kinds, {name}"),
            f64::from(STORM) / took.as_secs_f64(),
            "alerts/s",
        );
        figures.push(if each == 1 { rate } else { rate.at_least(2_000.0) });
    }
    Ok(figures)
}

fn incidents(client: &mut Client) -> Result<(i64, i64)> {
    let row =
        client.query_one("SELECT count(*), coalesce(sum(alert_count), 0)::bigint FROM oncall.incident_audit", &[])?;
    Ok((row.get(0), row.get(1)))
}

/// From the first INSERT to the last row that is taken in.
fn storm(cluster: &Cluster, client: &mut Client, name: &str, senders: i32, each: i32) -> Result<Duration> {
    let sql = "INSERT INTO oncall.alert_inbox (source, payload)
               SELECT 'bench', jsonb_build_object('alertname', format('Kind%s', n % $1), 'severity', 'warning', 'storm', $2::text,
                   'labels', jsonb_build_object('storm', $2::text, 'region', 'eu-central-1', 'database', 'production'),
                   'message', format('%s clients wait for a server connection', n))
               FROM generate_series(1, $3::int) AS n";
    let sessions: Result<Vec<Client>> = (0..senders).map(|_| cluster.client()).collect();
    let began = Instant::now();
    let outcomes: Vec<Result<()>> = thread::scope(|scope| {
        let workers: Vec<_> = sessions?
            .into_iter()
            .map(|mut session| {
                scope.spawn(move || {
                    for turn in 0..STORM / senders / each {
                        // One by one, each sender has its kinds in turn, too.
                        let (sql, offset) = if each == 1 {
                            (sql.replace("n % $1", &format!("({turn} + n) % $1")), 1)
                        } else {
                            (sql.to_owned(), each)
                        };
                        session.execute(sql.as_str(), &[&KINDS, &name, &offset])?;
                    }
                    Ok(())
                })
            })
            .collect();
        Ok::<_, Error>(workers.into_iter().map(|worker| worker.join().expect("a sender does not panic")).collect())
    })?;
    outcomes.into_iter().collect::<Result<()>>()?;
    wait_until_taken_in(client)?;
    Ok(began.elapsed())
}

fn wait_until_taken_in(client: &mut Client) -> Result<()> {
    wait_until_none(client, "oncall.alert_inbox WHERE state = 'waiting'")
}

fn wait_until_none(client: &mut Client, rows: &str) -> Result<()> {
    let began = Instant::now();
    let left = client.prepare(&format!("SELECT count(*) FROM {rows}"))?;
    while client.query_one(&left, &[])?.get::<_, i64>(0) > 0 {
        if began.elapsed() > Duration::from_secs(120) {
            return Err(Error::SetUp(format!("after two minutes there are still rows in {rows}")));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
