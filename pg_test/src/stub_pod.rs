//! A test double of a model pod: it speaks the two endpoints over real sockets, and misbehaves on demand.
//!
//! It stands in for the *wire* and never for a model: its embeddings are a hash of the words, its triage names the
//! first steps that the prompt shows. Loopback, a free port, one thread a connection, HTTP/1.1 with keep-alive, and no
//! framework, so that a benchmark measures what it is pointed at.

pub(crate) mod http;
mod reply;

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub use http::Recorded;
pub use reply::Replies;

use http::Exchange;

/// The most requests that are kept for inspection, the latest ones: a benchmark sends millions.
const MAX_RECORDED: usize = 1000;

/// What the pod does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Answer well, as [`Replies`] says.
    Ok,
    /// Answer well, after this long without a byte.
    SlowHead(Duration),
    /// Send the head and half of the body, and the rest after this long.
    SlowBody(Duration),
    /// Send half of the announced body and close.
    CutOff,
    /// Drop the connection with the request unread: the client sees a reset.
    Reset,
    /// An error status, with a `Retry-After` where there is one, and a body.
    Status(u16, Option<String>, String),
    /// A 307 to this address.
    Redirect(String),
    /// Status 200, HTML.
    NotJson,
    /// Vectors of this dimension instead of the right one.
    WrongDimension(usize),
    /// A reply that is JSON but breaks the schema: a confidence in words, actions that are no list.
    SchemaViolating,
    /// A reply that names this step with a confidence of 0.99, whatever was asked.
    ConfidentlyWrong(String),
    /// No text; no vectors.
    Empty,
    /// An answer of this many bytes, announced by `Content-Length` or, if not, in chunks.
    Long {
        /// The length of the body.
        bytes: usize,
        /// Whether the head says so.
        announced: bool,
    },
    /// Half a reply, with `finish_reason` `length`.
    Truncated,
    /// This text as the reply's content, word for word.
    Say(String),
    /// What this makes of the request, as the reply's content.
    Answer(Answerer),
}

/// A model of a test's own: from a chat request's JSON to the text of its reply.
#[derive(Clone)]
pub struct Answerer(Arc<dyn Fn(&serde_json::Value) -> String + Send + Sync>);

impl Answerer {
    /// A model that answers like this.
    pub fn new(answer: impl Fn(&serde_json::Value) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    fn answer(&self, request: &serde_json::Value) -> String {
        (self.0)(request)
    }
}

impl std::fmt::Debug for Answerer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answerer")
    }
}

impl PartialEq for Answerer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Behaviour {
    /// 429 with a `Retry-After`, in seconds or as a date.
    pub fn busy(retry_after: &str) -> Self {
        let body = r#"{"error":{"message":"too many requests","type":"rate_limit_error"}}"#;
        Self::Status(429, Some(retry_after.to_owned()), body.to_owned())
    }

    /// An error status with an OpenAI-shaped body.
    pub fn error(status: u16, message: &str) -> Self {
        Self::Status(status, None, serde_json::json!({"error": {"message": message}}).to_string())
    }
}

/// The running double. It stops, and closes its connections, when dropped.
#[derive(Debug)]
pub struct StubPod {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    /// What comes first, one a request, before `behaviour`.
    script: Mutex<VecDeque<Behaviour>>,
    replies: Mutex<Replies>,
    recorded: Mutex<VecDeque<Recorded>>,
    requests: AtomicU64,
    connections: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
    holding: Mutex<Holding>,
    let_go: Condvar,
    stopping: AtomicBool,
}

/// Answers that are held back.
#[derive(Debug, Default)]
struct Holding {
    /// Whether what is asked now is.
    on: bool,
    /// How many are.
    held: usize,
    /// How often they were let go.
    rounds: u64,
}

impl StubPod {
    /// Start one on a free port of the loopback.
    ///
    /// # Panics
    ///
    /// Where the machine has no port or thread left: no test can go on from there.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            script: Mutex::default(),
            replies: Mutex::default(),
            recorded: Mutex::default(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            open: Mutex::default(),
            holding: Mutex::default(),
            let_go: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        let accept = move || accept(&listener, &accepting);
        thread::Builder::new().name("stub-pod".to_owned()).spawn(accept).expect("a thread");
        Self { address, shared }
    }

