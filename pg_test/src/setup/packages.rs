//! The operating system's packages: what is missing is seen from files, and installed by apt.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{MAJORS, Server};
use super::{names, tools};
use crate::error::{Error, Result};
use crate::place::{Place, is_root};
use crate::process::{on_path, run, step, succeeds};

/// What apt runs as root: `$@` are the packages.
///
/// Installing Debian's server would also create a cluster `main` and start it, and the daemons that the tests start
/// for themselves would be started as services, now and at each boot. Nobody asked us for that: all of it is switched
/// off while we install, and the switches are taken away again. A `policy-rc.d` that is there already stays as it is.
/// What dpkg says of its hundreds of packages is shown only where it fails. On a machine that has just been started
/// the daily upgrade may be under way: we wait for it.
const INSTALL: &str = r#"
set -e
dir=/etc/postgresql-common/createcluster.d
policy=/usr/sbin/policy-rc.d
[ -d $dir ] || made=yes
[ -e $policy ] || ours=yes
log=$(mktemp)
trap 'rm -f $dir/pg_oncall.conf $log
      [ -z "$made" ] || rmdir --ignore-fail-on-non-empty $dir
      [ -z "$ours" ] || rm -f $policy' EXIT
mkdir -p $dir
echo "create_main_cluster = off" > $dir/pg_oncall.conf
[ -z "$ours" ] || { echo "exit 101" | sed "1i #!/bin/sh" > $policy; chmod 755 $policy; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 "$@" > $log 2>&1 || { cat $log >&2; exit 1; }
for package in "$@"; do
    case $package in
        pgbouncer | prometheus | prometheus-*) update-rc.d "$package" disable > /dev/null ;;
    esac
done
"#;

/// The daemons of an alert's way, with what the tests want each for. Their programs have the packages' names.
const DAEMONS: [(&str, &str); 4] = [
    ("pgbouncer", "the pool that an incident exhausts"),
    ("prometheus", "notices it"),
    ("prometheus-alertmanager", "sends the webhook"),
    ("prometheus-postgres-exporter", "measures, for Prometheus"),
];

/// Installs what is missing and gives the Postgres to build for.
pub fn install_missing(place: &Place) -> Result<Server> {
    let before = Server::find();
    let missing = missing(place, before.as_ref());
    if missing.is_empty() {
        return before.ok_or_else(|| unusable("no pg_config was found"));
    }
    let why: Vec<String> = missing.iter().map(|(package, why)| format!("    {package:28} {why}")).collect();
    step(&format!("Installing packages that are missing, and what they need:\n{}", why.join("\n")));
    install(&missing.iter().map(|(package, _)| package.as_str()).collect::<Vec<_>>())?;
    Server::find()
        .filter(|server| server.has_headers() && server.has_programs())
        .ok_or_else(|| unusable("it is still not complete after the installation"))
}

/// Installs these packages as root, ourselves or by sudo.
pub fn install(packages: &[&str]) -> Result<()> {
    let by_hand = format!("install them yourself and run this again:\n    apt-get install {}", packages.join(" "));
    if !on_path("apt-get") {
        return Err(Error::SetUp(format!("There is no apt-get here; {by_hand}")));
    }
    let Some(mut command) = as_root(INSTALL)? else {
        return Err(Error::SetUp(format!(
            "Packages are missing, and this is neither root nor is there sudo; {by_hand}"
        )));
    };
    run(command.arg("sh").args(packages))
        .map_err(|_| Error::SetUp(format!("apt-get could not install the packages (see above); {by_hand}")))
}

/// A shell script to be run as root, by ourselves or by sudo; none where there is no sudo.
fn as_root(script: &str) -> Result<Option<Command>> {
    let mut command = if is_root()? {
        Command::new("/bin/sh")
    } else if on_path("sudo") {
        let mut sudo = Command::new("sudo");
        sudo.arg("/bin/sh");
        sudo
    } else {
        return Ok(None);
    };
    command.args(["-c", script]);
    Ok(Some(command))
}

