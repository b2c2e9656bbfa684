//! Just enough of HTTP/1.1 for one well-behaved client.

use std::io::{self, BufRead};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `GET`, `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in small letters, values trimmed, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, as sent.
    pub body: Vec<u8>,
}

impl Recorded {
    /// The first value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, `null` where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What to send, and how.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub response: Response,
    pub before_head: Duration,
    pub mid_body: Duration,
    pub cut_off: bool,
}

/// A response, whole.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub header: Option<(&'static str, String)>,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// In chunks, so that the head does not tell the length.
    pub chunked: bool,
}

impl Default for Response {
    fn default() -> Self {
        Self { status: 200, header: None, content_type: "application/json", body: Vec::new(), chunked: false }
    }
}

impl Response {
    /// Append the response to `out`; gives where its head ends.
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        let mut head = format!("HTTP/1.1 {} -\r\nContent-Type: {}\r\n", self.status, self.content_type);
        if let Some((name, value)) = &self.header {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.chunked {
            head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
            out.extend_from_slice(head.as_bytes());
            let end = out.len();
            out.extend_from_slice(&self.body);
            return end;
        }
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        let end = out.len();
        for chunk in self.body.chunks(8192) {
            out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
        end
    }
}

/// Read one request; nothing where the client has closed.
pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Recorded>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::with_capacity(8);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Recorded { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
