//! One GET, for programs that say over HTTP whether they are ready.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The status and the body, or nothing where nobody answers. HTTP/1.0, so that the body ends with the connection.
pub(super) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split_ascii_whitespace().nth(1)?.parse().ok()?, body.to_owned()))
}

/// Whether a GET is answered with 200.
pub(super) fn answers(port: u16, path: &str) -> bool {
    get(port, path).is_some_and(|(status, _)| status == 200)
}
