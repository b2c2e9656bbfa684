//! A Teams workflow: one Adaptive Card in a message.
//!
//! The texts are runs of a `RichTextBlock` and not `TextBlock`s, in which Teams reads markdown: a text from outside
//! must not become a link.

use serde_json::{Value, json};

use super::Request;
use super::parts::{Line, Part, cut, headline, not_empty, parts};
use crate::alert::Severity;
use crate::page::{Page, PageKind};

/// The largest message that a workflow takes is 28 kB, its own wrapping included.
const MESSAGE: usize = 26_000;

pub fn render(page: &Page) -> Request {
    // A long page is shortened evenly: each text to half of what it was, until the whole fits.
    let mut most = 6000;
    loop {
        let body = message(page, most);
        let request = Request::to_address(&body);
        if request.body.len() <= MESSAGE || most < 16 {
            return request;
        }
        most /= 2;
    }
}

fn message(page: &Page, most: usize) -> Value {
    let mut body = vec![block(vec![json!({
        "type": "TextRun",
        "text": cut(&headline(page), 300),
        "weight": "Bolder",
        "size": "Medium",
        "color": colour(page),
    })])];
    body.extend(parts(page).iter().map(|part| block(runs(part, most))));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
                "msteams": { "width": "full" },
            },
        }],
    })
}

fn block(runs: Vec<Value>) -> Value {
    json!({ "type": "RichTextBlock", "inlines": runs })
}

fn runs(part: &Part, most: usize) -> Vec<Value> {
    let mut runs = vec![json!({ "type": "TextRun", "text": part.heading, "weight": "Bolder" })];
    for line in &part.lines {
        match line {
            Line::Text(text) => {
                runs.push(json!({ "type": "TextRun", "text": format!("\n{}", cut(not_empty(text), most)) }));
            }
            // What is to be typed is whole or absent.
            Line::Code(code) if code.len() <= most => {
                runs.push(json!({ "type": "TextRun", "text": format!("\n{code}"), "fontType": "Monospace" }));
            }
            Line::Code(_) => {}
        }
    }
    runs
}

fn colour(page: &Page) -> &'static str {
    match (page.kind, page.severity) {
        (PageKind::Resolved | PageKind::Notice, _) => "Good",
        (PageKind::Test, _) | (_, Some(Severity::P4 | Severity::P5)) => "Default",
        (_, Some(Severity::P3)) => "Warning",
        _ => "Attention",
    }
}
