//! Whether the extension compiles for the versions of Postgres whose headers are not here.
//!
//! pgrx ships the bindings that its documentation is built from. A wrapper around the compiler makes it use them, so
//! that types are checked against every version; what only shows at run time is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::error::{Doing, Result};
use crate::place::{Place, make_dir};
use crate::process::{cargo, run, step};
use crate::setup::Server;

/// pgrx-pg-sys with the bindings that it ships; they want unstable features of the compiler.
const WRAPPER: &str = r#"#!/bin/sh
case " $* " in
    *" --crate-name pgrx_pg_sys "*) RUSTC_BOOTSTRAP=1 exec "$@" --cfg docsrs ;;
    *) exec "$@" ;;
esac
"#;

/// Checks each version but the one that was built for real.
pub fn check(place: &Place, server: &Server) -> Result<()> {
    // A directory of its own: the other builds would else be thrown away and made again.
    let target = place.target.join("features");
    make_dir(&target)?;
    let wrapper = target.join("rustc_wrapper");
    if fs::read_to_string(&wrapper).ok().as_deref() != Some(WRAPPER) {
        fs::write(&wrapper, WRAPPER)
            .and_then(|()| fs::set_permissions(&wrapper, Permissions::from_mode(0o755)))
            .doing(|| format!("write {}", wrapper.display()))?;
    }
    for major in (15..=18).filter(|major| *major != server.major) {
        step(&format!("Feature pg{major}"));
        let mut clippy = cargo(place);
        clippy.args(["clippy", "--quiet", "-p", "pg_oncall", "--no-default-features"]);
        clippy.args(["--features", &format!("pg{major}"), "--", "-D", "warnings"]);
        clippy.env("DOCS_RS", "1").env("RUSTC_WRAPPER", &wrapper).env("CARGO_TARGET_DIR", &target);
        run(&mut clippy)?;
    }
    Ok(())
}
