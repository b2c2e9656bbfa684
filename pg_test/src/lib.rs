//! Everything around the extension that is not the extension: set-up, private clusters, the demo, the tests.
//!
//! Plain Rust without pgrx, so that it compiles where nothing but a Rust toolchain and a C compiler is installed;
//! [`setup`] then installs what is missing. Tests begin with [`Cluster::start`].

pub mod bench;
pub mod cluster;
pub mod crash;
pub mod demo;
pub mod error;
pub mod evaluate;
pub mod lab;
pub mod llama;
pub mod place;
pub mod process;
pub mod ready;
pub mod setup;
pub mod stub_pod;
pub mod stub_sink;
pub mod tls_front;
pub mod verify;

pub use cluster::{Cluster, Options};
pub use error::{Error, Result};
pub use ready::Ready;
