//! A test double of whatever receives pages: it records what comes over real sockets, and misbehaves on demand.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::stub_pod::Recorded;
use crate::stub_pod::http::{self, Response};

/// What the sink does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This status, with this body.
    Status(u16, String),
    /// This status and a `Retry-After`.
    RetryAfter(u16, String),
    /// 307 to this address.
    Redirect(String),
    /// Read the request, then close the connection without a word: the client cannot know whether it arrived.
    Close,
    /// Read the request and never answer.
    Hang,
}

impl Answer {
    /// 202.
    pub fn accepted() -> Self {
        Self::Status(202, "ok".to_owned())
    }
}

/// A request as it came, and what it was answered.
#[derive(Debug, Clone)]
pub struct Received {
    /// The request.
    pub request: Recorded,
    /// When it had come.
    pub at: Instant,
    /// The status of the answer; 0 where there was none.
    pub status: u16,
}

impl Received {
    /// The page's key.
    pub fn key(&self) -> &str {
        self.request.header("idempotency-key").unwrap_or_default()
    }

    /// Whether it was answered well.
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The rule by which a sink answers: it is given the number of the request, from 0, and the request.
type Rule = Box<dyn Fn(u64, &Recorded) -> Answer + Send + Sync>;

/// The running double. It stops, and closes its connections, when dropped.
pub struct StubSink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    rule: Mutex<Arc<Rule>>,
    delay: Mutex<Duration>,
    received: Mutex<Vec<Received>>,
    number: AtomicU64,
    /// How many requests are being answered, and the most that ever were.
    at_once: AtomicU64,
    most_at_once: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
    stopping: AtomicBool,
}

impl StubSink {
    /// Start one on a free port of the loopback that accepts everything.
    ///
    /// # Panics
    ///
    /// Where the machine has no port or thread left: no test can go on from there.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            rule: Mutex::new(Arc::new(Box::new(|_, _| Answer::accepted()))),
            delay: Mutex::default(),
            received: Mutex::default(),
            number: AtomicU64::new(0),
            at_once: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
            open: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::Builder::new()
            .name("stub-sink".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    if accepting.stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    lock(&accepting.open).extend(stream.try_clone());
                    let shared = Arc::clone(&accepting);
                    // A client that goes away in the middle is part of the job.
                    let serve = move || drop(serve(stream, &shared));
                    let _ = thread::Builder::new().name("stub-sink-connection".to_owned()).spawn(serve);
                }
            })
            .expect("a thread");
        Self { address, shared }
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answer by this rule from the next request on.
    pub fn answer(&self, rule: impl Fn(u64, &Recorded) -> Answer + Send + Sync + 'static) {
        *lock(&self.shared.rule) = Arc::new(Box::new(rule));
    }

    /// Take this long for each answer.
    pub fn delay(&self, delay: Duration) {
        *lock(&self.shared.delay) = delay;
    }

    /// Everything that came, in the order in which it had come.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        lock(&self.shared.received).len()
    }

    /// How many were answered well.
    pub fn accepted(&self) -> usize {
        lock(&self.shared.received).iter().filter(|received| received.is_accepted()).count()
    }

    /// The most requests that it ever had to answer at once.
    pub fn most_at_once(&self) -> u64 {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for StubSink {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees the flag.
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answer the requests of one connection until either side closes it.
fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = http::read(&mut reader)? {
        let at = Instant::now();
        let rule = Arc::clone(&lock(&shared.rule));
        let answer: Answer = rule(shared.number.fetch_add(1, Ordering::SeqCst), &request);
        let mut response = Response::default();
        let mut answers = true;
        match answer.clone() {
            Answer::Status(status, body) => (response.status, response.body) = (status, body.into_bytes()),
            Answer::RetryAfter(status, wait) => {
                response.status = status;
                response.header = Some(("Retry-After", wait));
            }
            Answer::Redirect(to) => {
                response.status = 307;
                response.header = Some(("Location", to));
            }
            Answer::Close | Answer::Hang => answers = false,
        }
        let status = if answers { response.status } else { 0 };
        lock(&shared.received).push(Received { request, at, status });
        if answer == Answer::Close {
            return stream.shutdown(Shutdown::Both);
        }
        if answer == Answer::Hang {
            while !shared.stopping.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
            return Ok(());
        }
        let now = shared.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_at_once.fetch_max(now, Ordering::SeqCst);
        let delay = *lock(&shared.delay);
        thread::sleep(delay);
        let mut out = Vec::new();
        response.write(&mut out);
        let written = stream.write_all(&out);
        shared.at_once.fetch_sub(1, Ordering::SeqCst);
        written?;
    }
    Ok(())
}
