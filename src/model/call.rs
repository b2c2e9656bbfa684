//! One exchange with the pod: send, read, try again, until there is an answer, no hope, no time or no caller.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oncall_domain::host::ModelError;
use ureq::Agent;
use ureq::http::{HeaderValue, Uri, header};

use crate::fault::{self, Fault};
use crate::key::ApiKey;

/// The connections of a pod, until somebody hangs up.
///
/// Hanging up is for ever: a helper thread that starts late, after its caller has gone, finds the line dead.
#[derive(Debug)]
pub(crate) struct Line {
    agent: Agent,
    hung_up: Mutex<bool>,
    bell: Condvar,
}

impl Line {
    pub fn new(agent: Agent) -> Self {
        Self { agent, hung_up: Mutex::new(false), bell: Condvar::new() }
    }

    /// End every call: whoever reads or writes gets an error, whoever sleeps between attempts wakes up.
    pub fn hang_up(&self) {
        *self.hung_up.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
        self.agent.clone().shutdown();
    }

    /// Sleep, and say whether somebody hung up before or meanwhile.
    fn pause(&self, wait: Duration) -> bool {
        let guard = self.hung_up.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = self.bell.wait_timeout_while(guard, wait, |hung_up| !*hung_up);
        *woken.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What to send, and within which bounds.
pub(crate) struct Call<'a> {
    pub uri: &'a Uri,
    /// The `Authorization` header, marked as sensitive.
    pub bearer: Option<&'a HeaderValue>,
    /// The key in it, to be kept out of what a server says.
    pub key: Option<&'a ApiKey>,
    pub body: &'a [u8],
    /// The most bytes of an answer that are read.
    pub limit: u64,
    /// From the first attempt to the last byte, waits included.
    pub total: Duration,
    pub max_retries: u32,
}

impl Call<'_> {
    /// The body of a 2xx answer.
    pub fn run(&self, line: &Line) -> Result<Vec<u8>, ModelError> {
        let deadline = Instant::now() + self.total;
        let mut failed = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ModelError::Timeout { phase: "total".to_owned() });
            }
            let fault = match self.attempt(line, left) {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            failed += 1;
            let wait = fault.again.wait(failed, self.max_retries);
            // An answer that would come too late is not waited for: the caller learns now what is wrong.
            let wait = wait.filter(|wait| Instant::now() + *wait < deadline);
            if line.pause(wait.unwrap_or_default()) {
                return Err(fault::ended());
            }
            if wait.is_none() {
                return Err(fault.error);
            }
        }
    }

    fn attempt(&self, line: &Line, left: Duration) -> Result<Vec<u8>, Fault> {
        let transport = |error| fault::of_transport(error, self.limit);
        let mut request = line.agent.post(self.uri).content_type("application/json");
        if let Some(bearer) = self.bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.config().timeout_global(Some(left)).build();
        let mut response = request.send(self.body).map_err(transport)?;

        let status = response.status();
        let limit = if status.is_success() { self.limit } else { MAX_ERROR_BODY };
        let announced = response.body().content_length();
        let body = if announced.is_some_and(|length| length > limit) {
            Err(ureq::Error::BodyExceedsLimit(limit))
        } else {
            // One more than the limit: ureq counts the end of the body as a read.
            response.body_mut().with_config().limit(limit + 1).read_to_vec()
        };
        if status.is_success() {
            return body.map_err(transport);
        }
        let hint = if status.is_redirection() { header::LOCATION } else { header::RETRY_AFTER };
        let hint = response.headers().get(hint).and_then(|value| value.to_str().ok());
        // The status counts even where its explanation cannot be read. The key is hidden before anything is cut to
        // size, or half of it could stay.
        let hide = |text: &str| self.key.map_or_else(|| text.to_owned(), |key| key.hide(text));
        let explanation = hide(&String::from_utf8_lossy(&body.unwrap_or_default()));
        Err(fault::of_status(status.as_u16(), &explanation, hint.map(hide).as_deref()))
    }
}

/// The most bytes of an error's explanation that are read; a longer one is not read at all.
const MAX_ERROR_BODY: u64 = 64 * 1024;
