//! The three cases, told while they happen. What is shown is read from the database, PgBouncer and the sink; the story
//! knows nothing itself.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::error::{Doing, Error, Result};
use crate::lab::Load;

const INCIDENT: &str = include_str!("incident.sql");
const ACTIONS: &str = include_str!("actions.sql");
const PAGE: &str = include_str!("page.sql");
const OVERVIEW: &str = include_str!("overview.sql");
const TIMELINE: &str = include_str!("timeline.sql");

/// A guard against waiting for ever, on a machine that is busy with something else.
const LIMIT: Duration = Duration::from_secs(120);

/// Whoever tells it, and where to.
pub struct Story<'a> {
    stage: &'a Stage,
    out: &'a mut dyn Write,
    client: Client,
    /// When the present case began.
    began: Instant,
}

impl<'a> Story<'a> {
    /// Ready to tell.
    pub fn new(stage: &'a Stage, out: &'a mut dyn Write) -> Result<Self> {
        Ok(Self { stage, out, client: stage.site.client()?, began: Instant::now() })
    }

    /// All of it.
    pub fn tell(&mut self) -> Result<()> {
        self.pool_exhaustion()?;
        self.latency()?;
        self.disk()?;
        self.title("The three of them")?;
        self.show(OVERVIEW, "INC-0001")?;
        self.title("What happened at INC-0001, call by call")?;
        self.show(TIMELINE, "INC-0001")
    }

    fn pool_exhaustion(&mut self) -> Result<()> {
        self.title("1. A connection pool that load exhausts")?;
        let (stage, bouncer) = (self.stage, &self.stage.bouncer);
        self.say("110 clients of pgbench come to a PgBouncer that has 50 connections to the server")?;
        let load = Load::through(bouncer, stage.site.cluster(), 110, "SELECT pg_sleep(0.4);\n")?;
        let waiting = self.until(|_| Ok(bouncer.waiting()?).map(|n| (n > 50).then_some(n)))?;
        self.say(&format!("{waiting} of them wait"))?;
        self.until(|_| Ok(stage.gateway.received().pop()))?;
        self.say(
            "Prometheus has noticed; Alertmanager posts PgBouncerPoolExhausted, a gateway puts it into the inbox",
        )?;
        let slow = load.transactions_per_second().unwrap_or_default();
        let incident = self.treated("PgBouncerPoolExhausted")?;
        let size = bouncer.setting("default_pool_size")?.unwrap_or_default();
        self.say(&format!("{incident} is treated: PgBouncer's default_pool_size is {size}"))?;
        self.until(|_| Ok((bouncer.waiting()? == 0).then_some(())))?;
        self.until(|_| Ok(load.transactions_per_second().filter(|now| *now > 1.5 * slow)))?;
        let fast = load.transactions_per_second().unwrap_or_default();
        self.say(&format!("nobody waits any more: {fast:.0} transactions a second, instead of {slow:.0}"))?;
        self.until(|story| story.state(&incident, "resolved"))?;
        self.say("Prometheus sees it as well; Alertmanager says that it is over, and the incident is closed")?;
        self.show(INCIDENT, &incident)?;
        self.follow_up(&incident)
    }

