//! One request, to programs that say over HTTP whether they are ready.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The status and the body of a GET, or nothing where nobody answers.
pub(super) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    ask(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"))
}

/// The status of a POST of JSON with a bearer token.
pub(super) fn post(port: u16, path: &str, token: &str, body: &str) -> Option<u16> {
    let head = format!("POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {token}");
    let request = format!("{head}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    ask(port, &request).map(|(status, _)| status)
}

/// HTTP/1.0, so that the body ends with the connection.
fn ask(port: u16, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
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
