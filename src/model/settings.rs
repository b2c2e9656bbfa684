//! What can be set of a pod.

use std::time::Duration;

use crate::dialect::Dialect;
use crate::egress::AllowedHosts;
use crate::key::ApiKey;

/// The longest that each phase of an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Looking up the host's name.
    pub resolve: Duration,
    /// Connecting, TLS included.
    pub connect: Duration,
    /// Sending the request.
    pub send: Duration,
    /// Waiting for the answer to begin: the model thinks here.
    pub response: Duration,
    /// Reading the answer.
    pub body: Duration,
    /// All of it, retries and the waits between them included.
    pub total: Duration,
}

impl Timeouts {
    /// Sensible phases for a given total: a machine that is there answers a connect within two seconds.
    pub fn within(total: Duration) -> Self {
        let at_most = |seconds| total.min(Duration::from_secs(seconds));
        Self { resolve: at_most(2), connect: at_most(2), send: at_most(5), response: total, body: at_most(10), total }
    }
}

/// Everything about a pod that a setting may say.
#[derive(Debug, Clone)]
pub struct PodSettings {
    /// What `/chat/completions` and `/embeddings` are appended to: `http://127.0.0.1:8080/v1`, and for KServe
    /// `http://model.svc/openai/v1`. A slash at its end does not count.
    pub base_url: String,
    /// The model that answers questions; without one the request names none, and the server's default answers.
    pub chat_model: Option<String>,
    /// The model that embeds; likewise.
    pub embedding_model: Option<String>,
    /// Sent as a bearer token.
    pub api_key: Option<ApiKey>,
    /// How the server is told the shape of an answer.
    pub dialect: Dialect,
    /// What an asymmetric embedding model wants before a query, such as `query: `.
    pub query_prefix: String,
    /// What it wants before a passage.
    pub passage_prefix: String,
    /// Where the pod, and whatever its name resolves to, may be.
    pub allowed: AllowedHosts,
    /// The bounds in time, for each exchange.
    pub timeouts: Timeouts,
    /// The most attempts after the first.
    pub max_retries: u32,
    /// The most bytes of a chat answer. A longer one is refused unread, or after as many bytes. Default 1 MB.
    pub max_answer_bytes: u64,
    /// The most texts in one embeddings request; more are sent in several, each with its own time.
    pub embedding_batch: usize,
    /// The authority that signs the pod's certificate, in PEM; without one, the public ones are trusted.
    pub ca_pem: Option<Vec<u8>>,
}

impl PodSettings {
    /// A pod at `base_url`, on this machine, everything else at its default.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            chat_model: None,
            embedding_model: None,
            api_key: None,
            dialect: Dialect::default(),
            query_prefix: String::new(),
            passage_prefix: String::new(),
            allowed: AllowedHosts::default(),
            timeouts: Timeouts::within(Duration::from_secs(30)),
            max_retries: 2,
            max_answer_bytes: 1024 * 1024,
            embedding_batch: 32,
            ca_pem: None,
        }
    }
}
