//! Servers that begin where most tests would first have to get: with the extension, and with its runbooks.
//!
//! Like the data directory that `initdb` leaves, theirs are made once and copied. [`crate::verify`] makes them, in the
//! folder of its scratch directories; a test that is run without it gets there by itself. That the way there works has
//! tests of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use postgres::Client;

use crate::cluster::{Cluster, Options};
use crate::error::{Doing, Result};
use crate::place::scratch_folder;
use crate::process::capture;
use crate::setup::{self, Tree};

/// How far the database `postgres` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// It has the extension.
    Extension,
    /// It has the shipped runbooks too, embedded by the builtin embedder.
    Runbooks,
}

impl Ready {
    /// Starts a server that is so far.
    pub fn start(self, options: &Options) -> Result<Cluster> {
        let tree = setup::prepared()?;
        let kept = scratch_folder().map(|folder| self.kept_in(&folder)).filter(|data| data.exists());
        if let Some(data) = kept {
            return Cluster::start_from(&data, tree, options);
        }
        let cluster = Cluster::start_in(tree, options)?;
        install(&cluster)?;
        if self == Self::Runbooks {
            load_runbooks(tree, &mut cluster.client()?)?;
        }
        Ok(cluster)
    }

    /// Makes the data directories that will be copied.
    pub fn keep(tree: &Tree, folder: &Path) -> Result<()> {
        let mut cluster = Cluster::start_in(tree, &Options::default())?;
        install(&cluster)?;
        Self::Extension.keep_data(&mut cluster, folder)?;
        cluster.restart("INT")?;
        load_runbooks(tree, &mut cluster.client()?)?;
        Self::Runbooks.keep_data(&mut cluster, folder)
    }

    fn keep_data(self, cluster: &mut Cluster, folder: &Path) -> Result<()> {
        cluster.stop("INT")?;
        let kept = self.kept_in(folder);
        capture(Command::new("cp").arg("-a").arg(cluster.data()).arg(&kept))?;
        // The settings of this server are not those of the next.
        let (pristine, conf) = (cluster.tree().template()?, "postgresql.conf");
        fs::copy(pristine.join(conf), kept.join(conf)).doing(|| format!("write {}", kept.join(conf).display()))?;
        Ok(())
    }

    fn kept_in(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Extension => "extension",
            Self::Runbooks => "runbooks",
        })
    }
}

fn install(cluster: &Cluster) -> Result<()> {
    Ok(cluster.client()?.batch_execute("CREATE EXTENSION pg_oncall CASCADE")?)
}

/// Loads the shipped runbooks in this session.
pub fn load_runbooks(tree: &Tree, client: &mut Client) -> Result<()> {
    let directory = tree.runbooks()?.display().to_string();
    client.query("SELECT * FROM oncall.load_runbooks($1)", &[&directory])?;
    Ok(())
}
