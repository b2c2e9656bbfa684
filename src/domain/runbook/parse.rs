//! From a file's text to a runbook.

use std::collections::BTreeMap;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag};

use super::error::{Problem, RunbookError};
use super::fields::{self, At, Front, Lines};
use super::{Runbook, Section, Step, yaml};
use crate::ids::{RunbookId, StepId};
use crate::tool::{Catalogue, validate_step};

/// The section that holds the text above the first heading.
const OVERVIEW: &str = "Overview";

/// Read a runbook. `file` is what errors call it.
pub fn parse(markdown: &str, file: &str) -> Result<Runbook, RunbookError> {
    located(file, read(markdown)).map(|(runbook, _)| runbook)
}

/// Read a runbook and check each of its steps against the catalogue, so that these errors have a line too.
pub fn parse_checked(markdown: &str, file: &str, catalogue: &Catalogue) -> Result<Runbook, RunbookError> {
    let (runbook, places) = located(file, read(markdown))?;
    for step in runbook.sections.iter().filter_map(|section| section.step.as_ref()) {
        let checked = validate_step(step, catalogue).map_err(|error| {
            let place = &places[&step.id];
            // A key that is missing has no line of its own: the nearest that it would stand under has.
            let mut at = error.at.as_str();
            let line = loop {
                match (place.lines.get(at), at.rsplit_once('.')) {
                    (Some(line), _) => break *line,
                    (None, Some((above, _))) => at = above,
                    (None, None) => break place.line,
                }
            };
            (line, Problem::Step(error))
        });
        located(file, checked)?;
    }
    Ok(runbook)
}

/// Where a step stands.
struct Place {
    line: usize,
    lines: Lines,
}

type Places = BTreeMap<StepId, Place>;

fn located<T>(file: &str, outcome: At<T>) -> Result<T, RunbookError> {
    outcome.map_err(|(line, problem)| RunbookError { file: file.to_owned(), line, problem })
}

fn read(markdown: &str) -> At<(Runbook, Places)> {
    // CommonMark and YAML end a line with any of these; one of them is enough below.
    let text = markdown.strip_prefix('\u{feff}').unwrap_or(markdown).replace("\r\n", "\n").replace('\r', "\n");
    let source = Source { text: &text };
    if let Some(at) = text.find('\0') {
        return Err((source.line(at), Problem::Nul));
    }
    let (yaml_range, body) = source.front_matter()?;
    let front = fields::front(&yaml::read(&text[yaml_range.clone()], source.line(yaml_range.start))?)?;
    let outline = source.outline(body)?;
    let title = title(&source, &front, outline.title)?;
    no_twins(&source, &front.id, &outline.parts)?;
    let mut places = Places::new();
    let mut sections = Vec::with_capacity(outline.parts.len());
    for part in outline.parts {
        sections.push(section(&source, &front.id, part, &mut places)?);
    }
    if sections.is_empty() {
        return Err((source.line(text.len()), Problem::NoSection));
    }
    let Front { id, incident_type, severity, alerts, .. } = front;
    Ok((Runbook { id, title, incident_type, severity, alerts, sections }, places))
}

fn title(source: &Source<'_>, front: &Front, heading: Option<Named>) -> At<String> {
    match (&front.title, heading) {
        (Some(title), Some(heading)) if *title != heading.name => {
            let problem = Problem::TwoTitles { heading: heading.name, title: title.clone() };
            Err((source.line(heading.at), problem))
        }
        (Some(title), _) => Ok(title.clone()),
        (None, Some(heading)) => Ok(heading.name),
        (None, None) => Err((1, Problem::MissingKey { key: "title", what: "the runbook's title, here or as '# …'" })),
    }
}

