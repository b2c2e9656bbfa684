//! What can be wrong with a runbook's file, and where.

use crate::ids::InvalidId;
use crate::tool::StepError;

/// A defect of a runbook, at a line of its file: `RB-001.md:17: there is no key 'gaurd' here; …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct RunbookError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a runbook, and what is allowed instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Postgres' text holds no NUL.
    #[error("the file holds a NUL character")]
    Nul,
    /// The first line is not `---`.
    #[error("a runbook starts with YAML front matter between two lines of '---'")]
    NoFrontMatter,
    /// No second `---`.
    #[error("the front matter has no end: a line of '---'")]
    OpenFrontMatter,
    /// Not YAML, or a part of YAML that has no use here.
    #[error("the YAML cannot be read: {0}")]
    Yaml(String),
    /// A key twice.
    #[error("key '{0}' stands twice")]
    KeyTwice(String),
    /// A key that nobody reads.
    #[error("there is no key '{key}' here; there are {}", allowed.join(", "))]
    UnknownKey {
        /// The key.
        key: String,
        /// What there is.
        allowed: &'static [&'static str],
    },
    /// A key that must be there.
    #[error("key '{key}' is missing: {what}")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// What it says.
        what: &'static str,
    },
    /// A value of another kind.
    #[error("'{key}' should be {expected}, not {found}")]
    WrongValue {
        /// The key.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Not an id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// An alert's name twice.
    #[error("alert '{0}' stands twice")]
    AlertTwice(String),
    /// `#` says another title than `title:`.
    #[error("the heading says '{heading}' where 'title' says '{title}': leave one out, or make them the same")]
    TwoTitles {
        /// The heading.
        heading: String,
        /// The front matter's.
        title: String,
    },
    /// A `#` heading that is not the first thing.
    #[error("only the title, above all sections, has one '#'; a section starts with '##'")]
    LateTitle,
    /// A heading that is underlined.
    #[error("write a section's heading as '## {0}', not underlined")]
    Underlined(String),
    /// A heading without words.
    #[error("a section needs a name")]
    NoName,
    /// Two sections of one name, or of names that differ in signs and capitals only.
    #[error("section '{name}' has the name, or the slug, of the section at line {first}")]
    SectionTwice {
        /// The later one.
        name: String,
        /// The line of the earlier one.
        first: usize,
    },
    /// A section without prose.
    #[error("section '{0}' says nothing: a section is found by its prose")]
    EmptySection(String),
    /// Nothing but front matter.
    #[error("there is no section: '##' and a name start one")]
    NoSection,
    /// An info string that looks like a step's.
    #[error("a step's block opens with ```yaml step, not ```{0}")]
    BadFence(String),
    /// A step's block inside a list or a quotation.
    #[error("a step's block stands by itself, not inside a list or a quotation")]
    NestedStep,
    /// A step's block without its end.
    #[error("a step's block has no end: a line of ```")]
    OpenStep,
    /// A second step in one section.
    #[error("a section has one step at most; the first is at line {0}")]
    StepTwice(usize),
    /// Text below a step's block.
    #[error("a step's block ends its section: put this text above it")]
    TextAfterStep,
    /// The step does not fit the catalogue.
    #[error(transparent)]
    Step(#[from] StepError),
}
