//! YAML with line numbers, as far as runbooks need it.
//!
//! A library reads the YAML; what is built from its events here is smaller than YAML on purpose. Anchors, aliases and
//! tags are refused, since a reader at night should see every value where it is used. A plain scalar is a whole
//! number, `true`, `false`, `null`, or text: no dates, no octals, and `no` is a word.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::Value;

use super::error::Problem;

/// The deepest nesting; a step needs three.
const MAX_DEPTH: usize = 8;

/// A part of a YAML text, and the line that it starts on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The line in the file, from 1.
    pub line: usize,
    /// What is there.
    pub data: Data,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// The key's line.
    pub line: usize,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Node,
}

/// Read one YAML document whose first line is line `first_line` of the file.
pub(super) fn read(text: &str, first_line: usize) -> Result<Node, (usize, Problem)> {
    let mut events = Events { parser: Parser::new_from_str(text), offset: first_line - 1 };
    let node = loop {
        let (line, event) = events.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd => {
                break Node { line: first_line, data: Data::Null };
            }
            event => break events.node(line, event, 0)?,
        }
    };
    loop {
        match events.next()? {
            (_, Event::DocumentEnd) => {}
            (_, Event::StreamEnd) => return Ok(node),
            (line, _) => return Err((line, yaml("one document is expected"))),
        }
    }
}

fn yaml(why: &str) -> Problem {
    Problem::Yaml(why.to_owned())
}

struct Events<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    offset: usize,
}

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<(usize, Event<'t>), (usize, Problem)> {
        match self.parser.next() {
            Some(Ok((event, span))) => Ok((span.start.line() + self.offset, event)),
            Some(Err(error)) => Err((error.marker().line().max(1) + self.offset, yaml(error.info()))),
            None => Ok((self.offset + 1, Event::StreamEnd)),
        }
    }

    fn node(&mut self, line: usize, event: Event<'t>, depth: usize) -> Result<Node, (usize, Problem)> {
        if depth > MAX_DEPTH {
            return Err((line, yaml("it is nested too deeply")));
        }
        let data = match event {
            Event::Scalar(text, style, 0, None) => scalar(&text, style),
            Event::SequenceStart(0, None) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (_, Event::SequenceEnd) => break Data::List(items),
                        (line, event) => items.push(self.node(line, event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(0, None) => {
                let mut entries: Vec<Entry> = Vec::new();
                loop {
                    let (line, key) = match self.next()? {
                        (_, Event::MappingEnd) => break Data::Map(entries),
                        (line, Event::Scalar(key, _, 0, None)) => (line, key.into_owned()),
                        (line, _) => return Err((line, yaml("a key is a plain word"))),
                    };
                    if entries.iter().any(|entry| entry.key == key) {
                        return Err((line, Problem::KeyTwice(key)));
                    }
                    let (value_line, event) = self.next()?;
                    let mut value = self.node(value_line, event, depth + 1)?;
                    if value.data == Data::Null {
                        // An empty value has no place of its own; the parser puts it on the line after.
                        value.line = line;
                    }
                    entries.push(Entry { line, key, value });
                }
            }
            _ => {
                return Err((line, yaml("anchors (&), aliases (*) and tags (!) are not allowed: write the value out")));
            }
        };
        Ok(Node { line, data })
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Data {
    if style != ScalarStyle::Plain {
        return Data::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" => Data::Null,
        "true" => Data::Bool(true),
        "false" => Data::Bool(false),
        _ => whole_number(text).map_or_else(|| Data::Text(text.to_owned()), Data::Integer),
    }
}

/// A whole number as people write it; `007` and `+7` stay text.
fn whole_number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

/// Whether a text, written plainly, would be read as something else.
pub(super) fn reads_as_text(text: &str) -> bool {
    matches!(scalar(text, ScalarStyle::Plain), Data::Text(_))
}

impl Node {
    /// What it is, in an error's words.
    pub fn found(&self) -> String {
        match &self.data {
            Data::Null => "nothing".to_owned(),
            Data::Bool(value) => value.to_string(),
            Data::Integer(value) => value.to_string(),
            Data::Text(text) => format!("the text {text:?}"),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The same as JSON, without lines.
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Integer(value) => Value::from(*value),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => items.iter().map(Self::to_json).collect(),
            Data::Map(entries) => entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect(),
        }
    }
}
