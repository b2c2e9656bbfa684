//! A private installation tree: the system's Postgres, seen through links, with our extensions beside it.
//!
//! A Postgres finds its libraries and its share directory relative to its own program. So the programs are copied, the
//! rest is linked, and whatever we install stands only here: other servers of the machine never see it, and rebuilding
//! the extension never replaces a library that one of them has mapped.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use super::{Server, names};
use crate::error::{Doing, Result};
use crate::place::{Account, Place, Scratch, make_dir};
use crate::process::{capture, install, step};

/// The tree, and where it came from.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Where we are.
    pub place: Place,
    /// The Postgres that it mirrors.
    pub server: Server,
    root: PathBuf,
}

impl Tree {
    /// Makes the tree if it is not there, and links what the system's Postgres has gained since.
    pub fn prepare(place: &Place, server: &Server) -> Result<Self> {
        let root = place.shared.join(format!("pg{}", server.major)).join(stamp(server));
        let tree = Self { place: place.clone(), server: server.clone(), root };
        if !tree.bindir().join("postgres").exists() {
            step(&format!("Making a private installation tree of {} in {}", server.version, tree.root.display()));
        }
        link_all(&server.pkglibdir, &tree.pkglibdir())?;
        link_all(&server.sharedir, &tree.sharedir())?;
        link_all(&server.sharedir.join("extension"), &tree.extension_dir())?;
        tree.copy_programs()?;
        Ok(tree)
    }

    /// The path inside of the tree for one outside.
    pub fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// `postgres`, `initdb`, `psql`.
    pub fn bindir(&self) -> PathBuf {
        self.inside(&self.server.bindir)
    }

    /// Loadable libraries.
    pub fn pkglibdir(&self) -> PathBuf {
        self.inside(&self.server.pkglibdir)
    }

    /// Templates and time zones.
    pub fn sharedir(&self) -> PathBuf {
        self.inside(&self.server.sharedir)
    }

    /// Control files and scripts.
    pub fn extension_dir(&self) -> PathBuf {
        self.sharedir().join("extension")
    }

    /// The directory into which `make install` and `cargo pgrx package` install with absolute paths.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The project's runbooks, where the server's account can read them.
    pub fn runbooks(&self) -> Result<PathBuf> {
        let original = self.place.repo.join("runbooks");
        if self.place.account.can_enter(&original) {
            return Ok(original);
        }
        let copy = self.place.shared.join("runbooks");
        make_dir(&copy)?;
        for gone in names(&copy).into_iter().filter(|name| !original.join(name).exists()) {
            let _ = fs::remove_file(copy.join(gone));
        }
        for name in names(&original).iter().filter(|name| name.ends_with(".md")) {
            install(&original.join(name), &copy.join(name))?;
        }
        Ok(copy)
    }

    /// A data directory as `initdb` leaves it, to be copied: that is five times as fast as to make one.
    pub fn template(&self) -> Result<PathBuf> {
        let account = &self.place.account;
        // A server does not start from data that belong to another: root's was nobody's until there was a postgres.
        let template = self.root.join(match account {
            Account::Ours => "template".to_owned(),
            Account::Other { uid, .. } => format!("template-of-{uid}"),
        });
        if template.exists() {
            return Ok(template);
        }
        let scratch = Scratch::new(account)?;
        let fresh = scratch.path().join("data");
        let mut initdb = account.command(self.bindir().join("initdb"));
        initdb.args(["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D"]);
        capture(initdb.arg(&fresh))?;
        // Several tests may be here at once: each makes its own, and the first to rename wins.
        let mine = self.root.join(format!("template-{}", scratch.path().file_name().unwrap_or_default().display()));
        capture(Command::new("cp").arg("-a").arg(&fresh).arg(&mine))?;
        if fs::rename(&mine, &template).is_err() {
            let _ = fs::remove_dir_all(&mine);
        }
        Ok(template)
    }

    fn copy_programs(&self) -> Result<()> {
        make_dir(&self.bindir())?;
        let (from, to) = (&self.server.bindir, self.bindir());
        // `postgres` comes last: its presence says that the tree is complete.
        let mut programs = names(from);
        programs.sort_by_key(|name| name == "postgres");
        for name in programs {
            if !to.join(&name).exists() {
                install(&from.join(&name), &to.join(&name))?;
            }
        }
        Ok(())
    }
}

/// Changes with an upgrade of the system's Postgres: its programs and libraries must be of one version.
fn stamp(server: &Server) -> String {
    let mut hasher = DefaultHasher::new();
    server.version.hash(&mut hasher);
    server.bindir.hash(&mut hasher);
    let written = fs::metadata(server.bindir.join("postgres")).and_then(|file| file.modified());
    written.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).hash(&mut hasher);
    format!("tree-{:08x}", hasher.finish() as u32)
}

/// Links each entry of a directory into another, except `extension/`, where we put files of our own.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    make_dir(to)?;
    for name in names(to) {
        // A package was removed: a dangling control file would be an error in pg_available_extensions.
        let path = to.join(&name);
        if path.is_symlink() && !path.exists() {
            fs::remove_file(&path).doing(|| format!("remove {}", path.display()))?;
        }
    }
    for name in names(from).iter().filter(|name| *name != "extension") {
        match symlink(from.join(name), to.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).doing(|| format!("link {name} into {}", to.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
