//! What of the catalogue lies on this machine: in the shared cache, and in folders that the user named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cache::RepoCache;
use super::catalogue::{Entry, Needed, Part};
use super::names::{fits, tame};
use super::settings::HubSettings;
use crate::weight_files::pickle;

/// How deep folders are searched, and how many entries.
const MAX_DEPTH: usize = 6;
const MAX_ENTRIES: usize = 20_000;
/// Largest card and index that are read.
const MAX_TEXT_BYTES: u64 = 16 << 20;

/// How much of a model is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing.
    #[default]
    Absent,
    /// Some of its files, or parts of files.
    Partial,
    /// Everything that it needs.
    Present,
}

impl State {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Absent => "Not here",
            Self::Partial => "In part",
            Self::Present => "Here",
        }
    }
}

/// What was found of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// How much.
    pub state: State,
    /// The folder that holds it.
    pub root: Option<PathBuf>,
    /// Its commit, in the shared cache.
    pub commit: Option<String>,
    /// Its files by what they are.
    pub parts: BTreeMap<Part, Vec<PathBuf>>,
    /// Patterns and shards of which nothing was found.
    pub missing: Vec<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of downloads that have not come to their end.
    pub incomplete_bytes: u64,
    /// Licence by the card that lies beside it.
    pub licence: Option<String>,
}

impl Found {
    /// All files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.parts.values().flatten().cloned().collect()
    }
}

/// A file below a root, by its name with slashes.
pub(super) type Listed = (String, PathBuf);

/// Looks for an entry; asks no server.
pub fn look(settings: &HubSettings, entry: &Entry) -> Found {
    let cache = RepoCache::new(&settings.cache, entry.hub_id);
    let incomplete_bytes = cache.incomplete_bytes();
    let mut best = Found::default();
    for (root, commit) in roots(settings, entry, &cache) {
        let listed = files_below(&root);
        let mut found = Found::of(entry, &listed);
        found.commit = commit;
        found.licence = card_licence(&root);
        found.root = Some(root);
        if rank(&found) > rank(&best) {
            best = found;
        }
    }
    // Other files of one publisher's collection may be under way; they are not of this entry.
    if !entry.single_files || best.state == State::Absent {
        best.incomplete_bytes = incomplete_bytes;
    }
    if best.state == State::Absent && incomplete_bytes > 0 && !entry.single_files {
        best.state = State::Partial;
        best.root = Some(cache.folder().to_owned());
    }
    best
}

fn rank(found: &Found) -> (u8, u64) {
    (found.state as u8, found.bytes)
}

/// Every folder that may hold an entry, the commit of its branch first.
fn roots(
    settings: &HubSettings,
    entry: &Entry,
    cache: &RepoCache,
) -> Vec<(PathBuf, Option<String>)> {
    let mut roots = snapshots(cache, entry);
    for folder in &settings.folders {
        roots.extend(snapshots(&RepoCache::new(folder, entry.hub_id), entry));
        if entry.single_files {
            roots.push((folder.clone(), None));
            continue;
        }
        let model = entry.hub_id.rsplit('/').next().unwrap_or(entry.hub_id);
        let is_it = folder.file_name().is_some_and(|name| name == model);
        let named = [
            is_it.then(|| folder.clone()),
            Some(folder.join(model)),
            Some(folder.join(entry.hub_id)),
        ];
        roots.extend(named.into_iter().flatten().map(|root| (root, None)));
    }
    roots.retain(|(root, _)| root.is_dir());
    roots
}

fn snapshots(cache: &RepoCache, entry: &Entry) -> Vec<(PathBuf, Option<String>)> {
    let current = cache.commit_of(entry.revision);
    let mut commits = cache.commits();
    commits.sort_by_key(|commit| Some(commit) != current.as_ref());
    let root = |commit: String| (cache.snapshot(&commit), Some(commit));
    commits.into_iter().map(root).collect()
}

