//! Real monitoring: postgres_exporter measures, Prometheus evaluates a rule, Alertmanager sends the webhook.

use serde_json::Value;

use super::daemon::{self, Daemon};
use super::gateway::{Gateway, TOKEN};
use super::http;
use super::site::{DATABASE, MONITOR};
use crate::cluster::Cluster;
use crate::error::Result;
use crate::place::Scratch;

/// What postgres_exporter measures beside its own metrics, as its user would write it.
const QUERIES: &str = include_str!("queries.yaml");

/// When to raise an alert.
const RULES: &str = include_str!("rules.yaml");

/// The three programs, from the last in the chain to the first: they are ended in the order of the fields.
#[derive(Debug)]
pub struct Monitoring {
    prometheus: u16,
    _daemons: [Daemon; 3],
}

impl Monitoring {
    /// Start the chain in front of a gateway. It looks once a second, where production would look once in 15.
    pub fn start(cluster: &Cluster, gateway: &Gateway) -> Result<Self> {
        let (exporter, measured) = daemon::on_a_free_port(|port| exporter(cluster, port))?;
        let (alertmanager, alerts) = daemon::on_a_free_port(|port| alertmanager(cluster, gateway, port))?;
        let (prometheus, rules) = daemon::on_a_free_port(|port| prometheus(cluster, measured, alerts, port))?;
        Ok(Self { prometheus: rules, _daemons: [prometheus, alertmanager, exporter] })
    }

    /// The latest value of an expression in Prometheus, the first one where there are several.
    pub fn value(&self, expression: &str) -> Option<f64> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (_, body) = http::get(self.prometheus, &format!("/api/v1/query?query={encoded}"))?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        answer.pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
    }
}

fn exporter(cluster: &Cluster, port: u16) -> Result<Daemon> {
    let account = &cluster.tree().place.account;
    let scratch = Scratch::new(account)?;
    let queries = scratch.path().join("queries.yaml");
    daemon::write(account, &queries, QUERIES)?;
    let mut command = daemon::command(account, "prometheus-postgres-exporter")?;
    let source = format!(
        "host={} port={} user={MONITOR} dbname={DATABASE} sslmode=disable",
        cluster.dir().display(),
        cluster.port()
    );
    command.env("DATA_SOURCE_NAME", source).arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.arg(format!("--extend.query-path={}", queries.display()));
    Daemon::start("postgres_exporter", command, scratch, || http::answers(port, "/"))
}

fn alertmanager(cluster: &Cluster, gateway: &Gateway, port: u16) -> Result<Daemon> {
    let account = &cluster.tree().place.account;
    let scratch = Scratch::new(account)?;
    let config = scratch.path().join("alertmanager.yaml");
    let text = format!(
        "route: {{receiver: pg_oncall, group_by: [alertname, database], group_wait: 1s, group_interval: 1s, repeat_interval: 1m}}
receivers:
- name: pg_oncall
  webhook_configs:
  - {{url: '{}', send_resolved: true, http_config: {{authorization: {{credentials: '{TOKEN}'}}}}}}
",
        gateway.url()
    );
    daemon::write(account, &config, &text)?;
    let mut command = daemon::command(account, "prometheus-alertmanager")?;
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.path={}", scratch.path().join("data").display()));
    // No cluster of alertmanagers: it would listen on every address.
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--cluster.listen-address=");
    Daemon::start("alertmanager", command, scratch, || http::answers(port, "/-/ready"))
}

fn prometheus(cluster: &Cluster, exporter: u16, alertmanager: u16, port: u16) -> Result<Daemon> {
    let account = &cluster.tree().place.account;
    let scratch = Scratch::new(account)?;
    let (config, rules) = (scratch.path().join("prometheus.yaml"), scratch.path().join("rules.yaml"));
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{}']
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}
scrape_configs: [{{job_name: postgres, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}]
",
        rules.display()
    );
    daemon::write(account, &config, &text)?;
    daemon::write(account, &rules, RULES)?;
    let mut command = daemon::command(account, "prometheus")?;
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", scratch.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    Daemon::start("prometheus", command, scratch, || http::answers(port, "/-/ready"))
}
