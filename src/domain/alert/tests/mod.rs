//! What comes out of real payloads. The fixtures with `captured` in their names were recorded from Alertmanager 0.25;
//! the others were written by hand after each sender's documentation.

mod properties;
mod same_story;
mod sources;

use std::path::PathBuf;

use serde_json::Value;

use super::{Alert, normalise};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("alert/payloads")
}

/// The payload in `payloads/<name>.json`.
fn payload(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(name)).expect(name)
}

/// Every payload in `payloads/`, with its name.
fn payloads() -> Vec<(String, Value)> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the folder of the payloads")
        .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), payload(&name))).collect()
}

/// The one alert of a payload.
fn only(payload: &Value) -> Alert {
    let mut alerts = normalise(payload).unwrap_or_else(|error| panic!("{error}\n{payload}"));
    assert_eq!(alerts.len(), 1);
    alerts.remove(0)
}

/// The one alert of a fixture.
fn alert(name: &str) -> Alert {
    only(&payload(name))
}
