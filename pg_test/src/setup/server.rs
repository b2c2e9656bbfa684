//! The Postgres of this machine: where its programs, libraries and headers are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::capture;

/// The majors that the extension has a feature for, in the order in which we look.
pub const MAJORS: [u32; 4] = [15, 16, 17, 18];

/// An installed Postgres, as its `pg_config` tells it.
#[derive(Debug, Clone)]
pub struct Server {
    /// The program that told.
    pub pg_config: PathBuf,
    /// Such as `PostgreSQL 15.20 (Debian 15.20-0+deb12u1)`.
    pub version: String,
    /// Such as 15.
    pub major: u32,
    /// `postgres`, `initdb`, `psql`.
    pub bindir: PathBuf,
    /// Loadable libraries.
    pub pkglibdir: PathBuf,
    /// Templates, time zones, and `extension/`.
    pub sharedir: PathBuf,
    /// `postgres.h`.
    pub headers: PathBuf,
    /// The test drivers, `regress/pg_regress` and `isolation/pg_isolation_regress`.
    pub test_drivers: PathBuf,
}

impl Server {
    /// The one that `PG_CONFIG` names, else Debian's, else the one on the path; with or without its headers.
    pub fn find() -> Option<Self> {
        if let Some(named) = std::env::var_os("PG_CONFIG") {
            return Self::ask(Path::new(&named));
        }
        let debian = MAJORS.map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/pg_config")));
        let known: Vec<Self> = debian.iter().filter_map(|path| Self::ask(path)).collect();
        let complete = known.iter().find(|server| server.has_headers() && server.has_programs());
        complete.cloned().or_else(|| known.into_iter().next()).or_else(|| Self::ask(Path::new("pg_config")))
    }

    fn ask(pg_config: &Path) -> Option<Self> {
        let ask = |flag| capture(Command::new(pg_config).arg(flag)).ok().map(|text| text.trim().to_owned());
        let version = ask("--version")?;
        let major = major_of(&version).filter(|major| MAJORS.contains(major))?;
        let pgxs = PathBuf::from(ask("--pgxs")?);
        let bindir = PathBuf::from(ask("--bindir")?);
        let own = bindir.join("pg_config");
        Some(Self {
            // Debian's /usr/bin/pg_config speaks for whatever version is the newest.
            pg_config: if own.exists() { own } else { pg_config.to_path_buf() },
            version,
            major,
            bindir,
            pkglibdir: ask("--pkglibdir")?.into(),
            sharedir: ask("--sharedir")?.into(),
            headers: ask("--includedir-server")?.into(),
            test_drivers: pgxs.parent()?.parent()?.join("test"),
        })
    }

    /// Whether extensions can be compiled against it.
    pub fn has_headers(&self) -> bool {
        self.headers.join("postgres.h").exists() && self.headers.join("fmgr.h").exists()
    }

    /// Whether the server itself is there, not only the client.
    pub fn has_programs(&self) -> bool {
        ["postgres", "initdb", "pg_ctl", "psql"].iter().all(|program| self.bindir.join(program).exists())
    }

    /// The extension's Cargo feature for this version.
    pub fn feature(&self) -> String {
        format!("pg{}", self.major)
    }
}

fn major_of(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        assert_eq!(major_of("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"), Some(15));
        assert_eq!(major_of("PostgreSQL 18beta2"), Some(18));
        assert_eq!(major_of("nonsense"), None);
    }
}
