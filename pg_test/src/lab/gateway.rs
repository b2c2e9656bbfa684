//! The double of a webhook gateway: it takes what a monitoring system posts, and puts it into the inbox, untouched.
//!
//! A real one would sit in front of Postgres and do no more than this. It is the only part of an alert's way here that
//! does not come from a package.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use postgres::NoTls;
use serde_json::Value;

use super::http;
use super::site::{DATABASE, GATEWAY};
use crate::cluster::Cluster;
use crate::error::{Doing, Result};
use crate::stub_pod::http as server;

/// What a sender has to present.
pub(super) const TOKEN: &str = "not-a-secret-either";

/// The running gateway. It stops when dropped.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    server_port: u16,
    received: Mutex<Vec<Value>>,
    stopping: AtomicBool,
}

impl Gateway {
    /// Listen on a free port of the loopback, and insert as the role `alert_gateway`.
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").doing(|| "listen on the loopback".into())?;
        let address = listener.local_addr().doing(|| "ask a socket for its address".into())?;
        let shared = Arc::new(Shared {
            socket: cluster.dir().to_path_buf(),
            server_port: cluster.port(),
            received: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        let accept = move || {
            for stream in listener.incoming().flatten() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let shared = accepting.clone();
                // A sender that goes away in the middle sends again.
                let _ = thread::Builder::new().name("gateway-connection".into()).spawn(move || serve(stream, &shared));
            }
        };
        thread::Builder::new().name("gateway".into()).spawn(accept).doing(|| "start a thread".into())?;
        Ok(Self { address, shared })
    }

    /// Where Alertmanager posts to.
    pub fn url(&self) -> String {
        format!("http://{}/alertmanager", self.address)
    }

    /// Post this as Alertmanager would; the status of the answer, 0 where there is none.
    pub fn post(&self, body: &Value) -> u16 {
        http::post(self.address.port(), "/alertmanager", TOKEN, &body.to_string()).unwrap_or(0)
    }

    /// What it has put into the inbox so far, in that order.
    pub fn received(&self) -> Vec<Value> {
        lock(&self.shared.received).clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answer the requests of one connection until its sender closes it.
fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(request) = server::read(&mut reader)? {
        let known = request.header("authorization") == Some(format!("Bearer {TOKEN}").as_str());
        let source = request.path.trim_start_matches('/').to_owned();
        let body = request.json();
        let status = match known {
            false => 401,
            // The sender repeats what got a 5xx, and drops what got a 4xx.
            true => insert(shared, &source, &body).map_or(503, |()| 200),
        };
        if status == 200 {
            lock(&shared.received).push(body);
        }
        write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n")?;
        if request.header("connection") == Some("close") {
            break;
        }
    }
    Ok(())
}

fn insert(shared: &Shared, source: &str, body: &Value) -> Result<()> {
    let mut config = postgres::Config::new();
    config.host_path(&shared.socket).port(shared.server_port).user(GATEWAY).dbname(DATABASE);
    let mut client = config.connect(NoTls)?;
    client.execute("INSERT INTO oncall.alert_inbox (source, payload) VALUES ($1, $2)", &[&source, body])?;
    Ok(())
}
