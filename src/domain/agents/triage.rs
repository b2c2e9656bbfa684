//! The triage agent: what is this alert, and what would help?

use super::answer::plain;
use crate::alert::Alert;
use crate::builtin;
use crate::host::{ChatAnswer, ChatRequest, Host, ModelError};
use crate::prompt::{BYTES_PER_TOKEN, Prompt};
use crate::redact::{Redacted, redact};
use crate::retrieval::Retrieval;
use crate::triage::{BUILTIN, Failure, ReplyDefect, Triage, TriageReply, parse};

#[cfg(test)]
mod tests;

/// The settings that the agent needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriageSettings {
    /// The most tokens of an answer (`oncall.max_tokens`).
    pub max_tokens: u32,
    /// The most tokens of a prompt, see [`BYTES_PER_TOKEN`].
    pub prompt_budget: usize,
}

/// The longest query text that is embedded, in tokens: what small embedding models take. The start of an alert says
/// most.
const QUERY_TOKENS: usize = 500;

/// Find the runbooks for an alert and ask the model about it.
///
/// It never fails: without a pod the builtin model answers, and where the pod fails the builtin model fills in what the
/// page shows, with the failure noted, which keeps the router from acting on it.
pub async fn triage(host: &impl Host, alert: &Alert, settings: &TriageSettings) -> (Triage, Retrieval) {
    let query = query(alert);
    let embedding = host.embed(&query).await;
    // A pod without embedding costs quality, not service: the builtin embedder ranks alone.
    let embedding_failure = embedding.as_ref().err().filter(|e| **e != ModelError::NoPod).map(plain);
    let retrieval = host.retrieve(alert, &query, embedding.ok()).await;
    let answer = ask(host, alert, &retrieval, settings).await;

    let triage = match answer {
        Ok(answer) => Triage {
            by: answer.model,
            reply: fit_to_show(answer.reply),
            failure: None,
            repaired: answer.repaired,
            embedding_failure,
        },
        Err(failure) => Triage {
            by: BUILTIN.to_owned(),
            reply: fit_to_show(builtin::triage(alert, &retrieval)),
            failure,
            repaired: false,
            embedding_failure,
        },
    };
    (triage, retrieval)
}

/// What of the alert is looked up, without secrets: it goes to the pod and into the journal.
pub fn query(alert: &Alert) -> Redacted {
    redact(&alert.query_text()).cut(QUERY_TOKENS * BYTES_PER_TOKEN)
}

/// An answer that could be read.
struct Answer {
    model: String,
    reply: TriageReply,
    repaired: bool,
}

/// Ask the pod's model; `Err(None)` where there is no pod.
async fn ask(
    host: &impl Host,
    alert: &Alert,
    retrieval: &Retrieval,
    settings: &TriageSettings,
) -> Result<Answer, Option<Failure>> {
    let metrics = host.metrics().await;
    let prompt = Prompt::triage(alert, retrieval, &metrics, settings.prompt_budget)
        .map_err(|over| Some(Failure::NoAnswer { reason: over.to_string() }))?;
    let request = request("triage", prompt, retrieval, settings);
    let first = host.chat(&request).await.map_err(|error| match error {
        ModelError::NoPod => None,
        error => Some(Failure::NoAnswer { reason: plain(&error) }),
    })?;
    let defect = match read(&first, settings) {
        Ok(reply) => return Ok(Answer { model: plain(&first.model), reply, repaired: false }),
        Err(defect) => defect,
    };

    // One repair round and no more: a model that misses twice misses again, and somebody waits.
    let prompt = Prompt::triage_repair(&request.prompt, &first.text, &defect);
    let request = ChatRequest { purpose: "triage repair", prompt, ..request };
    let no_reply =
        |second: String| Failure::NoReply { reason: format!("{}; at the second try {second}", plain(&defect)) };
    let second = host.chat(&request).await.map_err(|error| Some(no_reply(plain(&error))))?;
    let reply = read(&second, settings).map_err(|defect| Some(no_reply(plain(&defect))))?;
    Ok(Answer { model: plain(&second.model), reply, repaired: true })
}

fn request(purpose: &'static str, prompt: Prompt, retrieval: &Retrieval, settings: &TriageSettings) -> ChatRequest {
    let steps = retrieval.step_ids().map(|id| id.as_str());
    let runbooks = retrieval.sections.iter().map(|section| section.runbook_id.as_str());
    let schema = TriageReply::schema(steps, runbooks);
    ChatRequest { purpose, prompt, schema_name: "triage", schema: schema.into(), max_tokens: settings.max_tokens }
}

/// An answer that was cut off is a defect even where what is left can be read: its last action may be missing.
fn read(answer: &ChatAnswer, settings: &TriageSettings) -> Result<TriageReply, ReplyDefect> {
    if answer.truncated {
        return Err(ReplyDefect::CutOff { max_tokens: settings.max_tokens });
    }
    parse(&answer.text)
}

/// A reply as it may be stored and shown. The builtin model quotes the runbook, and a runbook may hold a connection
/// string. What names a runbook or a step stays letter by letter: it is only ever looked up.
fn fit_to_show(reply: TriageReply) -> TriageReply {
    TriageReply {
        incident_type: redact(&reply.incident_type).as_str().to_owned(),
        root_cause_hypothesis: redact(&reply.root_cause_hypothesis).as_str().to_owned(),
        ..reply
    }
}
