//! Where public models are looked for: the environment's settings, and folders that the user registered.

use std::path::{Path, PathBuf};

use one4d_engine::Result;
use one4d_engine::hub::HubSettings;
use serde::{Deserialize, Serialize};

use super::store::{self, Store};

/// `models.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelFolders {
    /// Folders that are searched besides the shared cache.
    pub folders: Vec<PathBuf>,
}

impl ModelFolders {
    /// The folders that this user registered.
    pub fn read(store: &Store) -> Self {
        store::read_or_default(&store.models_file())
    }

    /// Adds a folder once.
    pub fn add(&mut self, folder: &Path) {
        if !self.folders.iter().any(|known| known == folder) {
            self.folders.push(folder.to_owned());
        }
    }

    /// Takes a folder away; false if it was not there.
    pub fn remove(&mut self, folder: &Path) -> bool {
        let before = self.folders.len();
        self.folders.retain(|known| known != folder);
        self.folders.len() < before
    }
}

/// Settings of the environment with the registered folders.
///
/// # Errors
/// Those of [`HubSettings::from_env`].
pub fn settings(store: &Store) -> Result<HubSettings> {
    let mut settings = HubSettings::from_env()?;
    settings.folders.extend(ModelFolders::read(store).folders);
    Ok(settings)
}
