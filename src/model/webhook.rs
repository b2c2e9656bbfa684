//! Webhooks: one request, sent once. Whether to send it again is for the outbox to say, by what came of it.

use std::time::Duration;

use jiff::Timestamp;
use oncall_domain::redact::redact;
use ureq::Agent;
use ureq::http::{Uri, header};

use crate::agent;
use crate::egress::{AllowedHosts, Guard, Refused};
use crate::fault::{clip, message};
use crate::retry::wait_for;
use crate::settings::Timeouts;
use crate::tls::{self, InvalidAuthorities};

/// The most bytes of an answer that are read: nobody needs more than its first sentence.
const MAX_ANSWER: u64 = 16 * 1024;

/// The client of every sink: it connects to allowed hosts only, follows no redirect and tries nothing twice.
#[derive(Debug, Clone)]
pub struct Webhooks(Agent);

/// One request.
#[derive(Debug)]
pub struct Letter<'a> {
    /// The whole address.
    pub url: &'a str,
    /// Headers beside `Content-Type`.
    pub headers: &'a [(&'static str, String)],
    /// JSON.
    pub body: &'a str,
    /// What no error may show, even where the receiver quotes it.
    pub secrets: &'a [&'a str],
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The receiver took it: a status of 2xx.
    Delivered {
        /// The status.
        status: u16,
    },
    /// It may go better later.
    Retry {
        /// The status, where there was an answer.
        status: Option<u16>,
        /// What was wrong.
        reason: String,
        /// When the receiver wants to be asked again, where it says so.
        after: Option<Duration>,
    },
    /// The receiver will never take it.
    Refused {
        /// The status.
        status: u16,
        /// What was wrong.
        reason: String,
    },
    /// Nothing was sent: this address must not be contacted, or is none.
    NotSent {
        /// What was wrong.
        reason: String,
    },
}

/// Check what an address shows by itself: that it can be read and that its host is allowed. Nothing is looked up.
pub fn check_address(url: &str, allowed: &AllowedHosts) -> Result<(), InvalidAddress> {
    let uri: Uri = url.parse().map_err(|_| InvalidAddress::Url)?;
    allowed.check_uri(&uri)?;
    Ok(())
}

/// Why nothing is sent to an address. It does not show the address, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It cannot be read.
    #[error("it is no URL, such as https://hooks.example.com/path")]
    Url,
    /// Its host is not allowed, or its form can never be.
    #[error("{} is not allowed", .0.address())]
    Refused(#[from] Refused),
}

impl Webhooks {
    /// A client for the hosts of this list; `total` bounds each request, `idle` the connections that are kept, `ca_pem` has
    /// the authorities that count where they are not the public ones.
    pub fn new(
        allowed: AllowedHosts,
        total: Duration,
        idle: usize,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, InvalidAuthorities> {
        Ok(Self(agent::connect(allowed, Timeouts::within(total), tls::config(ca_pem)?, idle)))
    }

    /// Send a letter. Blocks until there is an answer, or the time is over.
    pub fn send(&self, letter: &Letter<'_>) -> Sent {
        let mut request = self.0.post(letter.url).content_type("application/json");
        for (name, value) in letter.headers {
            request = request.header(*name, value);
        }
        let mut response = match request.send(letter.body) {
            Ok(response) => response,
            Err(error) => return unsent(&error, letter),
        };
        let status = response.status();
        // It is read in any case, so that the connection can serve the next request. What cannot be read is no matter:
        // the status says it all.
        let said = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().unwrap_or_default();
        if status.is_success() {
            return Sent::Delivered { status: status.as_u16() };
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let status = status.as_u16();
        let reason = match status {
            300..400 => {
                let to = header(header::LOCATION).unwrap_or_default().parse::<Uri>();
                let to = to.ok().and_then(|to| to.host().map(str::to_owned)).unwrap_or("another path".to_owned());
                format!("a redirect to {to} is not followed; set the final address")
            }
            _ => message(&hidden(&String::from_utf8_lossy(&said), letter)),
        };
        let reason = readable(&format!("it answered {status}: {reason}"), letter);
        let after = header(header::RETRY_AFTER).and_then(|text| wait_for(text, Timestamp::now()));
        match status {
            408 | 425 | 429 | 500.. => Sent::Retry { status: Some(status), reason, after },
            _ => Sent::Refused { status, reason },
        }
    }
}

fn unsent(error: &ureq::Error, letter: &Letter<'_>) -> Sent {
    if let Some(refused) = Guard::refusal(error) {
        let reason = format!("{} is not among oncall.allowed_hosts", refused.address());
        return Sent::NotSent { reason: readable(&reason, letter) };
    }
    let reason = readable(&error.to_string(), letter);
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Sent::NotSent { reason: "its address is no URL".to_owned() },
        ureq::Error::Timeout(phase) => {
            Sent::Retry { status: None, reason: format!("it did not answer in time ({phase})"), after: None }
        }
        _ => Sent::Retry { status: None, reason, after: None },
    }
}

/// One line without secrets, cut to size.
fn readable(text: &str, letter: &Letter<'_>) -> String {
    clip(redact(&hidden(text, letter)).as_str())
}

fn hidden(text: &str, letter: &Letter<'_>) -> String {
    let mut text = text.to_owned();
    for secret in letter.secrets {
        text = text.replace(secret, "[secret]");
        // Of an address, the path is the secret: a receiver quotes it without the host.
        let path = secret.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
        if let Some(path) = path.and_then(|uri| uri.path_and_query().map(|path| path.as_str().to_owned()))
            && path.len() >= 8
        {
            text = text.replace(&path, "[secret]");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_key_nor_the_path_of_a_secret_address_is_shown() {
        let secrets = ["https://hooks.test/services/T0/B0/xyz", "0123456789abcdef"];
        let letter = Letter { url: secrets[0], headers: &[], body: "", secrets: &secrets };
        let said = readable("no route for /services/T0/B0/xyz at hooks.test with 0123456789abcdef", &letter);
        assert_eq!(said, "no route for [secret] at hooks.test with [secret]");
    }

    #[test]
    fn an_address_is_checked_before_anything_is_looked_up() {
        let allowed = AllowedHosts::parse("hooks.example, 10.0.0.0/8").unwrap();
        for url in ["https://hooks.example/x", "http://10.1.2.3:8080/y?z=1"] {
            assert_eq!(check_address(url, &allowed), Ok(()), "{url}");
        }
        for url in
            ["https://evil.example/x", "ftp://hooks.example/", "http://u:p@hooks.example/", "/x", "", "http://[::1]/"]
        {
            assert!(check_address(url, &allowed).is_err(), "{url}");
        }
    }
}
