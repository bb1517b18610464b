//! Arrays by name: npz archives.

use super::archive::Archive;
use super::budget::{Budget, Reason};
use super::npy::NpyArray;

/// An npz archive.
pub(crate) struct Npz {
    archive: Archive,
}

impl Npz {
    /// Opens an archive in memory.
    pub(crate) fn parse(bytes: Vec<u8>) -> Reason<Self> {
        Ok(Self {
            archive: Archive::from_bytes(bytes)?,
        })
    }

    /// True if there are arrays with all of these names.
    pub(crate) fn has_all(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.has(key))
    }

    /// True if there is an array with this name.
    pub(crate) fn has(&self, key: &str) -> bool {
        let member = format!("{key}.npy");
        self.archive.names().any(|name| name == member)
    }

    /// Names of the arrays.
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.archive
            .names()
            .filter_map(|name| name.strip_suffix(".npy"))
            .collect()
    }

    /// Reads an array and converts it.
    pub(crate) fn read<T>(
        &self,
        key: &str,
        budget: &Budget,
        convert: impl FnOnce(&NpyArray<'_>) -> Reason<T>,
    ) -> Reason<T> {
        let bytes = self.archive.read(&format!("{key}.npy"), budget)?;
        NpyArray::parse(&bytes)
            .and_then(|array| convert(&array))
            .map_err(|reason| format!("{key}: {reason}"))
    }

    /// Shape and values as f32.
    pub(crate) fn f32(&self, key: &str, budget: &Budget) -> Reason<(Vec<usize>, Vec<f32>)> {
        self.read(key, budget, |a| Ok((a.shape.clone(), a.to_f32(budget)?)))
    }

    /// Shape and values as f64.
    pub(crate) fn f64(&self, key: &str, budget: &Budget) -> Reason<(Vec<usize>, Vec<f64>)> {
        self.read(key, budget, |a| Ok((a.shape.clone(), a.to_f64(budget)?)))
    }

    /// Shape and bytes.
    pub(crate) fn u8(&self, key: &str, budget: &Budget) -> Reason<(Vec<usize>, Vec<u8>)> {
        self.read(key, budget, |a| Ok((a.shape.clone(), a.to_u8(budget)?)))
    }
}
