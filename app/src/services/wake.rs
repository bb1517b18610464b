//! Asks for another frame of the window, whichever window that is now.

use std::sync::{Arc, PoisonError, RwLock};

use egui::Context;

/// A handle that any thread may keep for good: after a new window was opened it wakes that one.
#[derive(Clone)]
pub struct Wake(Arc<RwLock<Context>>);

impl Wake {
    /// Wakes a window.
    pub fn new(ctx: &Context) -> Self {
        Self(Arc::new(RwLock::new(ctx.clone())))
    }

    /// Wakes another window from now on.
    pub fn attach(&self, ctx: &Context) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ctx.clone();
    }

    /// Asks for a frame.
    pub fn call(&self) {
        let ctx = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ctx.request_repaint();
    }
}