/// Files below a folder, bounded; links to files count, linked folders are not entered.
pub(super) fn files_below(root: &Path) -> Vec<Listed> {
    let mut listed = Vec::new();
    let mut waiting = vec![(root.to_owned(), String::new(), 0)];
    let mut seen = 0;
    while let Some((folder, prefix, depth)) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                return listed;
            }
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let full = format!("{prefix}{name}");
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && depth < MAX_DEPTH && name != "blobs" && name != ".locks" {
                waiting.push((path, format!("{full}/"), depth + 1));
            } else if path.is_file() {
                listed.push((full, path));
            }
        }
    }
    listed.sort();
    listed
}

impl Found {
    fn of(entry: &Entry, listed: &[Listed]) -> Self {
        let mut found = Self::default();
        for needed in &entry.files {
            let mut files = matching(needed, listed);
            // A collection holds several that would serve; one is enough, the wanted one first.
            if entry.single_files {
                files.truncate(1);
            }
            if files.is_empty() {
                found.missing.push(needed.pattern.to_owned());
                continue;
            }
            found.missing.extend(missing_shards(&files));
            let size = |file: &Listed| Some(std::fs::metadata(&file.1).ok()?.len());
            found.bytes += files.iter().filter_map(size).sum::<u64>();
            let paths = files.into_iter().map(|file| file.1);
            found.parts.entry(needed.part).or_default().extend(paths);
        }
        found.state = match (found.parts.is_empty(), found.missing.is_empty()) {
            (true, _) => State::Absent,
            (false, true) => State::Present,
            (false, false) => State::Partial,
        };
        found
    }
}

fn matching(needed: &Needed, listed: &[Listed]) -> Vec<Listed> {
    let fitting = |pattern: &str| -> Vec<Listed> {
        let fit = |file: &&Listed| fits(pattern, &file.0);
        listed.iter().filter(fit).cloned().collect()
    };
    // What was converted serves as well as the pickle, which may be gone.
    let converted = pickle::is_pickle(Path::new(needed.pattern))
        .then(|| pickle::converted_path(Path::new(needed.pattern)));
    let converted = converted.map(|pattern| pattern.to_string_lossy().into_owned());
    let patterns = [Some(needed.pattern), needed.instead, converted.as_deref()];
    let mut found = patterns.into_iter().flatten().map(fitting);
    found.find(|files| !files.is_empty()).unwrap_or_default()
}

/// Shards that an index among the files names and that are not there.
fn missing_shards(files: &[Listed]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let is_index = |file: &&Listed| file.0.ends_with(".index.json");
    let Some((name, path)) = files.iter().find(is_index) else {
        let is_weight = |file: &Listed| file.1.extension().is_none_or(|ending| ending != "json");
        let needs_weights = files.iter().any(|file| file.0.contains("model"));
        return if needs_weights && !files.iter().any(is_weight) {
            vec!["the weights themselves".to_owned()]
        } else {
            Vec::new()
        };
    };
    let folder = name.rfind('/').map_or("", |at| &name[..=at]);
    let Some(index) = read_text(path).and_then(|text| serde_json::from_str::<Index>(&text).ok())
    else {
        return vec![format!("a readable {name}")];
    };
    let mut shards: Vec<String> = index
        .weight_map
        .into_values()
        .map(|shard| format!("{folder}{shard}"))
        .collect();
    shards.sort();
    shards.dedup();
    shards.retain(|shard| !files.iter().any(|file| file.0 == *shard));
    shards.iter().map(|shard| tame(shard, 120)).collect()
}

fn read_text(path: &Path) -> Option<String> {
    let bytes = std::fs::metadata(path).ok()?.len();
    (bytes <= MAX_TEXT_BYTES)
        .then(|| std::fs::read_to_string(path).ok())
        .flatten()
}

/// The licence that the head of a model's card names.
fn card_licence(root: &Path) -> Option<String> {
    let text = read_text(&root.join("README.md"))?;
    let head = text.strip_prefix("---")?.split("\n---").next()?;
    let value = |key: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .map(|value| tame(value.trim().trim_matches(['"', '\'']), 60))
            .filter(|value| !value.is_empty())
    };
    match (value("license")?, value("license_name")) {
        (other, Some(own)) if other == "other" => Some(format!("other ({own})")),
        (name, _) => Some(name),
    }
}
