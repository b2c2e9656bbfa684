//! Who may have ended the pump: what was in hand when it died.
//!
//! An incident whose treatment kills the process would kill it again after each restart, so attempts are counted. But a
//! death ends hundreds of conversations, nearly all of which only waited. What is polled, and what an executor works
//! for, is therefore written into a file before it begins and taken out after it: a killed process leaves it there, where
//! shared memory is gone with a crash. Not a table: it must not wait for a commit.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::future::{Future, poll_fn};
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::rc::Rc;

use crate::backend::process;

/// How many can be written down at once: the one that is polled, and one for each executor.
const PLACES: usize = 65;

/// The file, and what stands in it.
#[derive(Clone)]
pub struct Suspects(Rc<Inner>);

struct Inner {
    /// None where it cannot be written: then everybody who was at work is under suspicion.
    file: Option<File>,
    places: RefCell<[i64; PLACES]>,
}

/// A place in the file, given back when this is dropped.
pub struct Suspect {
    suspects: Suspects,
    place: Option<usize>,
}

impl Suspects {
    /// Open the file of this database; and the work that a dead pump has left in it, or nothing where nobody can say.
    pub fn open() -> (Self, Option<Vec<i64>>) {
        // Beside the statistics, as other extensions keep their files; the process stands in the data directory.
        let path = format!("pg_stat/pg_oncall.{}.in_hand", process::my_database());
        let left = match fs::read(&path) {
            Ok(bytes) => Some(
                bytes
                    .chunks_exact(8)
                    .map(|id| i64::from_ne_bytes(id.try_into().unwrap_or_default()))
                    .filter(|id| *id != 0)
                    .collect(),
            ),
            Err(_) => None,
        };
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let file = file.inspect_err(|error| pgrx::warning!("pg_oncall: {path} cannot be written: {error}")).ok();
        if let Some(file) = &file {
            let _ = file.write_all_at(&[0; PLACES * 8], 0);
        }
        (Self(Rc::new(Inner { file, places: RefCell::new([0; PLACES]) })), left)
    }

    /// Write down that this work is in hand, until the answer is dropped.
    pub fn hold(&self, work: i64) -> Suspect {
        let place = self.0.places.borrow().iter().position(|held| *held == 0);
        if let Some(place) = place {
            self.put(place, work);
        }
        Suspect { suspects: self.clone(), place }
    }

    /// Poll a future with its work written down.
    pub async fn watch<T>(&self, work: i64, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|context| {
            let _in_hand = self.hold(work);
            future.as_mut().poll(context)
        })
        .await
    }

    fn put(&self, place: usize, work: i64) {
        self.0.places.borrow_mut()[place] = work;
        if let Some(file) = &self.0.file {
            let _ = file.write_all_at(&work.to_ne_bytes(), (place * 8) as u64);
        }
    }
}

impl Drop for Suspect {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.suspects.put(place, 0);
        }
    }
}
