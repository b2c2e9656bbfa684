//! The model pods of this session: made of the settings, kept from call to call, asked on the helper thread.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use oncall_domain::host::{ChatAnswer, ChatRequest, ModelError};
use oncall_model::egress::AllowedHosts;
use oncall_model::{ApiKey, Dialect, Kind, Pod, PodSettings, Question, Timeouts};

use crate::authorities;
use crate::backend;
use crate::secrets;
use crate::settings;

/// What must be the same for a kept pod to serve the next call. The key is among it: a rotated one takes effect.
#[derive(Clone, PartialEq)]
struct Origin {
    url: String,
    model: String,
    prefixes: (String, String),
    key: Option<ApiKey>,
    ca_pem: Option<Vec<u8>>,
    allowed: String,
    dialect: Dialect,
    timeout: Duration,
}

type Kept = RefCell<Option<(Origin, Pod)>>;

thread_local! {
    // A backend is one thread: these are its pods. Connections stay alive between calls.
    static CHAT: Kept = const { RefCell::new(None) };
    static EMBEDDING: Kept = const { RefCell::new(None) };
}

/// The name of the embedding model in use, as rows record it.
pub fn embedding_model() -> String {
    settings::embedding_pod().map_or_else(|| settings::BUILTIN.to_owned(), |(_, model)| model)
}

/// Ask the chat model; [`ModelError::NoPod`] when the builtin triage is the model.
pub fn chat(request: &ChatRequest) -> Result<ChatAnswer, ModelError> {
    let request = request.clone();
    on_helper(&CHAT, for_chat()?, move |pod| pod.chat(&Question::from(&request)))
}

/// Embed texts by the pod; [`ModelError::NoPod`] when the builtin embedder is the model.
pub fn embed(texts: Vec<String>, kind: Kind, dimension: Option<usize>) -> Result<Vec<Vec<f32>>, ModelError> {
    on_helper(&EMBEDDING, for_embeddings()?, move |pod| pod.embed(&texts, kind, dimension))
        .map(|embeddings| embeddings.vectors)
}

/// The pod that chats, made ready on the main thread: what asks it may run on any.
pub fn for_chat() -> Result<Pod, ModelError> {
    let (url, model) = settings::chat_pod().ok_or(ModelError::NoPod)?;
    pod(&CHAT, url, model)
}

/// The pod that embeds, likewise.
pub fn for_embeddings() -> Result<Pod, ModelError> {
    let (url, model) = settings::embedding_pod().ok_or(ModelError::NoPod)?;
    pod(&EMBEDDING, url, model)
}

fn on_helper<T: Send + 'static>(
    kept: &'static std::thread::LocalKey<Kept>,
    pod: Pod,
    ask: impl FnOnce(&Pod) -> Result<T, ModelError> + Send + 'static,
) -> Result<T, ModelError> {
    // The pod keeps its own time; the margin is for a thread that got no processor.
    let limit = settings::request_timeout() + Duration::from_secs(2);
    let asked = pod.clone();
    let abandon = || {
        pod.shutdown();
        kept.set(None);
    };
    backend::run_interruptibly(limit, move || ask(&asked), abandon)
        .unwrap_or_else(|abandoned| Err(unreachable(abandoned.to_string())))
}

/// The kept pod if the settings are still the same, else a new one.
///
/// A setting that cannot be used is the model's failure, not the alert's: the incident escalates and says so.
fn pod(kept: &'static std::thread::LocalKey<Kept>, url: String, model: String) -> Result<Pod, ModelError> {
    let origin = Origin {
        url,
        model,
        prefixes: settings::embedding_prefixes(),
        key: api_key()?,
        ca_pem: authorities::now().map_err(unreachable)?,
        allowed: settings::allowed_hosts(),
        dialect: settings::dialect(),
        timeout: settings::request_timeout(),
    };
    let same = kept.with_borrow(|kept| kept.as_ref().filter(|(from, _)| *from == origin).map(|(_, pod)| pod.clone()));
    if let Some(pod) = same {
        return Ok(pod);
    }
    let allowed = AllowedHosts::parse(&origin.allowed)
        .map_err(|error| unreachable(format!("oncall.allowed_hosts cannot be used: {error}")))?;
    let made = Pod::new(PodSettings {
        chat_model: Some(origin.model.clone()),
        embedding_model: Some(origin.model.clone()),
        api_key: origin.key.clone(),
        ca_pem: origin.ca_pem.clone(),
        dialect: origin.dialect,
        query_prefix: origin.prefixes.0.clone(),
        passage_prefix: origin.prefixes.1.clone(),
        allowed,
        timeouts: Timeouts::within(origin.timeout),
        ..PodSettings::new(origin.url.clone())
    })
    .map_err(|error| unreachable(format!("the pod's settings cannot be used: {error}")))?;
    kept.set(Some((origin, made.clone())));
    Ok(made)
}

/// The key, read anew for each call so that it can be rotated. No error names the file: only superusers may know it.
fn api_key() -> Result<Option<ApiKey>, ModelError> {
    let Some(file) = settings::api_key_file() else { return Ok(None) };
    let text = secrets::read(Path::new(&file))
        .map_err(|error| unreachable(format!("the file of oncall.api_key_file {error}")))?;
    ApiKey::new(&text).map(Some).map_err(|error| unreachable(format!("the file of oncall.api_key_file: {error}")))
}

fn unreachable(reason: String) -> ModelError {
    ModelError::Unreachable { reason }
}