    fn latency(&mut self) -> Result<()> {
        self.title("2. A query that became slow")?;
        self.client.batch_execute(
            "CREATE TABLE public.orders (
                 id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                 customer_id int NOT NULL, created_at timestamptz NOT NULL, total numeric NOT NULL
             ) WITH (autovacuum_enabled = off);
             ANALYZE public.orders;
             INSERT INTO public.orders (customer_id, created_at, total)
             SELECT n % 20000, now() - n * interval '10 s', n % 100 FROM generate_series(1, 1000000) AS n;
             ALTER TABLE public.orders OWNER TO app;
             GRANT app TO oncall_executor;
             GRANT SELECT ON public.orders TO oncall_observer",
        )?;
        self.say("a table of a million orders, no index on its customers, statistics from when it was empty")?;
        let writes =
            "\\set id random(1, 1000000)\nUPDATE public.orders SET total = total + 1 WHERE id = :id;\n\\sleep 5 ms\n";
        let writers = Load::on(self.stage.site.cluster(), 1, writes)?;
        let query =
            "SELECT sum(total) FROM public.orders WHERE customer_id = 4711 AND created_at > now() - interval '30 days'";
        let scanned = "SELECT seq_tup_read > 1000000 FROM pg_stat_user_tables WHERE relname = 'orders'";
        self.until(|story| {
            story.client.execute(query, &[])?;
            Ok(story.client.query_one(scanned, &[])?.get::<_, bool>(0).then_some(()))
        })?;
        self.say("the application reads all of it for each customer, and writes")?;
        self.post(
            "QueryLatencySpike",
            "warning",
            &json!({"datname": "production", "relation": "orders"}),
            &[
                "Query latency: p95 is 24 times the rolling baseline on the orders table",
                "Sequential scans on orders are rising, the last ANALYZE is 9 days old.",
            ],
        )?;
        let incident = self.treated("QueryLatencySpike")?;
        drop(writers);
        self.say(&format!(
            "{incident} is treated: an index was built without blocking a write, and the table analysed"
        ))?;
        self.show(INCIDENT, &incident)?;
        self.show(ACTIONS, &incident)?;
        self.follow_up(&incident)
    }

    fn disk(&mut self) -> Result<()> {
        self.title("3. A disk that fills up")?;
        let posted = Instant::now();
        let mountpoint = json!({"mountpoint": "/var/lib/postgresql/15/main/pg_wal", "device": "/dev/nvme1n1"});
        self.post(
            "WalVolumeAlmostFull",
            "critical",
            &mountpoint,
            &[
                "Disk space critical: 94.7 percent utilization on the WAL volume",
                "Archiving lag is rising and the checkpointer is falling behind.",
            ],
        )?;
        let sink = &self.stage.sink;
        let is_it = |received: &crate::stub_sink::Received| {
            received.request.json()["data"]["kind"] == "escalation" && received.is_accepted()
        };
        let page = self.until(|_| Ok(sink.received().into_iter().find(is_it)))?;
        let took = page.at.saturating_duration_since(posted).as_millis();
        self.say(&format!("a person is paged {took} ms later: both remedies are destructive, nothing was executed"))?;
        let incident = self.treated("WalVolumeAlmostFull")?;
        self.show(PAGE, &incident)
    }

    /// Hand in what Alertmanager would post for one firing alert.
    fn post(&mut self, name: &str, severity: &str, labels: &Value, [summary, description]: &[&str; 2]) -> Result<()> {
        let mut all = json!({"alertname": name, "severity": severity, "instance": "db-1:9100"});
        if let (Some(all), Some(labels)) = (all.as_object_mut(), labels.as_object()) {
            all.extend(labels.clone());
        }
        let annotations = json!({"summary": summary, "description": description});
        // Alertmanager's is a hash of the labels: another one for another alert is all that counts.
        let fingerprint: String = name.bytes().rev().take(8).map(|byte| format!("{byte:02x}")).collect();
        let status = self.stage.gateway.post(&json!({
            "version": "4", "groupKey": format!("{{}}:{{alertname={name:?}}}"), "truncatedAlerts": 0, "status": "firing",
            "receiver": "pg_oncall", "groupLabels": {"alertname": name}, "commonLabels": all,
            "commonAnnotations": annotations, "externalURL": "http://alertmanager.example:9093",
            "alerts": [{
                "status": "firing", "labels": all, "annotations": annotations, "startsAt": "2026-07-01T02:14:00Z",
                "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus.example:9090/graph",
                "fingerprint": fingerprint,
            }],
        }));
        if status != 200 {
            return Err(Error::Stage(format!("the gateway answered {status} to {name}")));
        }
        self.say(&format!("the webhook of {name} is posted: {summary}"))
    }

    /// What the audit row leaves for the morning.
    fn follow_up(&mut self, incident: &str) -> Result<()> {
        let sql = "SELECT jsonb_array_elements_text(remediation_action -> 'follow_up')
                   FROM oncall.incident_audit WHERE incident_id = $1";
        for row in self.client.query(sql, &[&incident])? {
            writeln!(self.out, "\nLeft for the morning: {}", row.get::<_, String>(0)).doing(|| "write".into())?;
        }
        Ok(())
    }

    /// The incident of this alert, once the workers have done their part.
    fn treated(&mut self, alert_name: &str) -> Result<String> {
        let audit = self.stage.site.treated(alert_name, LIMIT)?;
        Ok(audit["incident_id"].as_str().unwrap_or_default().to_owned())
    }

    fn state(&mut self, incident: &str, state: &str) -> Result<Option<()>> {
        let sql = "SELECT state = $2 FROM oncall.incident_audit WHERE incident_id = $1";
        Ok(self.client.query_one(sql, &[&incident, &state])?.get::<_, bool>(0).then_some(()))
    }

    fn until<T>(&mut self, mut look: impl FnMut(&mut Self) -> Result<Option<T>>) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if began.elapsed() > LIMIT {
                return Err(Error::Stage("the demo waits for what does not come; look into the server's log".into()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn title(&mut self, title: &str) -> Result<()> {
        self.began = Instant::now();
        writeln!(self.out, "\n{title}").doing(|| "write".into())
    }

    /// One line, with the time since the case began.
    fn say(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "{:7.1} s  {text}", self.began.elapsed().as_secs_f64()).doing(|| "write".into())
    }

    /// What psql prints for a query about an incident.
    fn show(&mut self, sql: &str, incident: &str) -> Result<()> {
        let script = format!("\\pset footer off\n\\pset null '-'\n\\set incident {incident}\n{sql}");
        let cluster = self.stage.site.cluster();
        let printed = cluster.psql_as("postgres", crate::lab::DATABASE, &format!("\\set QUIET on\n{script}"))?;
        writeln!(self.out, "\n{}", printed.trim_end()).doing(|| "write".into())
    }
}
