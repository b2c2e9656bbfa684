//! A runbook: a markdown file that an engineer enjoys reading, and its sections and steps as types.
//!
//! # The format
//!
//! ````markdown
//! ---
//! id: RB-001
//! title: Connection pool exhaustion
//! incident_type: ConnectionPoolExhaustion
//! severity: P1
//! alerts: [PgBouncerPoolExhausted]
//! ---
//!
//! What this is about. Text above the first section is a section named "Overview".
//!
//! ## Raise the pool size
//!
//! What the step does, when it helps and when it does not: a section is found by its prose.
//!
//! ```yaml step
//! tool: pgbouncer_set
//! parameters:
//!   server: pgbouncer
//!   setting: default_pool_size
//!   value: {min: 60, max: 120}
//! destructive: false
//! guard: SELECT …
//! verify: SELECT …
//! measure: SELECT …
//! rollback:
//!   tool: pgbouncer_set
//!   parameters: {server: pgbouncer, setting: default_pool_size, value: 50}
//! follow_up: Write the new size into pgbouncer.ini.
//! ```
//! ````
//!
//! - The front matter is YAML between two lines of `---`. `severity` and `alerts` may be left out, and so may `title`
//!   when a `# Title` stands above everything else. Where both are, they must say the same: the file has one title,
//!   and it is the field, not a section.
//! - A section starts with `##` at the top level of the document (CommonMark): not inside a code fence, a list or a
//!   quotation. Deeper headings belong to the section. Names differ, and so do their slugs.
//! - A section is a step when it ends with a fenced block whose info string is exactly `yaml step`. Any other block,
//!   one of plain `yaml` too, is prose. The block ends its section, so the prose is one piece and comes first.
//! - In the block, `tool` and `destructive` must be there; `parameters` must name every parameter of the tool. A
//!   parameter is fixed by a value, or left open within bounds: `{min, max}` or `{one_of}`, always complete.
//! - `guard`, `verify` and `measure` are queries, run read-only as `oncall_observer`. `guard` (before) and `verify` (after)
//!   say yes by one row of one column that is true. `measure` gives one row of figures; it is taken before and after, so
//!   that the audit row shows what the step changed. A time is a figure too: a query of the author's that reads the clock
//!   before and after what it probes. A measure that fails holds nothing up.
//! - `follow_up` is a sentence for the morning: what a person has to do so that the step lasts.
//! - An unknown key is an error everywhere: a `gaurd` that nobody reads is a guard that does not hold.
//!
//! [`parse`] reads this, [`parse_checked`] also checks the steps against the catalogue of tools; the errors of both
//! carry file and line. [`render`] writes it.

mod error;
mod fields;
mod parse;
mod render;
#[cfg(test)]
pub(crate) mod shipped;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::{Problem, RunbookError};
pub use parse::{parse, parse_checked};
pub use render::render;

use crate::alert::Severity;
use crate::ids::{RunbookId, StepId, ToolName};

/// A whole runbook, as one file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Runbook {
    /// `id:` of the front matter.
    pub id: RunbookId,
    /// `title:` of the front matter.
    pub title: String,
    /// `incident_type:`, the classification that this runbook stands for.
    pub incident_type: String,
    /// `severity:`, what such an incident usually is.
    pub severity: Option<Severity>,
    /// `alerts:`, the exact alert names that map to this runbook.
    pub alerts: Vec<String>,
    /// The sections, in the file's order.
    pub sections: Vec<Section>,
}

/// One section: the unit of retrieval, a row of `ops_runbooks`.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The heading, as it is written; "Overview" for the text above the first one.
    pub name: String,
    /// The text below it, markdown, without the step's block.
    pub content: String,
    /// The action that it carries, if any.
    pub step: Option<Step>,
}

/// A section's action: a tool, its bound parameters, and what must hold before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Who it is: runbook and section.
    pub id: StepId,
    /// The tool that does it.
    pub tool: ToolName,
    /// Each parameter of the tool: fixed here, or left open within bounds.
    #[serde(default)]
    pub parameters: BTreeMap<String, Binding>,
    /// Whether a person must approve it. The deterministic gate.
    pub destructive: bool,
    /// A query that must be true before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// A query that must be true after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<String>,
    /// A query that gives one row of figures, taken before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<String>,
    /// What undoes it, when `verify` fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// What a person has to do afterwards, so that it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<String>,
}

/// What a runbook says of one parameter: an object is bounds, anything else is the value itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Value")]
pub enum Binding {
    /// Open: chosen at run time within these bounds, which lie within the tool's own.
    Open(Bounds),
    /// Fixed by the runbook: a scalar, or a list of names for `columns`.
    Fixed(Value),
}

// Not by serde's own trial of one variant after the other: it would read the list of a `columns` as bounds, in order.
impl TryFrom<Value> for Binding {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, serde_json::Error> {
        if value.is_object() { serde_json::from_value(value).map(Self::Open) } else { Ok(Self::Fixed(value)) }
    }
}

/// The bounds of an open parameter; which of them apply depends on the parameter's type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The least value (`integer`, `interval`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// The greatest value (`integer`, `interval`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// The only values (`enum`, `identifier`, `relation`, `columns`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<Value>,
}

/// The call that undoes a step: a tool with every parameter fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The tool.
    pub tool: ToolName,
    /// Its parameters, all fixed.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
}
