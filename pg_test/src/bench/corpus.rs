//! Runbooks made up of an engineer's words: enough of them, and alike enough, for a search to have something to do.

const COMPONENTS: &[&str] = &[
    "postgres",
    "pgbouncer",
    "replica",
    "checkpointer",
    "autovacuum",
    "archiver",
    "kafka",
    "redis",
    "etcd",
    "ingress",
    "kubelet",
    "scheduler",
    "prometheus",
    "alertmanager",
    "grafana",
    "node exporter",
    "cassandra",
    "ceph",
    "haproxy",
    "nginx",
    "envoy",
    "vault",
    "consul",
    "rabbitmq",
    "elasticsearch",
    "minio",
    "patroni",
    "walsender",
    "connection pool",
    "load balancer",
    "certificate",
    "queue worker",
    "payment gateway",
    "checkout service",
    "search index",
];
const SYMPTOMS: &[&str] = &[
    "is down",
    "is slow",
    "lags behind",
    "runs out of disk",
    "runs out of memory",
    "restarts in a loop",
    "refuses connections",
    "rejects writes",
    "holds locks too long",
    "shows high latency",
    "drops packets",
    "misses its backups",
    "has a full queue",
    "returns errors",
    "is throttled",
    "fails its health check",
    "has expired credentials",
    "reports corruption",
    "exceeds its quota",
    "cannot elect a leader",
];
const WORDS: &[&str] = &[
    "check",
    "whether",
    "operator",
    "cluster",
    "volume",
    "statement",
    "backend",
    "client",
    "timeout",
    "threshold",
    "traffic",
    "deploy",
    "rollback",
    "baseline",
    "latency",
    "throughput",
    "segment",
    "snapshot",
    "vacuum",
    "index",
    "shard",
    "partition",
    "leader",
    "follower",
    "quorum",
    "heartbeat",
    "socket",
    "kernel",
    "buffer",
    "cache",
    "disk",
    "inode",
    "mount",
    "network",
    "route",
    "firewall",
    "token",
    "secret",
    "certificate",
    "renewal",
    "schedule",
    "batch",
    "consumer",
    "producer",
    "offset",
    "topic",
    "query",
    "plan",
    "lock",
    "transaction",
    "wraparound",
    "freeze",
    "replication",
    "slot",
    "archive",
    "restore",
    "backup",
    "memory",
    "swap",
    "cgroup",
    "limit",
    "request",
    "pod",
    "namespace",
    "ingress",
    "upstream",
    "downstream",
    "retry",
    "circuit",
    "error",
    "budget",
    "saturation",
    "queue",
    "depth",
    "worker",
    "thread",
    "process",
    "signal",
    "crash",
    "core",
    "dump",
    "log",
    "metric",
    "alert",
    "silence",
    "page",
    "escalate",
    "owner",
    "runbook",
    "dashboard",
    "panel",
    "graph",
    "spike",
    "drop",
    "plateau",
    "storage",
];

/// A small generator, so that the same corpus is measured each time (xorshift64*, Vigna 2016).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// One section of a made-up runbook.
pub struct Section {
    pub runbook_id: String,
    pub title: String,
    pub section: String,
    pub content: String,
}

/// `count` sections, seven to a runbook.
pub fn sections(count: usize) -> Vec<Section> {
    let mut dice = Dice::new(7);
    let names = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verification", "Background", "Escalation"];
    let mut all = Vec::with_capacity(count);
    let mut number = 0;
    while all.len() < count {
        number += 1;
        let title = format!("{} {} in zone {}", dice.pick(COMPONENTS), dice.pick(SYMPTOMS), word(&mut dice));
        for name in names.iter().take(count - all.len()) {
            let words: Vec<String> = (0..40).map(|_| word(&mut dice)).collect();
            all.push(Section {
                runbook_id: format!("BENCH-{number}"),
                title: title.clone(),
                section: (*name).to_owned(),
                content: words.join(" "),
            });
        }
    }
    all
}

/// A common word, or now and then one that few others have: a service's name.
fn word(dice: &mut Dice) -> String {
    if dice.below(5) == 0 {
        let consonants = b"bcdfghklmnprstvz";
        let vowels = b"aeiou";
        let syllable =
            |dice: &mut Dice| format!("{}{}", consonants[dice.below(16)] as char, vowels[dice.below(5)] as char);
        return (0..3).map(|_| syllable(dice)).collect();
    }
    dice.pick(WORDS).to_owned()
}

/// An alert about something that the corpus knows.
pub fn alert_text(dice: &mut Dice) -> String {
    format!("{} {}: {} {} {}", dice.pick(COMPONENTS), dice.pick(SYMPTOMS), word(dice), word(dice), word(dice))
}
