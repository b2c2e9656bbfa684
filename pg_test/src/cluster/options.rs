//! What differs between one private server and another.

use std::fmt::Write as _;
use std::path::Path;

/// What a test may choose of its server.
#[derive(Debug, Clone)]
pub struct Options {
    preload: Option<String>,
    pub(super) durable: bool,
    tcp: bool,
    workers: bool,
    pub(super) keep: bool,
    settings: Vec<(String, String)>,
    pub(super) environment: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preload: Some("pg_oncall".into()),
            durable: false,
            tcp: false,
            workers: false,
            keep: false,
            settings: Vec::new(),
            environment: Vec::new(),
        }
    }
}

impl Options {
    /// Sets a parameter in `postgresql.conf`; the value needs no quotes.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// `shared_preload_libraries`, which is `pg_oncall` unless said otherwise; empty for none.
    pub fn preload(mut self, libraries: &str) -> Self {
        self.preload = Some(libraries.to_owned()).filter(|libraries| !libraries.is_empty());
        self
    }

    /// With fsync and on a disk, as in production: for benchmarks, the demo and the crash drill. Tests go without.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Listens on 127.0.0.1 as well.
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Goes on running when the [`Cluster`] is dropped.
    pub fn keep_running(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Lets the background workers run. Without this only sessions work, and a test sees what they alone do.
    pub fn workers(mut self) -> Self {
        self.workers = true;
        self
    }

    /// Puts a variable into the server's environment, which else holds only the path and the locale.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The lines for `postgresql.conf`.
    pub(super) fn configuration(&self, socket_dir: &Path, port: u16) -> String {
        let mut conf = String::new();
        let mut set = |name: &str, value: &str| {
            let _ = writeln!(conf, "{name} = '{}'", value.replace('\'', "''"));
        };
        set("port", &port.to_string());
        set("unix_socket_directories", &socket_dir.display().to_string());
        set("listen_addresses", if self.tcp { "127.0.0.1" } else { "" });
        set("shared_preload_libraries", self.preload.as_deref().unwrap_or_default());
        set("max_worker_processes", "16");
        if !self.workers {
            set("oncall.workers", "off");
        }
        set("log_line_prefix", "%m [%p] %q%u@%d ");
        if !self.durable {
            set("fsync", "off");
            set("full_page_writes", "off");
        }
        for (name, value) in &self.settings {
            set(name, value);
        }
        conf
    }
}
