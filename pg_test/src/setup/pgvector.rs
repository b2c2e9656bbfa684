//! pgvector: the distribution's package where there is one, else built from Debian trixie's source package.
//!
//! The source comes by apt, from the mirror that this machine uses already and signed by Debian's key, but through
//! lists and caches of our own: the machine's apt configuration is not touched, and root is not needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Tree, names, packages};
use crate::error::{Doing, Error, Result};
use crate::place::make_dir;
use crate::process::{capture, step};

/// The Debian release whose source package builds against Postgres 15 to 18.
const SUITE: &str = "trixie";

/// The key that signs Debian's archives, newer releases included.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Puts pgvector into the tree.
pub fn install_missing(tree: &Tree) -> Result<()> {
    if tree.extension_dir().join("vector.control").exists() {
        return Ok(());
    }
    let package = format!("postgresql-{}-pgvector", tree.server.major);
    if packages::offers(&package) {
        step(&format!("Installing {package}"));
        packages::install(&[&package])?;
        return Tree::prepare(&tree.place, &tree.server).map(drop);
    }
    step(&format!("Building pgvector from {SUITE}'s source package (this distribution has none)"));
    let source = fetch(tree)?;
    let make = |target: &str| {
        let mut make = Command::new("make");
        // The bitcode would need the clang that Postgres was built with, and serves JIT inlining only.
        make.arg("-C").arg(&source).args([target, "-j4", "with_llvm=no"]);
        make.arg(format!("PG_CONFIG={}", tree.server.pg_config.display()));
        make.arg(format!("DESTDIR={}", tree.root().display()));
        capture(&mut make)
    };
    make("all")?;
    make("install").map(drop)
}

/// Downloads and unpacks the source package, and gives its directory.
fn fetch(tree: &Tree) -> Result<PathBuf> {
    let dir = tree.place.target.join("pgvector");
    let _ = fs::remove_dir_all(&dir);
    for part in ["lists/partial", "cache/archives/partial", "source"] {
        make_dir(&dir.join(part))?;
    }
    let mirrors = debian_mirrors(&apt_sources());
    let mut refused = Vec::new();
    for mirror in &mirrors {
        let list = dir.join("debian.sources");
        let text = format!("Types: deb-src\nURIs: {mirror}\nSuites: {SUITE}\nComponents: main\nSigned-By: {KEYRING}\n");
        fs::write(&list, text).doing(|| format!("write {}", list.display()))?;
        let apt = |words: &[&str]| {
            let mut apt = Command::new("apt-get");
            apt.current_dir(dir.join("source"));
            apt.arg("-o").arg(format!("Dir::Etc::SourceList={}", list.display()));
            apt.arg("-o").arg("Dir::Etc::SourceParts=/dev/null");
            apt.arg("-o").arg(format!("Dir::State::Lists={}", dir.join("lists").display()));
            apt.arg("-o").arg(format!("Dir::Cache={}", dir.join("cache").display()));
            // apt's own unprivileged user need not be able to enter the checkout.
            apt.args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"]);
            capture(apt.args(words))
        };
        match apt(&["-o", "APT::Update::Error-Mode=any", "update"]).and_then(|_| apt(&["source", "pgvector"])) {
            Ok(_) => break,
            Err(error) => refused.push(error.to_string()),
        }
    }
    let unpacked = names(&dir.join("source")).into_iter().find(|name| dir.join("source").join(name).is_dir());
    let Some(unpacked) = unpacked else {
        return Err(Error::SetUp(format!(
            "pgvector is not installed, and its source package could not be had from the Debian mirrors in \
             this machine's apt sources ({}).\n\
             Install pgvector 0.5 or newer for this Postgres yourself and run this again.\n{}",
            if mirrors.is_empty() { "there are none".into() } else { mirrors.join(", ") },
            refused.join("\n"),
        )));
    };
    Ok(dir.join("source").join(unpacked))
}

/// The text of every apt source of this machine, each with whether it is in the deb822 format.
fn apt_sources() -> Vec<(String, bool)> {
    let parts = Path::new("/etc/apt/sources.list.d");
    let paths = names(parts).into_iter().map(|name| parts.join(name));
    let all = std::iter::once(PathBuf::from("/etc/apt/sources.list")).chain(paths);
    all.filter_map(|path| {
        let deb822 = path.extension().is_some_and(|extension| extension == "sources");
        Some((fs::read_to_string(path).ok()?, deb822))
    })
    .collect()
}

/// The addresses of Debian's own archive among them: those of component `main` whose path speaks of `debian`, and not
/// those of its security updates, which hold no other release's sources.
fn debian_mirrors(sources: &[(String, bool)]) -> Vec<String> {
    let mut mirrors: Vec<String> = Vec::new();
    for (text, deb822) in sources {
        let found = if *deb822 { from_stanzas(text) } else { from_lines(text) };
        for uri in found.into_iter().filter(|uri| uri.contains("/debian") && !uri.contains("security")) {
            if !mirrors.contains(&uri) {
                mirrors.push(uri);
            }
        }
    }
    mirrors
}

fn from_stanzas(text: &str) -> Vec<String> {
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut uris = Vec::new();
    for stanza in text.split(|line| line.trim().is_empty()) {
        let field = |name: &str| {
            let lines = stanza.iter().skip_while(|line| !line.to_ascii_lowercase().starts_with(name));
            // A field goes on in the lines that begin with a blank.
            let whole: Vec<&str> = lines
                .enumerate()
                .take_while(|(n, line)| *n == 0 || line.starts_with([' ', '\t']))
                .map(|(n, line)| if n == 0 { &line[name.len()..] } else { line })
                .collect();
            whole.join(" ").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        if field("components:").iter().any(|component| component == "main") {
            uris.extend(field("uris:"));
        }
    }
    uris
}

fn from_lines(text: &str) -> Vec<String> {
    let uri = |line: &str| {
        let rest = line.trim().strip_prefix("deb ")?.trim();
        // Options stand in brackets before the address.
        let rest = rest.strip_prefix('[').map_or(Some(rest), |options| Some(options.split_once(']')?.1))?;
        let mut words = rest.split_whitespace();
        let uri = words.next()?;
        words.skip(1).any(|component| component == "main").then(|| uri.to_owned())
    };
    text.lines().filter_map(uri).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_machines_own_and_neither_security_nor_another_vendor() {
        let deb822 = "Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm\n \
                      bookworm-updates\nComponents: main contrib\n\n\
                      Types: deb\nURIs: http://mirror.example/debian-security\n\
                      Suites: bookworm-security\nComponents: main\n\nTypes: deb\n\
                      URIs: https://vendor.example/linux/debian\nSuites: bookworm\nComponents: stable\n";
        let mirrors = debian_mirrors(&[(deb822.into(), true)]);
        assert_eq!(mirrors, ["http://mirror.example/debian"]);
    }

    #[test]
    fn one_line_sources_are_read_with_their_options_and_without_comments() {
        let list = "# deb http://old.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main\n\
                    deb-src http://source.example/debian bookworm main\n\
                    deb http://vendor.example/apt bookworm main\n";
        assert_eq!(debian_mirrors(&[(list.into(), false)]), ["http://mirror.example/debian"]);
    }
}
