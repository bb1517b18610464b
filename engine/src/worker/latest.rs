//! A slot that keeps the newest value: for what may be skipped but must never queue up.

use std::sync::{Mutex, PoisonError};

/// The newest value wins; reading it does not take it away.
#[derive(Debug)]
pub struct Latest<T> {
    slot: Mutex<Option<T>>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self {
            slot: Mutex::new(None),
        }
    }
}

impl<T: Clone> Latest<T> {
    /// Replaces the value.
    pub fn set(&self, value: T) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    /// Changes the value in place.
    pub fn update(&self, change: impl FnOnce(&mut Option<T>)) {
        change(&mut self.slot.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The newest value.
    pub fn get(&self) -> Option<T> {
        self.slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Empties the slot.
    pub fn clear(&self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
