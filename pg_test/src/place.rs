//! Where things lie, and as whom the server runs.
//!
//! Postgres refuses to run as root. Root therefore runs it as `postgres` (or `nobody`), and what that account must read
//! lies where it can: below `target` if it gets there, else in a directory of our own below `/tmp`.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Doing, Error, Result};
use crate::process::{capture, succeeds};

/// The account that the server runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// Whoever runs this.
    Ours,
    /// We are root, and the server is this one.
    Other {
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

impl Account {
    /// Ourselves, unless we are root.
    pub fn find() -> Result<Self> {
        if !is_root()? {
            return Ok(Self::Ours);
        }
        for name in ["postgres", "nobody"] {
            let id = |flag| capture(Command::new("id").args([flag, name])).ok()?.trim().parse().ok();
            if let (Some(uid), Some(gid)) = (id("-u"), id("-g")) {
                return Ok(Self::Other { uid, gid });
            }
        }
        Err(Error::SetUp("Postgres refuses to run as root, and there is neither a user postgres nor nobody.".into()))
    }

    /// Whose a file or directory is: nobody else can stop the server whose data lie there.
    pub fn owning(path: &Path) -> Result<Self> {
        if !is_root()? {
            return Ok(Self::Ours);
        }
        let found = fs::metadata(path).doing(|| format!("look at {}", path.display()))?;
        Ok(Self::Other { uid: found.uid(), gid: found.gid() })
    }

    /// A command that this account will run, with nothing of our environment but the path and the locale.
    ///
    /// A server started with `RUST_BACKTRACE` set would put a backtrace into the detail of every error.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C.UTF-8").current_dir("/");
        for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Self::Other { uid, gid } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Makes a file or directory this account's own.
    pub fn give(&self, path: &Path) -> Result<()> {
        match self {
            Self::Ours => Ok(()),
            Self::Other { uid, gid } => std::os::unix::fs::chown(path, Some(*uid), Some(*gid))
                .doing(|| format!("give {} to the server's account", path.display())),
        }
    }

    /// Whether this account can enter a directory and list it, all its parents included.
    pub fn can_enter(&self, dir: &Path) -> bool {
        let test = "test -r \"$0\" && test -x \"$0\" && cd \"$0\"";
        *self == Self::Ours || succeeds(self.command("/bin/sh").args(["-c", test]).arg(dir))
    }
}

/// Whether we are root.
pub fn is_root() -> Result<bool> {
    Ok(capture(Command::new("id").arg("-u"))?.trim() == "0")
}

/// The directories of this checkout.
#[derive(Debug, Clone)]
pub struct Place {
    /// The checkout.
    pub repo: PathBuf,
    /// Cargo's target directory: builds, tools, whatever only we read.
    pub target: PathBuf,
    /// What the server's account reads as well.
    pub shared: PathBuf,
    /// The server's account.
    pub account: Account,
}

impl Place {
    /// Looks where we are, and makes the directories.
    pub fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repo = manifest.parent().unwrap_or(manifest).to_path_buf();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo.join("target"), |dir| repo.join(dir));
        make_dir(&target)?;
        let account = Account::find()?;
        let shared = if account.can_enter(&target) { target.clone() } else { own_dir_in_tmp(&repo)? };
        Ok(Self { repo, target, shared, account })
    }

    /// The pgrx home of this checkout, as `.cargo/config.toml` says it too.
    pub fn pgrx_home(&self) -> PathBuf {
        self.repo.join("target/pgrx")
    }

    /// A short name for a directory of ours among those of others.
    pub fn own_name(&self) -> String {
        own_name(&self.repo)
    }

    /// Where cargo-pgrx is installed when no other of the right version is there.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}

/// Makes a directory and its parents, readable by all whatever the umask says: the server's account may need it.
pub fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dir(parent)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::set_permissions(dir, fs::Permissions::from_mode(0o755)),
    }
    .doing(|| format!("create {}", dir.display()))
}

/// A directory below `/tmp` that belongs to us and that only we can write, the same one for the same checkout.
fn own_dir_in_tmp(repo: &Path) -> Result<PathBuf> {
    let dir = Path::new("/tmp").join(own_name(repo));
    match DirBuilder::new().mode(0o755).create(&dir) {
        // The process' umask may have taken the others' right to read.
        Ok(()) => fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))
            .doing(|| format!("open {} for reading", dir.display()))?,
        Err(_) => {
            // Anyone could have made it before us: then what is in it would run as us.
            let found = fs::symlink_metadata(&dir).doing(|| format!("create {}", dir.display()))?;
            if !found.is_dir() || found.uid() != 0 || found.mode() & 0o022 != 0 {
                return Err(Error::SetUp(format!("{} is not ours; remove it", dir.display())));
            }
        }
    }
    Ok(dir)
}

/// A short name that another checkout does not have.
fn own_name(repo: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    repo.hash(&mut hasher);
    format!("pg_oncall-{:08x}", hasher.finish() as u32)
}

/// Names the folder of scratch directories, where it is not that of temporary files. [`crate::verify`] sets it for the
/// tests that it runs.
pub const SCRATCH: &str = "PG_ONCALL_SCRATCH";

/// The folder that [`SCRATCH`] names.
pub fn scratch_folder() -> Option<PathBuf> {
    std::env::var_os(SCRATCH).map(PathBuf::from)
}

/// A directory of the server's account with a short path, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Makes one in the [`scratch_folder`], which may be in memory.
    pub fn new(account: &Account) -> Result<Self> {
        scratch_folder().map_or_else(|| Self::on_disk(account), |folder| Self::inside(folder, account))
    }

    /// Makes one among the temporary files.
    pub fn on_disk(account: &Account) -> Result<Self> {
        Self::inside(std::env::temp_dir(), account)
    }

    /// Short, because the path of a socket must fit in about 100 bytes.
    fn inside(wanted: PathBuf, account: &Account) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let fits = wanted.as_os_str().len() <= 60 && account.can_enter(&wanted);
        let parent = if fits { wanted } else { PathBuf::from("/tmp") };
        loop {
            let name = format!("oncall-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = parent.join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let scratch = Self { path, keep: false };
                    account.give(&scratch.path)?;
                    return Ok(scratch);
                }
                // Left by a killed process whose number we have now.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => {
                    return Err(Error::Io { doing: format!("create {}", path.display()), source });
                }
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Whether it will be left where it is.
    pub fn is_kept(&self) -> bool {
        self.keep
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
