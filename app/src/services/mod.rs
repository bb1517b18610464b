//! What the studio's commands reach for outside its state: engine, media thread, dialogs, folders.

pub mod dialogs;
pub mod kinds;
pub mod media;
pub mod media_tasks;
pub mod store;

use one4d_engine::worker::EngineHandle;

pub use dialogs::Dialogs;
pub use media::{MediaResult, MediaTask, MediaWorker};
pub use store::Store;

/// The studio's hands.
pub struct Services {
    /// Runs jobs.
    pub engine: EngineHandle,
    /// Reads and decodes small things.
    pub media: MediaWorker,
    /// Asks for files.
    pub dialogs: Dialogs,
    /// Knows the folders.
    pub store: Store,
}
