//! Files that hold a secret: regular ones that nobody but the server's user may read.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Why a file gives no secret. It names neither the file nor what it holds.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("cannot be read: {}", .0.kind())]
    Io(#[from] io::Error),
    #[error("names no file")]
    NoFile,
    #[error("is open to others: chmod 0600")]
    OpenToOthers,
    #[error("is too long for a secret")]
    TooLong,
}

/// The most bytes of such a file.
const MOST_BYTES: u64 = 16 * 1024;

/// What the file holds.
///
/// It is looked at before it is opened: to open a pipe would wait for a writer, and nobody could end that.
pub fn read(file: &Path) -> Result<String, Unreadable> {
    let about = fs::metadata(file)?;
    if !about.is_file() {
        return Err(Unreadable::NoFile);
    }
    if about.permissions().mode() & 0o077 != 0 {
        return Err(Unreadable::OpenToOthers);
    }
    if about.len() > MOST_BYTES {
        return Err(Unreadable::TooLong);
    }
    Ok(fs::read_to_string(file)?)
}
