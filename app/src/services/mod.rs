//! What the studio's commands reach for outside its state: engine, media thread, dialogs, folders.

pub mod dialogs;
pub mod follow;
pub mod ground;
pub mod hide;
pub mod hub;
pub mod kinds;
pub mod media;
pub mod media_tasks;
pub mod model_folders;
pub mod rescale;
pub mod shots;
pub mod store;
pub mod wake;

use one4d_engine::worker::EngineHandle;

pub use dialogs::Dialogs;
pub use hub::ModelHub;
pub use media::{MediaResult, MediaTask, MediaWorker, Preparation};
pub use shots::{ShotJob, Shots};
pub use store::Store;
pub use wake::Wake;

/// The studio's hands.
pub struct Services {
    /// Runs jobs.
    pub engine: EngineHandle,
    /// Reads and decodes small things.
    pub media: MediaWorker,
    /// Asks for files.
    pub dialogs: Dialogs,
    /// Takes pictures of the view.
    pub shots: Shots,
    /// Looks for public models and fetches them.
    pub hub: ModelHub,
    /// Knows the folders.
    pub store: Store,
    /// Asks for another frame of the window, from any thread.
    pub wake: Wake,
}