    /// The base URL: what a client's setting holds.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Behave like this from the next request on.
    pub fn set(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// Behave like these first, one a request, and then as set.
    pub fn first(&self, script: impl IntoIterator<Item = Behaviour>) {
        lock(&self.shared.script).extend(script);
    }

    /// Change what a good answer looks like: dimension, confidence, number of actions.
    pub fn replies(&self, replies: Replies) {
        *lock(&self.shared.replies) = replies;
    }

    /// Hold every answer back from now on, until [`let_go`](Self::let_go).
    pub fn hold(&self) {
        lock(&self.shared.holding).on = true;
    }

    /// How many requests wait for answers that are held back.
    pub fn held(&self) -> usize {
        lock(&self.shared.holding).held
    }

    /// Give the answers that were held back, and hold no more.
    pub fn let_go(&self) {
        lock(&self.shared.holding).on = false;
        self.pass();
    }

    /// Give the answers that were held back, and hold what is asked after them.
    pub fn pass(&self) {
        let mut holding = lock(&self.shared.holding);
        (holding.held, holding.rounds) = (0, holding.rounds + 1);
        drop(holding);
        self.shared.let_go.notify_all();
    }

    /// The latest requests, oldest first, at most 1,000. A request that was reset unread is not among them.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.recorded).iter().cloned().collect()
    }

    /// How many requests came, the reset ones included.
    pub fn request_count(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many connections were ever opened: fewer than requests, where they are kept alive.
    pub fn connection_count(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for StubPod {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.let_go();
        // Wakes `accept`, which then sees the flag.
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn wait_if_held(&self) {
        let mut holding = lock(&self.holding);
        if holding.on {
            let round = holding.rounds;
            holding.held += 1;
            while holding.rounds == round {
                holding = self.let_go.wait(holding).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let id = shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        let serve = move || {
            if let Ok(copy) = stream.try_clone() {
                lock(&shared.open).insert(id, copy);
            }
            // A client that goes away in the middle is part of the job.
            let _ = serve(stream, &shared);
            lock(&shared.open).remove(&id);
        };
        let _ = thread::Builder::new().name("stub-pod-connection".to_owned()).spawn(serve);
    }
}

/// Answer the requests of one connection until either side closes it.
fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(16 * 1024, stream.try_clone()?);
    let mut stream = stream;
    let mut out = Vec::with_capacity(16 * 1024);
    loop {
        if reader.buffer().is_empty() && stream.peek(&mut [0])? == 0 {
            return Ok(());
        }
        shared.requests.fetch_add(1, Ordering::SeqCst);
        let next = lock(&shared.script).pop_front();
        let behaviour = next.unwrap_or_else(|| lock(&shared.behaviour).clone());
        if behaviour == Behaviour::Reset {
            // Closing a socket with unread bytes makes the kernel send a reset.
            lock(&shared.open).retain(|_, open| open.peer_addr().ok() != stream.peer_addr().ok());
            return Ok(());
        }
        let Some(request) = http::read(&mut reader)? else {
            return Ok(());
        };
        let replies = lock(&shared.replies).clone();
        let exchange = reply::to(&request, &behaviour, &replies);
        {
            let mut recorded = lock(&shared.recorded);
            if recorded.len() == MAX_RECORDED {
                recorded.pop_front();
            }
            recorded.push_back(request);
        }
        shared.wait_if_held();
        out.clear();
        let head_end = exchange.response.write(&mut out);
        if !send(&mut stream, &out, head_end, &exchange)? {
            return Ok(());
        }
    }
}

/// Send a response at the pace that was asked for, and say whether the connection may go on.
fn send(stream: &mut TcpStream, out: &[u8], head_end: usize, exchange: &Exchange) -> io::Result<bool> {
    let half = head_end + (out.len() - head_end) / 2;
    thread::sleep(exchange.before_head);
    if exchange.cut_off {
        stream.write_all(&out[..half])?;
        return Ok(false);
    }
    if exchange.mid_body.is_zero() {
        stream.write_all(out)?;
        return Ok(true);
    }
    stream.write_all(&out[..half])?;
    thread::sleep(exchange.mid_body);
    stream.write_all(&out[half..])?;
    Ok(true)
}
