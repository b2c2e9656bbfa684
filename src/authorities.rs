//! The authorities that sign the certificates of model servers and sinks, where those are the user's own.

use std::fs;
use std::path::Path;

use crate::settings;

/// The most bytes of the file: a bundle of all public authorities has a fifth of it.
const MOST_BYTES: u64 = 1024 * 1024;

/// What `oncall.ca_file` holds, read anew each time so that it can be renewed; none where it names no file.
///
/// It is looked at before it is opened: to open a pipe would wait for a writer, and nobody could end that.
pub fn now() -> Result<Option<Vec<u8>>, String> {
    let Some(file) = settings::ca_file() else { return Ok(None) };
    let cannot = |why: String| format!("the file of oncall.ca_file cannot be read: {why}");
    let about = fs::metadata(Path::new(&file)).map_err(|error| cannot(error.kind().to_string()))?;
    if !about.is_file() || about.len() > MOST_BYTES {
        return Err(cannot("it is no file, or longer than 1 MiB".to_owned()));
    }
    fs::read(&file).map(Some).map_err(|error| cannot(error.kind().to_string()))
}
