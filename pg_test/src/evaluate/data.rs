//! Labelled alerts and the runbooks that they mean, one JSON object a line.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Everything of one folder.
#[derive(Debug, Clone)]
pub struct Data {
    /// `runbooks.jsonl`.
    pub runbooks: Vec<Runbook>,
    /// `alerts_dev.jsonl`: alerts that one of the runbooks is for.
    pub alerts: Vec<Alert>,
    /// `negatives_dev.jsonl`: alerts that none of the runbooks is for.
    pub negatives: Vec<Alert>,
}

/// One runbook.
#[derive(Debug, Clone, Deserialize)]
pub struct Runbook {
    /// Its id, unique in the file.
    pub runbook_id: String,
    /// Its title.
    pub title: String,
    /// The alert that it is for by name, where it says so.
    pub alertname: Option<String>,
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

/// One section of a runbook.
#[derive(Debug, Clone, Deserialize)]
pub struct Section {
    /// The heading.
    pub section: String,
    /// The text below it.
    pub content: String,
}

/// One alert.
#[derive(Debug, Clone, Deserialize)]
pub struct Alert {
    /// Its name, where it has one.
    #[serde(default)]
    pub alertname: Option<String>,
    /// The notification as it is sent, with the name.
    pub alert_text: String,
    /// Summary and description only.
    pub alert_text_noname: String,
    /// The ids of the runbooks that are right for it.
    pub gold: Vec<String>,
}

/// Why a folder cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is not there, or not readable.
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// A line is not what it should be: the file, the line from 1, and why.
    #[error("{0}:{1}: {2}")]
    Parse(PathBuf, usize, serde_json::Error),
    /// A file has no line.
    #[error("{0}: there is nothing in it")]
    Empty(PathBuf),
    /// An alert of `alerts_dev.jsonl` names no runbook that is there: its number from 1.
    #[error("alert {0} of alerts_dev.jsonl has no runbook in runbooks.jsonl")]
    NoRunbook(usize),
}

impl Data {
    /// Read the three files of `folder`.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let data = Self {
            runbooks: read_lines(&folder.join("runbooks.jsonl"))?,
            alerts: read_lines(&folder.join("alerts_dev.jsonl"))?,
            negatives: read_lines(&folder.join("negatives_dev.jsonl"))?,
        };
        let known = |alert: &Alert| data.runbooks.iter().any(|runbook| alert.gold.contains(&runbook.runbook_id));
        match data.alerts.iter().position(|alert| !known(alert)) {
            Some(at) => Err(Error::NoRunbook(at + 1)),
            None => Ok(data),
        }
    }
}

fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::Read(path.to_owned(), error))?;
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        all.push(serde_json::from_str(line).map_err(|error| Error::Parse(path.to_owned(), number, error))?);
    }
    if all.is_empty() { Err(Error::Empty(path.to_owned())) } else { Ok(all) }
}