/// Names are keys of rows, and slugs are ids of steps: neither may stand twice.
fn no_twins(source: &Source<'_>, runbook: &RunbookId, parts: &[Part]) -> At<()> {
    let twins = |a: &str, b: &str| {
        let slug = StepId::of(runbook, a);
        a.to_lowercase() == b.to_lowercase() || slug.is_ok() && slug == StepId::of(runbook, b)
    };
    for (i, part) in parts.iter().enumerate() {
        if let Some(first) = parts[..i].iter().find(|other| twins(&other.name, &part.name)) {
            let (name, first) = (part.name.clone(), source.line(first.at));
            return Err((source.line(part.at), Problem::SectionTwice { name, first }));
        }
    }
    Ok(())
}

fn section(source: &Source<'_>, runbook: &RunbookId, part: Part, places: &mut Places) -> At<Section> {
    let Part { name, at, body, step: block } = part;
    let line = source.line(at);
    let prose = block.as_ref().map_or(body.end, |block| block.range.start);
    // Blank lines go, indentation stays: four spaces are a code block.
    let content = skip_blank_lines(source.text[body.start..prose].trim_end()).to_owned();
    if content.is_empty() {
        return Err((line, Problem::EmptySection(name)));
    }
    let mut step: Option<Step> = None;
    if let Some(block) = block {
        let after = &source.text[block.range.end..body.end];
        if let Some(offset) = after.find(|c: char| !c.is_whitespace()) {
            return Err((source.line(block.range.end + offset), Problem::TextAfterStep));
        }
        let id = StepId::of(runbook, &name).map_err(|error| (line, error.into()))?;
        let first_line = source.line(block.yaml.start);
        let node = yaml::read(&source.text[block.yaml.clone()], first_line)?;
        let (read, lines) = fields::step(&node, id.clone())?;
        places.insert(id, Place { line: source.line(block.range.start), lines });
        step = Some(read);
    }
    Ok(Section { name, content, step })
}

fn skip_blank_lines(mut text: &str) -> &str {
    while let Some((first, rest)) = text.split_once('\n') {
        if !first.trim().is_empty() {
            break;
        }
        text = rest;
    }
    text
}

/// A heading's words, and where they stand.
struct Named {
    name: String,
    at: usize,
}

/// A section as a range of the file.
struct Part {
    name: String,
    at: usize,
    body: Range<usize>,
    step: Option<Block>,
}

/// A step's block: the whole fence, and the YAML in it.
struct Block {
    range: Range<usize>,
    yaml: Range<usize>,
}

/// The title and the sections of a file.
struct Outline {
    title: Option<Named>,
    parts: Vec<Part>,
}

/// A file's text; all positions are bytes into it.
struct Source<'t> {
    text: &'t str,
}

