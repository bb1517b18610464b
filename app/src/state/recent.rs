//! Files that were opened or made last.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Most entries that are kept.
pub const MAX_RECENT: usize = 12;

/// Recent files, newest first, as they stand in `recent.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(Vec<PathBuf>);

impl Recent {
    /// Newest first.
    pub fn paths(&self) -> &[PathBuf] {
        &self.0
    }

    /// Puts a file first.
    pub fn add(&mut self, path: &Path) {
        self.forget(path);
        self.0.insert(0, path.to_owned());
        self.0.truncate(MAX_RECENT);
    }

    /// Takes a file out, as when it is gone.
    pub fn forget(&mut self, path: &Path) {
        self.0.retain(|known| known != path);
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_file_comes_first_and_only_once() {
        let mut recent = Recent::default();
        for i in 0..20 {
            recent.add(Path::new(&format!("{i}.one4d")));
        }
        recent.add(Path::new("15.one4d"));
        assert_eq!(recent.paths().len(), MAX_RECENT);
        assert_eq!(recent.paths()[0], Path::new("15.one4d"));
        assert_eq!(recent.paths()[1], Path::new("19.one4d"));
        let twice = recent.paths().iter().filter(|p| **p == recent.0[0]).count();
        assert_eq!(twice, 1);
    }
}
