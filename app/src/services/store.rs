//! The studio's folders and its two small JSON files.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Folders of the studio.
#[derive(Clone, Debug)]
pub struct Store {
    config: PathBuf,
    data: PathBuf,
}

impl Store {
    /// The folders of this user; below the system's temporary folder where the user has none.
    pub fn for_user() -> Self {
        directories::ProjectDirs::from("", "", "one4d").map_or_else(
            || Self::below(&std::env::temp_dir().join("one4d")),
            |folders| Self {
                config: folders.config_dir().to_owned(),
                data: folders.data_dir().to_owned(),
            },
        )
    }

    /// Both folders below `root`, as tests want them.
    pub fn below(root: &Path) -> Self {
        Self {
            config: root.join("config"),
            data: root.join("data"),
        }
    }

    /// Path of `settings.json`.
    pub fn settings_file(&self) -> PathBuf {
        self.config.join("settings.json")
    }

    /// Path of `recent.json`.
    pub fn recent_file(&self) -> PathBuf {
        self.config.join("recent.json")
    }

    /// Path of `session.json`.
    pub fn session_file(&self) -> PathBuf {
        self.config.join("session.json")
    }

    /// Path of `models.json`, the folders that are searched for models.
    pub fn models_file(&self) -> PathBuf {
        self.config.join("models.json")
    }

    /// Folder of a model that is put together out of fetched files.
    pub fn model_folder(&self, name: &str) -> PathBuf {
        self.data.join("models").join(name)
    }

    /// Folder of images that were pasted or taken from the samples.
    pub fn inputs(&self) -> PathBuf {
        self.data.join("inputs")
    }

    /// A folder for a new scene, named by time and prompt; not made yet.
    pub fn new_scene_folder(&self, prompt: &str, seed: u64) -> PathBuf {
        let secs = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let name = format!("{}-{}-{seed}", timestamp(secs), slug(prompt));
        self.data.join("scenes").join(name)
    }
}

/// Reads a JSON file; a file that is missing or damaged gives the default.
pub fn read_or_default<T: DeserializeOwned + Default>(path: &Path) -> T {
    let Ok(text) = std::fs::read_to_string(path) else {
        return T::default();
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, path = %path.display(), "settings start afresh");
        T::default()
    })
}

/// Writes a JSON file so that it is whole or as it was.
///
/// # Errors
/// What the system said.
pub fn write_json(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    write_whole(path, &serde_json::to_string_pretty(value)?)
}

/// Writes a text file so that it is whole or as it was.
///
/// # Errors
/// What the system said.
pub fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, text)?;
    std::fs::rename(&part, path)
}

/// Letters and digits of a prompt, at most 32, joined by dashes.
fn slug(prompt: &str) -> String {
    let mut slug = String::new();
    for word in prompt.split(|c: char| !c.is_alphanumeric()) {
        let separator = usize::from(!slug.is_empty());
        if !word.is_empty() && slug.chars().count() + separator + word.chars().count() <= 32 {
            if separator == 1 {
                slug.push('-');
            }
            slug.extend(word.chars().flat_map(char::to_lowercase));
        }
    }
    if slug.is_empty() {
        "scene".to_owned()
    } else {
        slug
    }
}

/// `YYYYMMDD-HHMMSS` in UTC, from seconds since 1970.
///
/// Days to a civil date after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn timestamp(secs: u64) -> String {
    let (days, secs) = (secs / 86_400, secs % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_dates() {
        assert_eq!(timestamp(0), "19700101-000000");
        assert_eq!(timestamp(951_782_400), "20000229-000000");
        assert_eq!(timestamp(1_795_196_754), "20261120-174554");
    }

    #[test]
    fn prompts_become_folder_names() {
        assert_eq!(slug("A red ball, rolling!"), "a-red-ball-rolling");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("  "), "scene");
        assert!(slug(&"long ".repeat(40)).len() <= 32);
    }

    #[test]
    fn damaged_settings_start_afresh() {
        let folder = std::env::temp_dir().join(format!("one4d-store-{}", std::process::id()));
        let file = folder.join("settings.json");
        write_json(&file, &vec![1, 2, 3]).unwrap();
        assert_eq!(read_or_default::<Vec<i32>>(&file), [1, 2, 3]);
        std::fs::write(&file, "{broken").unwrap();
        assert_eq!(read_or_default::<Vec<i32>>(&file), [0_i32; 0]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
