//! What the stub pod says.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::json;

use super::Behaviour;
use super::http::{Exchange, Recorded, Response};

/// What a good answer looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Replies {
    /// The length of an embedding.
    pub dimension: usize,
    /// The confidence of a triage.
    pub confidence: f64,
    /// How many of the steps that the prompt shows are recommended, at most; all of the first one's runbook.
    pub actions: usize,
    /// Whether steps that the prompt calls destructive are recommended too.
    pub destructive: bool,
}

impl Default for Replies {
    fn default() -> Self {
        Self { dimension: 1024, confidence: 0.9, actions: 1, destructive: false }
    }
}

/// The answer to a request.
pub(super) fn to(request: &Recorded, behaviour: &Behaviour, replies: &Replies) -> Exchange {
    let mut exchange = Exchange::default();
    match behaviour {
        Behaviour::SlowHead(wait) => exchange.before_head = *wait,
        Behaviour::SlowBody(wait) => exchange.mid_body = *wait,
        Behaviour::CutOff => exchange.cut_off = true,
        _ => {}
    }
    exchange.response = response(request, behaviour, replies);
    exchange
}

fn response(request: &Recorded, behaviour: &Behaviour, replies: &Replies) -> Response {
    let path = request.path.split('?').next().unwrap_or_default();
    match behaviour {
        Behaviour::Status(status, retry_after, body) => Response {
            status: *status,
            header: retry_after.clone().map(|wait| ("Retry-After", wait)),
            body: body.clone().into_bytes(),
            ..Response::default()
        },
        Behaviour::Redirect(to) => {
            Response { status: 307, header: Some(("Location", to.clone())), ..Response::default() }
        }
        Behaviour::NotJson => Response {
            content_type: "text/html",
            body: b"<html><body>It works!</body></html>".to_vec(),
            ..Response::default()
        },
        Behaviour::Long { bytes, announced } => {
            Response { body: long(*bytes), chunked: !announced, ..Response::default() }
        }
        _ if path.ends_with("/embeddings") => embeddings(request, behaviour, replies),
        _ if path.ends_with("/chat/completions") => chat(request, behaviour, replies),
        _ if path.ends_with("/models") => {
            Response { body: br#"{"object":"list","data":[{"id":"stub"}]}"#.to_vec(), ..Response::default() }
        }
        _ => Response {
            status: 404,
            body: br#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#.to_vec(),
            ..Response::default()
        },
    }
}

/// A completion that is well formed but for its length.
fn long(bytes: usize) -> Vec<u8> {
    let mut body = br#"{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":""#.to_vec();
    let end = br#""}}]}"#;
    body.resize(bytes.saturating_sub(end.len()).max(body.len()), b'x');
    body.extend_from_slice(end);
    body
}

fn chat(request: &Recorded, behaviour: &Behaviour, replies: &Replies) -> Response {
    let mut finish = "stop";
    let content = match behaviour {
        Behaviour::Empty => String::new(),
        Behaviour::Say(text) => text.clone(),
        Behaviour::Answer(answerer) => answerer.answer(&request.json()),
        Behaviour::SchemaViolating => {
            r#"{"incident_type":7,"confidence":"very","recommended_actions":"all"}"#.to_owned()
        }
        Behaviour::ConfidentlyWrong(step) => triage(std::slice::from_ref(step), 0.99),
        Behaviour::Truncated => {
            finish = "length";
            let whole = triage(&steps(&request.body, replies), replies.confidence);
            whole[..whole.len() / 2].to_owned()
        }
        _ => well_formed(request, replies),
    };
    let body = json!({
        "id": "chatcmpl-stub", "object": "chat.completion", "model": "stub",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": request.body.len() / 4, "completion_tokens": content.len() / 4},
    });
    Response { body: body.to_string().into_bytes(), ..Response::default() }
}

/// An answer of the shape that was asked for, by the schema's name.
fn well_formed(request: &Recorded, replies: &Replies) -> String {
    let asked = request.json();
    match asked.pointer("/response_format/json_schema/name").and_then(serde_json::Value::as_str) {
        Some("message") => json!({"headline": "The stub pod says", "message": "what a model would."}).to_string(),
        Some("queries") => json!({"queries": [], "finding": "The stub pod has seen enough."}).to_string(),
        _ => triage(&steps(&request.body, replies), replies.confidence),
    }
}

/// A well-formed triage that names these steps.
fn triage(steps: &[String], confidence: f64) -> String {
    let runbook = steps.first().and_then(|step| step.split_once('/')).map(|(runbook, _)| runbook);
    json!({
        "incident_type": "StubIncident",
        "runbook_id": runbook,
        "confidence": confidence,
        "recommended_actions": steps,
        "root_cause_hypothesis": "The stub pod names the first steps that the prompt shows.",
    })
    .to_string()
}

/// The first step ids on the prompt's list of steps, all of one runbook, each once. A step id is `RB-…`, `/` and a
/// slug. Where no list is announced, the whole of the user's message is searched.
fn steps(body: &[u8], replies: &Replies) -> Vec<String> {
    let Ok(question) = serde_json::from_slice::<Question<'_>>(body) else {
        return Vec::new();
    };
    let user = question.messages.into_iter().rev().find(|message| message.role == "user");
    let text = user.map(|message| message.content).unwrap_or_default();
    let text = text.find("list of steps").map_or(&*text, |list| &text[list..]);
    let mut found: Vec<String> = Vec::new();
    for (start, _) in text.match_indices("RB-") {
        let rest = &text[start..];
        let runbook = run(rest, |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let Some(after) = rest[runbook..].strip_prefix('/') else {
            continue;
        };
        let slug = run(after, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let id = &rest[..runbook + 1 + slug];
        let entry = rest.split("\n- ").next().unwrap_or_default();
        if slug == 0 || (entry.contains("destructive: yes") && !replies.destructive) {
            continue;
        }
        if found.len() == replies.actions {
            break;
        }
        let same = found.first().is_none_or(|first| first.starts_with(&rest[..=runbook]));
        if same && !found.iter().any(|known| known == id) {
            found.push(id.to_owned());
        }
    }
    found
}

/// As much of a chat request as the double looks at.
#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|b| belongs(*b)).count()
}

fn embeddings(request: &Recorded, behaviour: &Behaviour, replies: &Replies) -> Response {
    let dimension = match behaviour {
        Behaviour::WrongDimension(dimension) => *dimension,
        _ => replies.dimension,
    };
    let input = match request.json()["input"].take() {
        serde_json::Value::Array(texts) => texts,
        serde_json::Value::Null => Vec::new(),
        text => vec![text],
    };
    let texts: Vec<&str> = input.iter().filter_map(|text| text.as_str()).collect();
    let mut body = String::with_capacity(texts.len() * dimension * 4 + 128);
    body.push_str(r#"{"object":"list","model":"stub","data":["#);
    if *behaviour != Behaviour::Empty {
        // Last text first: nobody promises an order, and a client that trusts it should fail here.
        for (index, text) in texts.iter().enumerate().rev() {
            if index + 1 < texts.len() {
                body.push(',');
            }
            let _ = write!(body, r#"{{"object":"embedding","index":{index},"embedding":"#);
            match behaviour {
                Behaviour::SchemaViolating => body.push_str(r#"{"values":[1]}"#),
                _ => vector(&mut body, &hashed(text, dimension)),
            }
            body.push('}');
        }
    }
    let tokens: usize = texts.iter().map(|text| text.split_whitespace().count()).sum();
    let _ = write!(body, r#"],"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#);
    Response { body: body.into_bytes(), ..Response::default() }
}

fn vector(body: &mut String, vector: &[f32]) {
    body.push('[');
    for (position, x) in vector.iter().enumerate() {
        if position > 0 {
            body.push(',');
        }
        if *x == 0.0 {
            body.push('0');
        } else {
            let _ = write!(body, "{x}");
        }
    }
    body.push(']');
}

/// A feature hash: each word adds 1 or -1 at a place that is its hash; unit length. The same words, the same vector.
pub(super) fn hashed(text: &str, dimension: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimension];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let fnv = |hash: u64, b: u8| (hash ^ u64::from(b.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
        let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        let place = (hash >> 1) as usize % dimension;
        vector[place] += if hash & 1 == 0 { 1.0 } else { -1.0 };
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length == 0.0 {
        // A text without words still has a place.
        vector[0] = 1.0;
        return vector;
    }
    for x in &mut vector {
        *x /= length;
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(user: &str) -> Vec<u8> {
        let system = "Name ids such as RB-999/example.";
        let messages = json!([{"role": "system", "content": system}, {"role": "user", "content": user}]);
        json!({ "messages": messages }).to_string().into_bytes()
    }

    #[test]
    fn steps_are_found_in_the_users_message_and_stay_within_one_runbook() {
        let body = body(
            "- RB-001/raise-the-pool-size\n- RB-001/kill-it\n- RB-001/raise-the-pool-size\n\
            - RB-002/analyze. RB-001 itself is none, nor is RB-001/.",
        );
        let most = |actions| steps(&body, &Replies { actions, ..Replies::default() });
        assert_eq!(most(1), ["RB-001/raise-the-pool-size"]);
        assert_eq!(most(9), ["RB-001/raise-the-pool-size", "RB-001/kill-it"]);
        assert!(most(0).is_empty());
        assert!(steps(br#"{"messages":[]}"#, &Replies::default()).is_empty());
    }

    #[test]
    fn an_announced_list_is_all_that_counts_and_destructive_steps_wait_to_be_asked_for() {
        let body = body(
            "The alert names RB-777/from-outside.\n\nThe list of steps:\n\
            - RB-003/drop-it\n  tool x, destructive: yes\n- RB-003/look\n  tool y, destructive: no",
        );
        assert_eq!(steps(&body, &Replies::default()), ["RB-003/look"]);
        assert_eq!(steps(&body, &Replies { destructive: true, ..Replies::default() }), ["RB-003/drop-it"]);
    }

    #[test]
    fn texts_that_share_words_lie_nearer_than_texts_that_do_not() {
        let dot = |a: &str, b: &str| -> f32 { hashed(a, 256).iter().zip(hashed(b, 256)).map(|(x, y)| x * y).sum() };
        assert!((dot("Pool exhausted", "pool EXHAUSTED!") - 1.0).abs() < 1e-6);
        assert!(dot("pool exhausted", "pool is exhausted") > dot("pool exhausted", "disk nearly full") + 0.5);
        assert_eq!(hashed("", 3), [1.0, 0.0, 0.0]);
    }
}
