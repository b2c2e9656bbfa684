//! The chat endpoint: the request's words, and what an answer must have to be one.

use oncall_domain::host::{ChatRequest, ModelError};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::fault::{clip, unusable};

/// What is asked: the two messages, and the shape that the answer must have.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the model is, and the rules.
    pub system: &'a str,
    /// The case.
    pub user: &'a str,
    /// The schema's name, for the dialects that want one.
    pub schema_name: &'a str,
    /// The JSON Schema of the answer.
    pub schema: &'a Value,
    /// The most tokens that the answer may take.
    pub max_tokens: u32,
}

impl<'a> From<&'a ChatRequest> for Question<'a> {
    fn from(request: &'a ChatRequest) -> Self {
        Self {
            system: request.prompt.system(),
            user: request.prompt.user(),
            schema_name: request.schema_name,
            schema: &request.schema,
            max_tokens: request.max_tokens,
        }
    }
}

/// The body of a request. Only fields that every server takes: temperature 0 for the same answer to the same
/// question, and `stream` false because one server streams unless told not to.
pub(crate) fn body(question: &Question<'_>, model: Option<&str>, dialect: Dialect) -> Value {
    let mut body = Map::new();
    if let Some(model) = model {
        body.insert("model".to_owned(), model.into());
    }
    let system = dialect.system(question.system, question.schema);
    let messages = json!([{"role": "system", "content": system}, {"role": "user", "content": question.user}]);
    body.insert("messages".to_owned(), messages);
    body.insert("temperature".to_owned(), 0.into());
    body.insert("max_tokens".to_owned(), question.max_tokens.into());
    body.insert("stream".to_owned(), false.into());
    body.extend(dialect.fields(question.schema_name, question.schema));
    Value::Object(body)
}

/// What an answer says, before the time that it took is known.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub text: String,
    pub truncated: bool,
    pub model: Option<String>,
    pub tokens_in: Option<u32>,
    pub tokens_out: Option<u32>,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    model: Option<String>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    finish_reason: Option<String>,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
}

/// Read a completion. A text that was cut off is an answer, marked as such; no text is none.
pub(crate) fn read(body: &[u8]) -> Result<Reply, ModelError> {
    let completion: Completion =
        serde_json::from_slice(body).map_err(|e| unusable(format!("not a chat completion: {e}")))?;
    let choice = completion.choices.into_iter().next().ok_or_else(|| unusable("it has no choices"))?;
    let message = choice.message.ok_or_else(|| unusable("its first choice has no message"))?;
    let finish = choice.finish_reason.unwrap_or_default();
    if let Some(refusal) = message.refusal.filter(|refusal| !refusal.is_empty()) {
        return Err(unusable(format!("the model refused: {}", clip(&refusal))));
    }
    if finish == "content_filter" {
        return Err(unusable("the server's content filter withheld it"));
    }
    let text = message.content.unwrap_or_default();
    if text.trim().is_empty() {
        let thought = message.reasoning_content.is_some_and(|reasoning| !reasoning.trim().is_empty());
        return Err(unusable(match (thought, finish.as_str()) {
            (true, "length") => "all of max_tokens went into reasoning, none into an answer",
            (true, _) => "it has reasoning, but no answer",
            (false, "tool_calls") => "it calls a tool instead of answering",
            (false, _) => "it is empty",
        }));
    }
    let (tokens_in, tokens_out) = completion.usage.map_or((None, None), |u| (u.prompt_tokens, u.completion_tokens));
    // JSON may hold a NUL, which Postgres cannot store; and a model's name is for a column, whatever the server sends.
    let (text, model) = (text.replace('\0', "\u{fffd}"), completion.model.as_deref().map(clip));
    Ok(Reply { text, truncated: finish == "length", model, tokens_in, tokens_out })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(body: &str) -> String {
        match read(body.as_bytes()) {
            Err(ModelError::Unusable { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_completion_of_llama_cpp_is_read() {
        let body = r#"{"choices":[{"finish_reason":"stop","index":0,"message":{"role":"assistant",
            "content":"{\"action\":\"noop\"}"}}],"created":1795162390,"model":"tiny-chat","object":"chat.completion",
            "usage":{"completion_tokens":88,"prompt_tokens":68,"total_tokens":156,
            "prompt_tokens_details":{"cached_tokens":0}},"id":"chatcmpl-5i6o","timings":{"cache_n":0}}"#;
        let reply = read(body.as_bytes()).unwrap();
        assert_eq!(reply.text, r#"{"action":"noop"}"#);
        assert_eq!((reply.tokens_in, reply.tokens_out), (Some(68), Some(88)));
        assert_eq!(reply.model.as_deref(), Some("tiny-chat"));
        assert!(!reply.truncated);
    }

    #[test]
    fn an_answer_cut_off_at_max_tokens_says_so() {
        let body = r#"{"choices":[{"finish_reason":"length","message":{"content":"{\"action\":\""}}]}"#;
        let reply = read(body.as_bytes()).unwrap();
        assert!(reply.truncated);
        assert_eq!((reply.tokens_in, reply.model), (None, None));
    }

    #[test]
    fn an_answer_can_be_stored_whatever_characters_it_has() {
        let body = r#"{"model":"m\u0000\n","choices":[{"message":{"content":"a\u0000b\nc"}}]}"#;
        let reply = read(body.as_bytes()).unwrap();
        assert_eq!((reply.text.as_str(), reply.model.as_deref()), ("a\u{fffd}b\nc", Some("m ")));
    }

    #[test]
    fn what_is_no_answer_is_unusable_with_the_reason() {
        for (body, why) in [
            ("<html>Bad gateway</html>", "not a chat completion"),
            ("", "not a chat completion"),
            ("[]", "not a chat completion"),
            ("{}", "no choices"),
            (r#"{"choices":[]}"#, "no choices"),
            (r#"{"choices":[{}]}"#, "no message"),
            (r#"{"choices":[{"message":{"content":null}}]}"#, "it is empty"),
            (r#"{"choices":[{"message":{"content":" \n"}}]}"#, "it is empty"),
            (r#"{"choices":[{"message":{"content":7}}]}"#, "not a chat completion"),
            (r#"{"choices":[{"message":{"content":null,"refusal":"I will not."}}]}"#, "refused: I will not."),
            (r#"{"choices":[{"finish_reason":"content_filter","message":{"content":"{"}}]}"#, "content filter"),
            (r#"{"choices":[{"finish_reason":"tool_calls","message":{"content":null}}]}"#, "calls a tool"),
            (r#"{"choices":[{"message":{"content":"","reasoning_content":"Hm."}}]}"#, "reasoning, but no answer"),
            (
                r#"{"choices":[{"finish_reason":"length","message":{"content":"","reasoning":"Hm."}}]}"#,
                "all of max_tokens",
            ),
        ] {
            assert!(reason(body).contains(why), "{body}: {}", reason(body));
        }
    }

    #[test]
    fn a_request_has_only_the_fields_that_every_server_takes() {
        let schema = json!({"type": "object"});
        let question =
            Question { system: "Rules.", user: "Case.", schema_name: "triage", schema: &schema, max_tokens: 300 };
        assert_eq!(
            body(&question, None, Dialect::GuidedJson),
            json!({"messages": [{"role": "system", "content": "Rules."}, {"role": "user", "content": "Case."}],
                   "temperature": 0, "max_tokens": 300, "stream": false, "guided_json": {"type": "object"}})
        );
        assert_eq!(body(&question, Some("tiny"), Dialect::None)["model"], "tiny");
    }
}
