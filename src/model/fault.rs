//! What went wrong, as the domain knows it: transport errors, error answers of the several servers.

use std::io::ErrorKind;

use oncall_domain::host::ModelError;
use serde_json::Value;
use ureq::Timeout;

use crate::egress::Guard;
use crate::retry::Again;

/// The most characters that a message of a server may bring into the journal.
const MAX_MESSAGE: usize = 300;

/// A failed attempt, and whether another may go better.
#[derive(Debug)]
pub(crate) struct Fault {
    pub error: ModelError,
    pub again: Again,
}

pub(crate) fn unusable(reason: impl Into<String>) -> ModelError {
    ModelError::Unusable { reason: reason.into() }
}

fn unreachable(reason: impl Into<String>) -> ModelError {
    ModelError::Unreachable { reason: reason.into() }
}

/// What a call gets that another thread ended.
pub(crate) fn ended() -> ModelError {
    unreachable("the call was ended")
}

/// An error below HTTP: the guard, the name service, the connection, the clock.
pub(crate) fn of_transport(error: ureq::Error, limit: u64) -> Fault {
    if let Some(refused) = Guard::refusal(&error) {
        return Fault { error: ModelError::NotAllowed { address: refused.address() }, again: Again::Never };
    }
    match error {
        ureq::Error::Timeout(phase) => {
            // A model that is slow is not made faster by being asked twice.
            let again = if matches!(phase, Timeout::Resolve | Timeout::Connect) { Again::Yes } else { Again::Never };
            Fault { error: ModelError::Timeout { phase: phase_name(phase).to_owned() }, again }
        }
        ureq::Error::BodyExceedsLimit(_) => Fault { error: too_long(limit), again: Again::Never },
        // A certificate that does not fit arrives as invalid data.
        ureq::Error::Io(e) if e.kind() == ErrorKind::InvalidData => {
            Fault { error: unreachable(clip(&e.to_string())), again: Again::Never }
        }
        ureq::Error::Io(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Fault { error: unreachable("the connection closed before the answer was complete"), again: Again::Yes }
        }
        ureq::Error::Io(e) => Fault { error: unreachable(clip(&e.to_string())), again: Again::Yes },
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
            Fault { error: unreachable(error.to_string()), again: Again::Yes }
        }
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            Fault { error: unusable(format!("not HTTP: {}", clip(&error.to_string()))), again: Again::Never }
        }
        other => Fault { error: unreachable(clip(&other.to_string())), again: Again::Never },
    }
}

/// An answer whose status is not 2xx. `hint` is the server's `Retry-After` or `Location`, where the status has one.
pub(crate) fn of_status(status: u16, body: &str, hint: Option<&str>) -> Fault {
    if (300..400).contains(&status) {
        let to = hint.unwrap_or("another address");
        let message = format!("a redirect to {} is not followed; set the final address", clip(to));
        return Fault { error: ModelError::Status { status, message }, again: Again::Never };
    }
    let message = message(body);
    // llama.cpp reports output that it cut off itself as its own failure: the model's answer is bad, not the server.
    if status == 500 && message.contains("peg-native") {
        return Fault { error: unusable(message), again: Again::Never };
    }
    Fault { error: ModelError::Status { status, message }, again: Again::for_status(status, hint) }
}

/// An answer longer than anybody asked for. The rest of it is left unread.
pub(crate) fn too_long(limit: u64) -> ModelError {
    unusable(format!("it is longer than {limit} bytes"))
}

fn phase_name(phase: Timeout) -> &'static str {
    match phase {
        Timeout::Resolve => "resolve",
        Timeout::Connect => "connect",
        Timeout::SendRequest | Timeout::SendBody | Timeout::PerWrite => "send",
        Timeout::RecvResponse => "response",
        Timeout::RecvBody | Timeout::PerRead => "body",
        _ => "total",
    }
}

/// The message inside an error body: OpenAI's and llama.cpp's `error.message`, Ollama's and TEI's `error`, the flat
/// `message` of older vLLM, FastAPI's `detail` (a text, or a list of complaints), or the plain text.
pub(crate) fn message(text: &str) -> String {
    let found = serde_json::from_str::<Value>(text).ok().and_then(|json| {
        let places = ["/error/message", "/error", "/message", "/detail", "/detail/0/msg"];
        places.iter().find_map(|place| json.pointer(place)?.as_str().map(str::to_owned))
    });
    let message = clip(found.as_deref().unwrap_or(text));
    if message.is_empty() { "no message".to_owned() } else { message }
}

/// One line, cut to [`MAX_MESSAGE`] characters: it goes into a journal, an audit row and a page.
pub(crate) fn clip(text: &str) -> String {
    let mut line = String::new();
    for (length, c) in text.trim().chars().enumerate() {
        if length == MAX_MESSAGE {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_each_server_is_found() {
        for (body, said) in [
            (r#"{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}"#, "Invalid API Key"),
            (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
            (r#"{"error":"Input too long","error_type":"Validation"}"#, "Input too long"),
            (r#"{"object":"error","message":"The model `x` does not exist.","code":404}"#, "The model `x` does not"),
            (r#"{"detail":"Invalid API key"}"#, "Invalid API key"),
            (r#"{"detail":[{"loc":["body","model"],"msg":"Field required"}]}"#, "Field required"),
            ("Internal Server Error", "Internal Server Error"),
            (r#"{"code":7}"#, r#"{"code":7}"#),
            ("", "no message"),
        ] {
            assert!(message(body).starts_with(said), "{body}");
        }
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length_whatever_a_server_sends() {
        let body = format!("a\nb\r\t\u{1b}[31m{}", "é".repeat(5000));
        let said = message(&body);
        assert_eq!(said.chars().count(), MAX_MESSAGE + 1);
        assert!(said.starts_with("a b   [31mé") && said.ends_with('…'));
    }

    #[test]
    fn output_that_llama_cpp_could_not_parse_is_the_models_fault_and_not_retried() {
        let body = r#"{"error":{"code":500,"type":"server_error","message":
            "The model produced output that does not match the expected peg-native format"}}"#;
        let fault = of_status(500, body, None);
        assert!(matches!(fault.error, ModelError::Unusable { .. }), "{fault:?}");
        assert_eq!(fault.again, Again::Never);
    }

    #[test]
    fn a_redirect_is_an_error_that_names_where_it_led() {
        let fault = of_status(307, "", Some("http://169.254.169.254/latest"));
        assert_eq!(fault.again, Again::Never);
        assert_eq!(
            fault.error.to_string(),
            "the model pod answered 307: a redirect to http://169.254.169.254/latest is not followed; set the final \
             address"
        );
    }
}
