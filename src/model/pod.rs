//! A model pod: where it is, how it is spoken to, and the two questions that can be put to it.

use std::sync::Arc;
use std::time::Instant;

use oncall_domain::host::{ChatAnswer, ModelError};
use serde_json::Value;
use ureq::http::{HeaderValue, Uri};
use ureq::tls::TlsConfig;

use crate::agent;
use crate::call::{Call, Line};
use crate::chat::{self, Question};
use crate::egress::{self, Refused};
use crate::embedding::{self, Embeddings, Kind};
use crate::fault;
use crate::settings::PodSettings;
use crate::tls::{self, InvalidAuthorities};

/// Why settings make no pod. A host that is not allowed is none of these: that shows when it is called.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The base URL cannot be parsed.
    #[error("{url:?} is no URL: {reason}")]
    Url {
        /// The URL, as given.
        url: String,
        /// The parser's word.
        reason: String,
    },
    /// The base URL has a scheme, a user or a host that no pod has.
    #[error(transparent)]
    Form(#[from] Refused),
    /// The authority's certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] InvalidAuthorities),
}

/// The most bytes of an answer for each embedded text: 8192 numbers of up to 32 characters.
const EMBEDDING_BYTES: u64 = 256 * 1024;

/// The most idle connections that are kept: as many as a pump has calls in flight.
const IDLE_CONNECTIONS: usize = 32;

/// A pod, ready to be asked. Connections are kept alive from call to call and shared by clones.
#[derive(Debug, Clone)]
pub struct Pod {
    address: Arc<Address>,
    line: Arc<Line>,
}

/// What of a pod stays when its line is cut.
#[derive(Debug)]
struct Address {
    settings: PodSettings,
    chat: Uri,
    embeddings: Uri,
    bearer: Option<HeaderValue>,
    tls: TlsConfig,
}

impl Pod {
    /// Check the settings. Nothing is contacted, no thread started.
    pub fn new(settings: PodSettings) -> Result<Self, SetUpError> {
        let base = settings.base_url.trim().trim_end_matches('/');
        let invalid = |reason: String| SetUpError::Url { url: settings.base_url.clone(), reason };
        if base.contains(['?', '#']) {
            return Err(invalid("it is a prefix, so it has no query and no fragment".to_owned()));
        }
        let endpoint = |path| format!("{base}{path}").parse::<Uri>().map_err(|e| invalid(e.to_string()));
        let (chat, embeddings) = (endpoint("/chat/completions")?, endpoint("/embeddings")?);
        egress::check_form(&chat)?;
        let bearer = settings.api_key.as_ref().map(|key| {
            let mut value = HeaderValue::try_from(key.bearer()).expect("a key is printable ASCII");
            value.set_sensitive(true);
            value
        });
        let tls = tls::config(settings.ca_pem.as_deref())?;
        let line = Arc::new(connect(&settings, &tls));
        Ok(Self { address: Arc::new(Address { settings, chat, embeddings, bearer, tls }), line })
    }

    /// Ask the chat model. Blocks until there is an answer, [`Pod::shutdown`], or the total time is over.
    pub fn chat(&self, question: &Question<'_>) -> Result<ChatAnswer, ModelError> {
        let settings = &self.address.settings;
        let model = settings.chat_model.as_deref();
        let started = Instant::now();
        let body = chat::body(question, model, settings.dialect);
        let answer = self.post(&self.address.chat, &body, settings.max_answer_bytes)?;
        let reply = chat::read(&answer).map_err(|e| self.hide_key(e))?;
        let hide = |text: String| match &settings.api_key {
            Some(key) => key.hide(&text),
            None => text,
        };
        Ok(ChatAnswer {
            // The server knows the key: it was sent there. An answer that quotes it goes into the audit.
            text: hide(reply.text),
            truncated: reply.truncated,
            model: hide(reply.model.or(settings.chat_model.clone()).unwrap_or_default()),
            tokens_in: reply.tokens_in,
            tokens_out: reply.tokens_out,
            latency: started.elapsed(),
        })
    }

    /// Embed texts, in batches. `dimension` is the column's, where there is one. Blocks like [`Pod::chat`].
    pub fn embed(&self, texts: &[String], kind: Kind, dimension: Option<usize>) -> Result<Embeddings, ModelError> {
        let settings = &self.address.settings;
        let model = settings.embedding_model.as_deref();
        let prefix = match kind {
            Kind::Query => &settings.query_prefix,
            Kind::Passage => &settings.passage_prefix,
        };
        let configured = model.unwrap_or_default().to_owned();
        let mut all = Embeddings { vectors: Vec::with_capacity(texts.len()), model: configured, tokens: None };
        let mut named: Option<String> = None;
        for texts in texts.chunks(settings.embedding_batch.max(1)) {
            let body = embedding::body(texts, prefix, model);
            let answer = self.post(&self.address.embeddings, &body, EMBEDDING_BYTES * texts.len() as u64)?;
            let expected = dimension.or(all.vectors.first().map(Vec::len));
            let batch = embedding::read(&answer, texts.len(), expected).map_err(|e| self.hide_key(e))?;
            if let (Some(one), Some(other)) = (&named, &batch.model)
                && one != other
            {
                // Two models behind one address: their vectors cannot be compared with each other.
                return Err(fault::unusable(format!("embeddings of two models, {one:?} and {other:?}")));
            }
            named = named.or(batch.model);
            all.vectors.extend(batch.vectors);
            all.tokens = all.tokens.zip(batch.tokens).map(|(a, b)| a.saturating_add(b)).or(all.tokens).or(batch.tokens);
        }
        all.model = named.unwrap_or(all.model);
        Ok(all)
    }

    /// End every call of this pod and its clones, for good: one that reads gets an error within milliseconds, one
    /// that has not begun never does. A name look-up or a connect under way ends by its own timeout.
    pub fn shutdown(&self) {
        self.line.hang_up();
    }

    /// The same pod on new connections, for after a [`Pod::shutdown`].
    pub fn reopen(&self) -> Self {
        let line = Arc::new(connect(&self.address.settings, &self.address.tls));
        Self { address: self.address.clone(), line }
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &PodSettings {
        &self.address.settings
    }

    fn post(&self, uri: &Uri, body: &Value, limit: u64) -> Result<Vec<u8>, ModelError> {
        let settings = &self.address.settings;
        let body = serde_json::to_vec(body).map_err(|e| fault::unusable(format!("the request is no JSON: {e}")))?;
        let call = Call {
            uri,
            bearer: self.address.bearer.as_ref(),
            key: settings.api_key.as_ref(),
            body: &body,
            limit,
            total: settings.timeouts.total,
            max_retries: settings.max_retries,
        };
        call.run(&self.line).map_err(|e| self.hide_key(e))
    }

    /// No error shows the key, even where the server quotes it.
    fn hide_key(&self, error: ModelError) -> ModelError {
        let Some(key) = &self.address.settings.api_key else {
            return error;
        };
        match error {
            ModelError::Status { status, message } => ModelError::Status { status, message: key.hide(&message) },
            ModelError::Unusable { reason } => ModelError::Unusable { reason: key.hide(&reason) },
            ModelError::Unreachable { reason } => ModelError::Unreachable { reason: key.hide(&reason) },
            other => other,
        }
    }
}

fn connect(settings: &PodSettings, tls: &TlsConfig) -> Line {
    Line::new(agent::connect(settings.allowed.clone(), settings.timeouts, tls.clone(), IDLE_CONNECTIONS))
}
