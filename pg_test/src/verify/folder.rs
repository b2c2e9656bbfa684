//! The folder in which the servers of the tests lie, in memory where that can be.
//!
//! Each of more than two hundred servers is a copy of a thousand files that lives for a second or two. On a disk's file
//! system that takes three times as long, the more so the faster one follows the other: ext4 hands out no inode again
//! within five seconds, and searches on.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Doing, Result};
use crate::place::Place;
use crate::process::capture;
use crate::setup;

/// Where Linux has a file system in memory that everybody may write to.
const MEMORY: &str = "/dev/shm";

/// How much must be free of that file system, and of the memory itself, in MiB: twice what the tests were seen to take.
const ROOM: u64 = 2048;

/// The folder, removed when dropped.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes it. There is one for this checkout: what a run that was interrupted left there is removed by the next.
    pub fn new(place: &Place) -> Result<Self> {
        let lock = setup::lock(place, "verify.lock")?;
        let name = format!("{}-verify", place.own_name());
        let [memory, disk] = [Path::new(MEMORY), &std::env::temp_dir()].map(|parent| parent.join(&name));
        for left in [&memory, &disk] {
            let _ = fs::remove_dir_all(left);
        }
        let path = if has_room() { memory } else { disk };
        let made = DirBuilder::new().mode(0o755).create(&path);
        // The process' umask may have taken the right of the server's account to enter.
        let made = made.and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)));
        made.doing(|| format!("create {}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn has_room() -> bool {
    let told = capture(Command::new("df").args(["--block-size=1M", "--output=fstype,avail", MEMORY])).ok();
    let of_folder = told.and_then(|told| told.lines().nth(1)?.trim().strip_prefix("tmpfs")?.trim().parse().ok());
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let of_memory = available.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map(|kib| kib / 1024);
    [of_folder, of_memory].iter().all(|free| free.is_some_and(|free| free >= ROOM))
}
