//! Every setting, its default, and who may change it.
//!
//! Where the data goes (`allowed_hosts`) is the cluster owner's: only the configuration file or a superuser's
//! `ALTER SYSTEM` changes it. The pod's address and its key have the same privilege as each other, for whoever could
//! set the one alone would be sent the other.

use std::ffi::CString;
use std::time::Duration;

use oncall_domain::policy::Autonomy;
use oncall_model::Dialect;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

use crate::backend;

/// The value of `model_url` and `embedding_model` that means: no pod, the builtin model answers.
pub use oncall_domain::triage::BUILTIN;

#[derive(Debug, Clone, Copy, PostgresGucEnum)]
#[allow(non_camel_case_types)]
enum AutonomySetting {
    #[name = c"off"]
    Off,
    #[name = c"dry_run"]
    DryRun,
    #[name = c"on"]
    On,
}

#[derive(Debug, Clone, Copy, PostgresGucEnum)]
enum DialectSetting {
    #[name = c"json_schema"]
    JsonSchema,
    #[name = c"json_object_schema"]
    JsonObjectSchema,
    #[name = c"guided_json"]
    GuidedJson,
    #[name = c"none"]
    None,
}

type Text = GucSetting<Option<CString>>;

static MODEL_URL: Text = Text::new(Some(c"builtin"));
static EMBEDDING_URL: Text = Text::new(Some(c""));
static CHAT_MODEL: Text = Text::new(Some(c""));
static EMBEDDING_MODEL: Text = Text::new(Some(c"builtin"));
static QUERY_PREFIX: Text = Text::new(Some(c""));
static PASSAGE_PREFIX: Text = Text::new(Some(c""));
static API_KEY_FILE: Text = Text::new(Some(c""));
static CA_FILE: Text = Text::new(Some(c""));
static SECRET_DIRECTORY: Text = Text::new(Some(c""));
static ALLOWED_HOSTS: Text = Text::new(Some(c"localhost, 127.0.0.0/8, ::1"));
static STRUCTURED_DIALECT: GucSetting<DialectSetting> = GucSetting::<DialectSetting>::new(DialectSetting::JsonSchema);
static REQUEST_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static MAX_TOKENS: GucSetting<i32> = GucSetting::<i32>::new(1024);
static PROMPT_TOKENS: GucSetting<i32> = GucSetting::<i32>::new(6000);
static TOP_K: GucSetting<i32> = GucSetting::<i32>::new(5);
static FLAT_SEARCH_SECTIONS: GucSetting<i32> = GucSetting::<i32>::new(4096);
static AUTONOMY: GucSetting<AutonomySetting> = GucSetting::<AutonomySetting>::new(AutonomySetting::DryRun);
static DELIVERY_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static ACTION_TIMEOUT_S: GucSetting<i32> = GucSetting::<i32>::new(1800);
static QUERY_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static DEDUP_WINDOW_S: GucSetting<i32> = GucSetting::<i32>::new(3600);
static WORKERS: GucSetting<bool> = GucSetting::<bool>::new(true);
static MAX_MODEL_CALLS: GucSetting<i32> = GucSetting::<i32>::new(32);
static MAX_EXECUTORS: GucSetting<i32> = GucSetting::<i32>::new(4);
static POLL_INTERVAL_MS: GucSetting<i32> = GucSetting::<i32>::new(30_000);

