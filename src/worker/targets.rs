//! One action at a time on one target: two indexes built on one table at once are a deadlock, and two repairs of one
//! pool are a quarrel.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use futures::lock::{Mutex, OwnedMutexGuard};

/// What is being worked on in this database. There is one pump, so its memory is enough; it holds as many names as the
/// runbooks have targets.
#[derive(Debug, Clone, Default)]
pub struct Targets(Rc<RefCell<HashMap<String, Arc<Mutex<()>>>>>);

impl Targets {
    /// Wait until nobody else works on `target`. It is ours until the guard is dropped.
    pub async fn hold(&self, target: &str) -> OwnedMutexGuard<()> {
        let mutex = Arc::clone(self.0.borrow_mut().entry(target.to_owned()).or_default());
        mutex.lock_owned().await
    }
}
