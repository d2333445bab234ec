//! Clients of services, one for each runtime that asks.
//!
//! A client's connections are served by tasks of the runtime that opened them. Shared among the
//! single-threaded runtimes of a child, a busy one would hold up the questions of all others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Handle, Id};

/// One `T` for each runtime. Those of runtimes that have ended stay until this is dropped.
pub struct PerRuntime<T> {
    made: Mutex<HashMap<Id, T>>,
}

impl<T> Default for PerRuntime<T> {
    fn default() -> PerRuntime<T> {
        PerRuntime { made: Mutex::default() }
    }
}

impl<T: Clone> PerRuntime<T> {
    /// This runtime's, made now if there is none. Must be called inside a runtime.
    ///
    /// # Errors
    /// What `make` says.
    pub fn get<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let id = Handle::current().id();
        if let Some(found) = self.lock().get(&id) {
            return Ok(found.clone());
        }
        let made = make()?;
        Ok(self.lock().entry(id).or_insert(made).clone())
    }

    /// Drops those that are no longer `good`; the next question makes new ones.
    pub fn retain(&self, good: impl Fn(&T) -> bool) {
        self.lock().retain(|_, one| good(one));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, T>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