/// The packages that are missing, each with what it is for.
fn missing(place: &Place, server: Option<&Server>) -> Vec<(String, &'static str)> {
    let mut missing = Vec::new();
    let mut need = |there: bool, package: &str, why| {
        if !there {
            missing.push((package.to_owned(), why));
        }
    };
    let major = server.map_or_else(offered_major, |server| server.major);
    let contrib = server.is_none_or(|server| {
        server.bindir.join("pgbench").exists() && server.sharedir.join("extension/dblink.control").exists()
    });
    need(server.is_some_and(Server::has_programs), &format!("postgresql-{major}"), "the server");
    // Debian's server has them; where they are a package of their own, that is it.
    need(contrib, "postgresql-contrib", "dblink and pgbench");
    need(server.is_some_and(Server::has_headers), &format!("postgresql-server-dev-{major}"), "its headers");
    let cron = server.is_some_and(|server| server.sharedir.join("extension/pg_cron.control").exists());
    need(cron, &format!("postgresql-{major}-cron"), "pg_cron, for chores on a schedule");
    need(on_path("cc") && on_path("make"), "build-essential", "a C compiler and make, for pgvector and the linker");
    need(has_libclang(), "libclang-dev", "reads Postgres' headers for pgrx");
    if !tools::has_cargo_pgrx(place) {
        need(on_path("pkg-config"), "pkg-config", "finds OpenSSL when cargo-pgrx is built");
        need(has_openssl_headers(), "libssl-dev", "OpenSSL's headers, for cargo-pgrx");
    }
    need(has_venv(), "python3-venv", "a real model server for the tests, llama.cpp, comes as Python wheels");
    for (program, why) in DAEMONS {
        need(daemon(program).is_some(), program, why);
    }
    missing
}

/// The first major that we have a feature for and this distribution has a package of: Debian 12 has 15, Debian 13 has 17.
fn offered_major() -> u32 {
    fetch_lists();
    MAJORS.into_iter().find(|major| is_offered(&format!("postgresql-{major}"))).unwrap_or(MAJORS[0])
}

/// Whether this distribution has a package of that name.
pub fn offers(package: &str) -> bool {
    fetch_lists();
    is_offered(package)
}

fn is_offered(package: &str) -> bool {
    on_path("apt-cache") && succeeds(Command::new("apt-cache").args(["show", package]))
}

/// The image of a container comes without lists of packages: fetches them then, so that what is offered can be asked.
fn fetch_lists() {
    let there = names(Path::new("/var/lib/apt/lists")).iter().any(|name| name.contains("_Packages"));
    if there || !on_path("apt-get") {
        return;
    }
    // Where it fails nothing is offered; the installation tries again, and says what is wrong.
    if let Ok(Some(mut update)) = as_root("apt-get update -qq") {
        let _ = run(&mut update);
    }
}

/// Where a daemon's program is: `/usr/sbin` need not be on a person's path.
pub fn daemon(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    dirs.map(|dir| dir.join(program)).find(|program| program.is_file())
}

/// libclang and the headers that come with the compiler, where Debian, and `LIBCLANG_PATH`, put them.
fn has_libclang() -> bool {
    let has_library = |dir: &Path| names(dir).iter().any(|name| name.starts_with("libclang") && name.contains(".so"));
    if std::env::var_os("LIBCLANG_PATH").is_some() || cfg!(target_os = "macos") {
        return true;
    }
    let usr_lib = Path::new("/usr/lib");
    let llvm = names(usr_lib).into_iter().filter(|name| name.starts_with("llvm")).map(|name| usr_lib.join(name));
    llvm.into_iter().any(|dir| {
        let lib = dir.join("lib");
        let builtin = names(&lib.join("clang"));
        has_library(&lib) && builtin.iter().any(|v| lib.join("clang").join(v).join("include/stddef.h").exists())
    }) || (has_library(Path::new("/usr/lib64")) && on_path("clang"))
}

/// Debian's Python has neither pip nor what makes environments of its own; it has both with `ensurepip`.
fn has_venv() -> bool {
    succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

fn has_openssl_headers() -> bool {
    on_path("pkg-config") && succeeds(Command::new("pkg-config").args(["--exists", "openssl"]))
}

fn unusable(why: &str) -> Error {
    Error::SetUp(format!(
        "No usable Postgres 15 to 18: {why}.\nInstall one with its server headers and name its pg_config in PG_CONFIG."
    ))
}