impl Source<'_> {
    /// The line of a position, from 1.
    fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1
    }

    /// The range of the front matter's YAML, and of what follows it.
    fn front_matter(&self) -> At<(Range<usize>, Range<usize>)> {
        let mut lines = self.text.split_inclusive('\n');
        let first = lines.next().filter(|line| line.trim_end() == "---").ok_or((1, Problem::NoFrontMatter))?;
        let mut at = first.len();
        for line in lines {
            if line.trim_end() == "---" {
                return Ok((first.len()..at, at + line.len()..self.text.len()));
            }
            at += line.len();
        }
        Err((1, Problem::OpenFrontMatter))
    }

    fn outline(&self, body: Range<usize>) -> At<Outline> {
        let mut title = None;
        let mut parts: Vec<Part> = Vec::new();
        let mut depth = 0_usize;
        for (event, range) in Parser::new_ext(&self.text[body.clone()], Options::empty()).into_offset_iter() {
            let range = body.start + range.start..body.start + range.end;
            match event {
                Event::Start(tag) => {
                    match tag {
                        Tag::Heading { level: HeadingLevel::H1, .. } if depth == 0 => {
                            let above = &self.text[body.start..range.start];
                            if title.is_some() || !parts.is_empty() || !above.trim().is_empty() {
                                return Err((self.line(range.start), Problem::LateTitle));
                            }
                            title = Some(Named { name: self.heading(&range)?, at: range.start });
                            parts.push(self.part(OVERVIEW.to_owned(), range.start, range.end, body.end));
                        }
                        Tag::Heading { level: HeadingLevel::H2, .. } if depth == 0 => {
                            let name = self.heading(&range)?;
                            self.close(&mut parts, body.start, range.start);
                            parts.push(self.part(name, range.start, range.end, body.end));
                        }
                        Tag::CodeBlock(CodeBlockKind::Fenced(info)) if says_step(&info) => {
                            let line = self.line(range.start);
                            if info.split_whitespace().ne(["yaml", "step"]) {
                                return Err((line, Problem::BadFence(info.to_string())));
                            }
                            if depth > 0 {
                                return Err((line, Problem::NestedStep));
                            }
                            if parts.is_empty() {
                                parts.push(self.part(OVERVIEW.to_owned(), body.start, body.start, body.end));
                            }
                            let block = self.block(range)?;
                            let part = parts.last_mut().expect("pushed just above");
                            if let Some(first) = &part.step {
                                return Err((line, Problem::StepTwice(self.line(first.range.start))));
                            }
                            part.step = Some(block);
                        }
                        _ => {}
                    }
                    depth += 1;
                }
                Event::End(_) => depth -= 1,
                _ => {}
            }
        }
        self.close(&mut parts, body.start, body.end);
        Ok(Outline { title, parts })
    }

    fn part(&self, name: String, at: usize, from: usize, to: usize) -> Part {
        Part { name, at, body: from..to, step: None }
    }

    /// End the last section at `to`, where the next one starts. Text above the first heading becomes a section.
    fn close(&self, parts: &mut Vec<Part>, from: usize, to: usize) {
        if parts.is_empty() {
            parts.push(self.part(OVERVIEW.to_owned(), from, from, to));
        }
        let only = parts.len() == 1;
        let last = parts.last_mut().expect("pushed just above");
        last.body.end = to;
        // The overview is not a heading that somebody wrote: when there is nothing in it, there is no overview.
        let written = self.text[last.at..last.body.start].starts_with("##");
        if only && !written && last.step.is_none() && self.text[last.body.clone()].trim().is_empty() {
            parts.clear();
        }
    }

    /// The words of a heading, as they are written between its signs.
    fn heading(&self, range: &Range<usize>) -> At<String> {
        let line = self.line(range.start);
        let text = self.text[range.clone()].trim();
        if !text.starts_with('#') {
            let words = text.lines().next().unwrap_or_default().trim();
            return Err((line, Problem::Underlined(words.to_owned())));
        }
        let words = text.trim_start_matches('#').trim();
        // A closing run of '#' is decoration when a space stands before it.
        let bare = words.trim_end_matches('#');
        let words = if bare.is_empty() || bare.ends_with([' ', '\t']) { bare.trim_end() } else { words };
        if words.is_empty() { Err((line, Problem::NoName)) } else { Ok(words.to_owned()) }
    }

    /// The block in this range, without its fences.
    fn block(&self, range: Range<usize>) -> At<Block> {
        let whole = self.text[range.clone()].trim_end();
        let fence = whole.as_bytes()[0];
        let width = whole.bytes().take_while(|b| *b == fence).count();
        let open = || (self.line(range.start), Problem::OpenStep);
        let (first, last) = whole.find('\n').zip(whole.rfind('\n')).ok_or_else(open)?;
        let closing = whole[last..].trim();
        if closing.len() < width || closing.bytes().any(|b| b != fence) {
            return Err(open());
        }
        Ok(Block { yaml: range.start + first + 1..range.start + last + 1, range })
    }
}

/// Whether an info string means a step, rightly written or not; ```` ```yaml ```` alone is an example for the reader.
fn says_step(info: &str) -> bool {
    info.split_whitespace().any(|word| word.to_ascii_lowercase().starts_with("step"))
}