/// Define every setting; called once, while the library is preloaded.
pub fn define() {
    let text = |name, short, long, setting: &'static Text, context, flags| {
        GucRegistry::define_string_guc(name, short, long, setting, context, flags)
    };
    text(
        c"oncall.model_url",
        c"Where the model pod answers, or 'builtin'.",
        c"The prefix to which /chat/completions and /embeddings are appended, as in http://127.0.0.1:8080/v1.",
        &MODEL_URL,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    text(
        c"oncall.embedding_url",
        c"Where the embedding model answers, when not at oncall.model_url.",
        c"Many servers serve one model each. Empty means the same server.",
        &EMBEDDING_URL,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    text(
        c"oncall.chat_model",
        c"The chat model's name, as the pod knows it.",
        c"Empty: the builtin triage answers, even where the pod serves embeddings.",
        &CHAT_MODEL,
        GucContext::Suset,
        GucFlags::default(),
    );
    text(
        c"oncall.embedding_model",
        c"The embedding model's name, as the pod knows it, or 'builtin'.",
        c"After a change run SELECT * FROM oncall.reembed_runbooks().",
        &EMBEDDING_MODEL,
        GucContext::Suset,
        GucFlags::default(),
    );
    text(
        c"oncall.embedding_query_prefix",
        c"What an asymmetric embedding model wants before a query.",
        c"For example 'query: ', with the blank.",
        &QUERY_PREFIX,
        GucContext::Suset,
        GucFlags::default(),
    );
    text(
        c"oncall.embedding_passage_prefix",
        c"What an asymmetric embedding model wants before a passage.",
        c"For example 'passage: ', with the blank.",
        &PASSAGE_PREFIX,
        GucContext::Suset,
        GucFlags::default(),
    );
    text(
        c"oncall.api_key_file",
        c"The file that holds the pod's key; empty for none.",
        c"Mode 0600, owned by the server's user. The key itself never stands in a setting, a log or a view.",
        &API_KEY_FILE,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    text(
        c"oncall.ca_file",
        c"The file with the authorities that sign the certificates of model servers and sinks, in PEM; empty for the public ones.",
        c"It is read at each call, so it can be renewed. The authorities of the machine do not count.",
        &CA_FILE,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    text(
        c"oncall.secret_directory",
        c"Where the files are that oncall.sink.secret_file names; empty for nowhere.",
        c"Each file has mode 0600 and holds one secret. Whoever may write sinks may have any of them sent to an allowed host.",
        &SECRET_DIRECTORY,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    text(
        c"oncall.allowed_hosts",
        c"The only hosts that are ever contacted.",
        c"Names, addresses and networks, with commas between. A name must be listed, and so must every address that it resolves to.",
        &ALLOWED_HOSTS,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_enum_guc(
        c"oncall.structured_dialect",
        c"How the chat server is asked for JSON of a given shape.",
        c"json_schema (OpenAI, vLLM, llama.cpp), json_object_schema (llama-cpp-python), guided_json (NIM, older vLLM), none.",
        &STRUCTURED_DIALECT,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"oncall.request_timeout",
        c"How long one call of a model may take, retries included.",
        c"",
        &REQUEST_TIMEOUT_MS,
        10,
        3_600_000,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"oncall.max_tokens",
        c"The most tokens that a model's answer may take.",
        c"",
        &MAX_TOKENS,
        64,
        32_768,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"oncall.prompt_tokens",
        c"The size to which a prompt is cut, in tokens of about four characters.",
        c"",
        &PROMPT_TOKENS,
        500,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"oncall.top_k",
        c"How many sections of runbooks are retrieved for an alert.",
        c"",
        &TOP_K,
        1,
        50,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"oncall.flat_search_sections",
        c"Up to how many sections of runbooks a session keeps the vectors in its memory and compares all of them.",
        c"One byte a number: two kilobytes a section with a model of 1024 dimensions. Above, and at 0, the HNSW indexes are used.",
        &FLAT_SEARCH_SECTIONS,
        0,
        65_536,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"oncall.autonomy",
        c"Whether autonomous decisions act: off (everything escalates), dry_run (recorded, not done), on.",
        c"",
        &AUTONOMY,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"oncall.dedup_window",
        c"How long after its last repeat an alert still joins the open incident of its fingerprint.",
        c"",
        &DEDUP_WINDOW_S,
        0,
        30 * 24 * 3600,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    define_workers();
    backend::reserve_setting_prefix(c"oncall");
}

fn define_workers() {
    GucRegistry::define_int_guc(
        c"oncall.delivery_timeout",
        c"How long one attempt to send a page may take.",
        c"A receiver that takes longer has perhaps got the page; it is sent again with the same idempotency key.",
        &DELIVERY_TIMEOUT_MS,
        100,
        300_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_bool_guc(
        c"oncall.workers",
        c"Whether background workers are at work.",
        c"Off: alerts are still decided in the caller's transaction, but nothing is done and nobody is paged.",
        &WORKERS,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"oncall.max_model_calls",
        c"How many calls of models and webhooks a database may have in flight at once, in its background worker.",
        c"Each takes a thread while it lasts.",
        &MAX_MODEL_CALLS,
        1,
        1000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"oncall.max_executors",
        c"How many commands a database may have at work at once, each in a background worker of its own.",
        c"max_worker_processes must leave room for them, beside parallel queries: one for the launcher, one a database, and these.",
        &MAX_EXECUTORS,
        1,
        64,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"oncall.action_timeout",
        c"How long a remediation may take.",
        c"An index on a large table takes its time; what takes longer is ended, and what it left behind is removed.",
        &ACTION_TIMEOUT_S,
        1,
        24 * 3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"oncall.query_timeout",
        c"How long a guard, a verify, a measure or a diagnostic may take.",
        c"",
        &QUERY_TIMEOUT_MS,
        10,
        600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"oncall.poll_interval",
        c"How often the background worker looks for work by itself.",
        c"A commit that concerns it wakes it at once; this is the net below.",
        &POLL_INTERVAL_MS,
        100,
        3_600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
}

fn text(setting: &'static Text) -> String {
    setting.get().map(|value| value.to_string_lossy().trim().to_owned()).unwrap_or_default()
}

/// A prefix is taken as it is: its trailing blank matters.
fn verbatim(setting: &'static Text) -> String {
    setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Where the chat model answers and what it is called; `None` when the builtin triage is the model.
pub fn chat_pod() -> Option<(String, String)> {
    let (url, model) = (text(&MODEL_URL), text(&CHAT_MODEL));
    (url != BUILTIN && !url.is_empty() && !model.is_empty()).then_some((url, model))
}

/// Where the embedding model answers and what it is called; `None` when the builtin embedder is the model.
pub fn embedding_pod() -> Option<(String, String)> {
    let (url, model) = (text(&EMBEDDING_URL), text(&EMBEDDING_MODEL));
    let url = if url.is_empty() { text(&MODEL_URL) } else { url };
    (url != BUILTIN && !url.is_empty() && model != BUILTIN && !model.is_empty()).then_some((url, model))
}

/// What an asymmetric embedding model wants before a query, and before a passage.
pub fn embedding_prefixes() -> (String, String) {
    (verbatim(&QUERY_PREFIX), verbatim(&PASSAGE_PREFIX))
}

/// The file of the pod's key, when there is one.
pub fn api_key_file() -> Option<String> {
    Some(text(&API_KEY_FILE)).filter(|file| !file.is_empty())
}

/// The file of the authorities that count, where they are not the public ones.
pub fn ca_file() -> Option<String> {
    Some(text(&CA_FILE)).filter(|file| !file.is_empty())
}

/// Where the secrets of sinks are; empty for nowhere.
pub fn secret_directory() -> String {
    text(&SECRET_DIRECTORY)
}

/// The list of hosts that may be contacted, as written.
pub fn allowed_hosts() -> String {
    text(&ALLOWED_HOSTS)
}

/// How the chat server is asked for structured output.
pub fn dialect() -> Dialect {
    match STRUCTURED_DIALECT.get() {
        DialectSetting::JsonSchema => Dialect::JsonSchema,
        DialectSetting::JsonObjectSchema => Dialect::JsonObjectSchema,
        DialectSetting::GuidedJson => Dialect::GuidedJson,
        DialectSetting::None => Dialect::None,
    }
}

/// How long one call of a model may take, retries included.
pub fn request_timeout() -> Duration {
    Duration::from_millis(REQUEST_TIMEOUT_MS.get().unsigned_abs().into())
}

/// The most tokens of an answer.
pub fn max_tokens() -> u32 {
    MAX_TOKENS.get().unsigned_abs()
}

/// The most tokens of a prompt.
pub fn prompt_tokens() -> usize {
    PROMPT_TOKENS.get().unsigned_abs() as usize
}

/// How many sections are retrieved for an alert.
pub fn top_k() -> i32 {
    TOP_K.get()
}

/// Up to how many sections the flat index is used.
pub fn flat_search_sections() -> i32 {
    FLAT_SEARCH_SECTIONS.get()
}

/// Whether autonomous decisions act.
pub fn autonomy() -> Autonomy {
    match AUTONOMY.get() {
        AutonomySetting::Off => Autonomy::Off,
        AutonomySetting::DryRun => Autonomy::DryRun,
        AutonomySetting::On => Autonomy::On,
    }
}

/// How long one attempt to send a page may take.
pub fn delivery_timeout() -> Duration {
    Duration::from_millis(DELIVERY_TIMEOUT_MS.get().unsigned_abs().into())
}

/// How long an open incident waits for repeats of its fingerprint, in seconds.
pub fn dedup_window_s() -> i32 {
    DEDUP_WINDOW_S.get()
}

/// Whether background workers are to be at work.
pub fn workers() -> bool {
    WORKERS.get()
}

/// How many blocking calls a pump may have in flight.
pub fn max_model_calls() -> usize {
    MAX_MODEL_CALLS.get().unsigned_abs() as usize
}

/// How many executors a database may have.
pub fn max_executors() -> usize {
    MAX_EXECUTORS.get().unsigned_abs() as usize
}

/// How long a desk waits for a wake-up before it looks by itself.
pub fn poll_interval() -> Duration {
    Duration::from_millis(POLL_INTERVAL_MS.get().unsigned_abs().into())
}

/// How long a remediation may take.
pub fn action_timeout() -> Duration {
    Duration::from_secs(ACTION_TIMEOUT_S.get().unsigned_abs().into())
}

/// How long a tool that only looks may take.
pub fn query_timeout() -> Duration {
    Duration::from_millis(QUERY_TIMEOUT_MS.get().unsigned_abs().into())
}
