//! The surroundings of a drill: a server with fsync on, a runbook for each incident, a tool that counts its runs.

use std::fmt::Write as _;
use std::time::Duration;

use postgres::Client;
use serde_json::json;

use super::kills::{self, Target};
use super::verdict::{self, Verdict};
use crate::bench::Dice;
use crate::cluster::{Cluster, Options};
use crate::error::Result;
use crate::stub_pod::{Behaviour, Replies, StubPod};
use crate::stub_sink::StubSink;

/// Everything that a drill needs, alive while it lasts.
pub struct Scene {
    cluster: Cluster,
    _pod: StubPod,
    sink: StubSink,
}

impl Scene {
    /// A server that is ready for this many incidents.
    pub fn set(incidents: usize) -> Result<Self> {
        let pod = StubPod::start(Behaviour::SlowHead(Duration::from_millis(50)));
        pod.replies(Replies { destructive: true, ..Replies::default() });
        let sink = StubSink::start();
        let options = Options::default()
            .durable()
            .workers()
            .set("oncall.autonomy", "on")
            .set("oncall.model_url", &pod.url())
            .set("oncall.chat_model", "stub-chat")
            .set("max_worker_processes", "24")
            // Every crash makes the server wait for its own children before it starts again.
            .set("restart_after_crash", "on");
        let cluster = Cluster::start(&options)?;
        let mut client = cluster.client()?;
        client.batch_execute(include_str!("scene.sql"))?;
        client
            .execute("INSERT INTO oncall.sink (name, format, url) VALUES ('drill', 'generic', $1)", &[&sink.url()])?;
        for number in 0..incidents {
            client.query("SELECT * FROM oncall.load_runbook($1)", &[&runbook(number)])?;
        }
        Ok(Self { cluster, _pod: pod, sink })
    }

    /// Hand in an alert, and now and then one that is rolled back. What does not get through was not accepted.
    pub fn send(&self, number: usize, dice: &mut Dice) {
        let rolled_back = dice.below(5) == 0;
        let Ok(mut client) = self.patient_client() else { return };
        let insert = |client: &mut Client, name: String, keep: bool| -> Result<()> {
            let mut transaction = client.transaction()?;
            let payload =
                json!({"text": format!("{name} happened"), "severity": "warning", "labels": {"alertname": name}});
            transaction
                .execute("INSERT INTO oncall.alert_inbox (source, payload) VALUES ('drill', $1)", &[&payload])?;
            if keep {
                transaction.commit()?
            } else {
                transaction.rollback()?
            }
            Ok(())
        };
        if rolled_back {
            let _ = insert(&mut client, format!("RolledBack{number:03}"), false);
        }
        let _ = insert(&mut client, format!("Drill{number:03}"), true);
    }

    /// Kill something.
    pub fn kill(&mut self, target: Target) -> Result<Target> {
        kills::kill(&mut self.cluster, target)
    }

    /// Whether there is nothing left to do.
    pub fn is_settled(&self) -> bool {
        let open = self.patient_client().and_then(|mut client| verdict::open(&mut client));
        open.is_ok_and(|open| open == 0)
    }

    /// What is true in the end.
    pub fn judge(&self, seed: u64, killed: Vec<Target>, settling: Duration) -> Result<Verdict> {
        verdict::judge(&mut self.patient_client()?, &self.sink, seed, killed, settling)
    }

    /// A session, as soon as the server lets one in.
    fn patient_client(&self) -> Result<Client> {
        let mut tries = 0;
        loop {
            match self.cluster.client() {
                Err(_) if tries < 600 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(50));
                }
                outcome => return outcome,
            }
        }
    }
}

/// Two of three are safe and run by themselves; the third is destructive and pages.
fn runbook(number: usize) -> String {
    let mut text = String::new();
    let destructive = number % 3 == 2;
    let _ = write!(
        text,
        "---\nid: RB-D{number:03}\ntitle: Drill {number:03}\nincident_type: Drill\nseverity: P3\nalerts:\n  - Drill{number:03}\n---\n\n\
         ## Count a run\n\nOne run for drill {number:03}.\n\n\
         ```yaml step\ntool: count_run\nparameters:\n  key: k{number:03}\ndestructive: {destructive}\n\
         guard: SELECT true\nverify: SELECT EXISTS (SELECT FROM drill.run WHERE key = 'k{number:03}')\n```\n"
    );
    text
}
