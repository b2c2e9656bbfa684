//! From a machine with a Rust toolchain to a Postgres that has the extension, step by step.
//!
//! Each step looks at files to see whether it is done, so that a repetition costs next to nothing. The system's
//! Postgres is only read: see [`tree`].

pub mod extension;
pub mod packages;
pub mod pgvector;
pub mod server;
pub mod tools;
pub mod tree;

use std::fs::{self, File};
use std::sync::OnceLock;

use crate::error::{Doing, Error, Result};
use crate::place::Place;

pub use server::Server;
pub use tree::Tree;

/// Set by [`crate::verify`] for the tests that it runs: all is prepared, do not look again.
pub const PREPARED: &str = "PG_ONCALL_PREPARED";

/// What compiling against Postgres takes: its headers, the tools, and where pgrx finds both.
pub fn prepare_tools(place: &Place) -> Result<Server> {
    let server = packages::install_missing(place)?;
    tools::install_cargo_pgrx(place)?;
    tools::write_pgrx_config(place, &server)?;
    Ok(server)
}

/// Everything: packages, tools, the private tree with pgvector in it, and the extension, built and installed there.
pub fn prepare() -> Result<Tree> {
    let place = Place::find()?;
    let _lock = lock(&place, "prepare.lock")?;
    let server = prepare_tools(&place)?;
    // The packages bring the account `postgres`, as which root runs the server from now on.
    let place = Place::find()?;
    let tree = Tree::prepare(&place, &server)?;
    pgvector::install_missing(&tree)?;
    extension::build_and_install(&tree)?;
    Ok(tree)
}

/// The prepared tree, once a process: how a test gets it.
pub fn prepared() -> Result<&'static Tree> {
    static TREE: OnceLock<std::result::Result<Tree, String>> = OnceLock::new();
    let tree = TREE.get_or_init(|| {
        let tree = if std::env::var_os(PREPARED).is_some() { existing() } else { prepare() };
        tree.map_err(|error| error.to_string())
    });
    tree.as_ref().map_err(|error| Error::SetUp(error.clone()))
}

fn existing() -> Result<Tree> {
    let place = Place::find()?;
    let server = Server::find().ok_or_else(|| Error::SetUp("Postgres is gone: unset PG_ONCALL_PREPARED".into()))?;
    Tree::prepare(&place, &server)
}

/// Waits until no other process has this lock: two at once would write into the same directories.
pub fn lock(place: &Place, name: &str) -> Result<File> {
    let path = place.target.join(name);
    let file = File::create(&path).doing(|| format!("create {}", path.display()))?;
    file.lock().doing(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// The names in a directory, sorted; none if it is not there.
fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    names
}
