//! Running other programs, with errors that show what was run and what it said.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::error::{Doing, Error, Result};
use crate::place::{Place, make_dir};

/// Says in one line what happens next, and why where that is not plain.
pub fn step(text: &str) {
    println!("==> {text}");
}

/// Runs a program with its output in the terminal.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().doing(|| format!("run {}", shown(command)))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { command: shown(command), status: status.to_string(), output: String::new() })
}

/// Runs a program and gives what it printed to its standard output.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().doing(|| format!("run {}", shown(command)))?;
    accept(command, output)
}

/// Runs a program on this input and gives what it printed to its standard output.
pub fn capture_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(|| format!("run {}", shown(command)))?;
    let stdin = child.stdin.take();
    // A thread of its own, because a program that prints much before it reads all would otherwise wait for us for ever.
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that fails early closes its input; its exit status tells the story.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(input.as_bytes());
            }
        });
        child.wait_with_output()
    })
    .doing(|| format!("wait for {}", shown(command)))?;
    accept(command, output)
}

/// Whether a program runs and succeeds; its output is nobody's business.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether a program of this name can be found.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Cargo, in the project's directory, as a person would have called it.
///
/// Without what `cargo run` left in the environment for us: build scripts that watch such variables would run again
/// and again, each time with another value.
pub fn cargo(place: &Place) -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let from_cargo_run = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if text == "LD_LIBRARY_PATH" || from_cargo_run.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.current_dir(&place.repo).env("PGRX_HOME", place.pgrx_home());
    command
}

/// Renames a freshly written copy over `to`, unless `to` has the same bytes already.
///
/// Never written in place: a server that has the file mapped would die of it.
pub fn install(from: &Path, to: &Path) -> Result<bool> {
    let new = std::fs::read(from).doing(|| format!("read {}", from.display()))?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    if let Some(dir) = to.parent() {
        make_dir(dir)?;
    }
    let mut temporary = to.as_os_str().to_owned();
    temporary.push(format!(".new-{}", std::process::id()));
    let copied = std::fs::copy(from, &temporary).and_then(|_| {
        let executable = std::fs::metadata(from)?.permissions().mode() & 0o100 != 0;
        std::fs::set_permissions(&temporary, Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
    });
    copied.doing(|| format!("write {}", temporary.display()))?;
    std::fs::rename(&temporary, to).doing(|| format!("write {}", to.display()))?;
    Ok(true)
}

fn accept(command: &Command, output: Output) -> Result<String> {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    let _ = write!(said, "{printed}");
    Err(Error::Command { command: shown(command), status: output.status.to_string(), output: said })
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
