//! A Slack incoming webhook: `text` for notifications, blocks for the message.

use serde_json::{Value, json};

use super::Request;
use super::parts::{Line, SIGN, headline, not_empty, parts};
use crate::page::Page;

/// The longest header, in characters.
const HEADER: usize = 150;
/// The longest text of a section.
const SECTION: usize = 3000;
/// The longest fallback text before Slack truncates it.
const TEXT: usize = 4000;
/// The most sections of one part, so that a long runbook does not push the rest out; eight parts make 33 of Slack's 50
/// blocks at most.
const SECTIONS: usize = 4;

pub fn render(page: &Page) -> Request {
    let headline = headline(page);
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": escape(&headline, HEADER), "emoji": false },
    })];
    for part in parts(page) {
        let mut sections = vec![format!("*{}*", part.heading)];
        for line in part.lines {
            let (text, whole) = mrkdwn(&line);
            if !whole {
                continue;
            }
            let section = sections.last_mut().expect("there is one from the start");
            if section.len() + 1 + text.len() <= SECTION {
                section.push('\n');
                section.push_str(&text);
            } else if sections.len() < SECTIONS {
                sections.push(text);
            } else {
                break;
            }
        }
        blocks.extend(sections.into_iter().map(section));
    }
    Request::to_address(&json!({ "text": escape(&headline, TEXT), "blocks": blocks }))
}

fn section(text: String) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// A line in Slack's markup, and whether it is fit to be shown: what is to be typed is whole or absent.
fn mrkdwn(line: &Line) -> (String, bool) {
    const FENCES: usize = 8;
    match line {
        Line::Text(text) => (escape(not_empty(text), SECTION), true),
        Line::Code(code) => {
            let escaped = escape(code, usize::MAX);
            let whole = escaped.len() <= SECTION - FENCES && !code.contains("```");
            (format!("```\n{escaped}\n```"), whole)
        }
    }
}

/// At most `bytes` bytes of `text`, in which nothing is a link, a mention or a channel: these begin with `<`.
///
/// An entity is one character to a reader and five to Slack's limits, so it is the escaped text that is cut, and never
/// within an entity.
fn escape(text: &str, bytes: usize) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if escaped.len() <= bytes {
        return escaped;
    }
    let mut cut = String::new();
    let mut buffer = [0; 4];
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            c => c.encode_utf8(&mut buffer),
        };
        if cut.len() + piece.len() + SIGN.len() > bytes {
            break;
        }
        cut.push_str(piece);
    }
    cut + SIGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_mention_or_a_link() {
        assert_eq!(escape("<!channel> & <https://x.test|ok>", 200), "&lt;!channel&gt; &amp; &lt;https://x.test|ok&gt;");
    }

    #[test]
    fn a_text_is_cut_to_its_escaped_length_and_not_within_an_entity() {
        assert_eq!(escape("<<<<", 16), "&lt;&lt;&lt;&lt;");
        assert_eq!(escape("<<<<<", 16), "&lt;&lt;&lt;…");
        assert_eq!(escape("abcdef", 6), "abcdef");
        assert_eq!(escape("abcdefg", 6), "abc…");
    }

    #[test]
    fn code_that_would_leave_its_fence_is_not_shown() {
        assert!(!mrkdwn(&Line::Code("SELECT 1 ``` <!channel>".to_owned())).1);
    }
}
