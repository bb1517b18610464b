//! What a download would be, before it is one: shown to a person, who says yes or no.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cache::RepoCache;
use super::client::{Ask, Client};
use super::listing::{ContentHash, Listed, describe, list};
use super::names::{encode, fits, is_hub_id, is_revision, unsafe_name};
use super::settings::HubSettings;
use crate::atomic_file::free_bytes;
use crate::job::JobCtx;
use crate::{Error, Result};

/// What is wanted of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `organisation/model`.
    pub hub_id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Patterns of file names; each must fit at least one file.
    pub patterns: Vec<String>,
    /// Patterns of files that are taken along where they exist: the card and the licence.
    pub optional: Vec<String>,
}

/// A file of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedFile {
    /// Its name in the repository, found safe.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// The hash that its content must have.
    #[serde(serialize_with = "hex")]
    pub hash: ContentHash,
    /// Bytes of it that lie in the cache already.
    pub present_bytes: u64,
}

fn hex<S: serde::Serializer>(
    hash: &ContentHash,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(hash.hex())
}

impl PlannedFile {
    /// True once the whole file is in the cache.
    pub fn is_present(&self) -> bool {
        self.present_bytes == self.bytes
    }
}

/// What fetching would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FetchPlan {
    /// `organisation/model`.
    pub hub_id: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit that it stands for now; every file is taken from there.
    pub commit: String,
    /// Licence by the model's card; `None` if the card names none.
    pub licence: Option<String>,
    /// The publisher asks for consent to terms.
    pub is_gated: bool,
    /// Files in name order.
    pub files: Vec<PlannedFile>,
    /// The folder of the cache that they go to.
    pub folder: PathBuf,
    /// Free bytes on its disk, where the system tells.
    pub free_bytes: Option<u64>,
}

impl FetchPlan {
    /// Size of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes that are still to come.
    pub fn missing_bytes(&self) -> u64 {
        let missing = |file: &PlannedFile| file.bytes - file.present_bytes;
        self.files.iter().map(missing).sum()
    }

    /// True where the disk has too little room for what is missing.
    pub fn is_too_large(&self) -> bool {
        self.free_bytes
            .is_some_and(|free| free < self.missing_bytes())
    }
}

/// Asks the hub what a download would be; downloads no file.
///
/// # Errors
/// [`Error::Invalid`] for a name that is none; [`Error::Hub`] with what the server said, for file names
/// that lead out of their folder, and when a pattern fits nothing; [`Error::Cancelled`].
pub fn plan(settings: &HubSettings, wanted: &Wanted, ctx: &JobCtx) -> Result<FetchPlan> {
    check(settings, wanted)?;
    let client = Client::new(settings)?;
    let hub_id = &wanted.hub_id;
    let listing = list(&client, settings, hub_id, &wanted.revision, ctx)?;
    let cache = RepoCache::new(&settings.cache, hub_id);
    let chosen = choose(wanted, &listing.files)?;
    let mut files = Vec::with_capacity(chosen.len());
    for listed in chosen {
        let place = format!("{hub_id}: {}", listed.name);
        let (bytes, hash) = match (listed.size, &listed.hash) {
            (Some(bytes), Some(hash)) => (Some(bytes), Some(hash.clone())),
            _ => {
                let url = file_url(settings, hub_id, &listing.commit, &listed.name);
                let ask = Ask {
                    url,
                    from: None,
                    head_only: true,
                };
                describe(&client, settings, ask, &place, ctx)?
            }
        };
        let (Some(bytes), Some(hash)) = (bytes, hash) else {
            let reason =
                "the server says neither in the listing nor by itself which content it has";
            return Err(Error::hub(place, reason));
        };
        let present_bytes = present(&cache, &listing.commit, &listed.name, &hash, bytes);
        files.push(PlannedFile {
            name: listed.name.clone(),
            bytes,
            hash,
            present_bytes,
        });
    }
    let total = files
        .iter()
        .try_fold(0_u64, |sum, file| sum.checked_add(file.bytes));
    if total.is_none() {
        return Err(Error::hub(hub_id, "lists files larger than any disk"));
    }
    Ok(FetchPlan {
        hub_id: hub_id.clone(),
        revision: wanted.revision.clone(),
        commit: listing.commit,
        licence: listing.licence,
        is_gated: listing.is_gated,
        files,
        free_bytes: existing_part(&settings.cache).and_then(free_bytes),
        folder: cache.folder().to_owned(),
    })
}

/// Address of a file.
pub(super) fn file_url(settings: &HubSettings, hub_id: &str, commit: &str, name: &str) -> String {
    format!(
        "{}/{}/resolve/{commit}/{}",
        settings.endpoint,
        encode(hub_id, true),
        encode(name, true)
    )
}

/// The nearest folder above that exists, whose disk a new folder would be on.
fn existing_part(path: &Path) -> Option<&Path> {
    path.ancestors().find(|folder| folder.is_dir())
}

fn check(settings: &HubSettings, wanted: &Wanted) -> Result<()> {
    if !is_hub_id(&wanted.hub_id) {
        let reason = "is no model's name; on the hub they look like organisation/model";
        return Err(Error::invalid(format!("`{}`", wanted.hub_id), reason));
    }
    if !is_revision(&wanted.revision) {
        let reason = "is no branch, tag or commit";
        return Err(Error::invalid(
            format!("revision `{}`", wanted.revision),
            reason,
        ));
    }
    if settings.offline {
        let reason = "HF_HUB_OFFLINE is set, so no server is asked; unset it to download";
        return Err(Error::hub(&wanted.hub_id, reason));
    }
    Ok(())
}

/// The files that the patterns fit, in name order.
fn choose<'a>(wanted: &Wanted, listed: &'a [Listed]) -> Result<Vec<&'a Listed>> {
    let fit = |patterns: &[String], name: &str| patterns.iter().any(|p| fits(p, name));
    let mut chosen: Vec<&Listed> = listed
        .iter()
        .filter(|file| fit(&wanted.patterns, &file.name) || fit(&wanted.optional, &file.name))
        .collect();
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    chosen.dedup_by(|a, b| a.name == b.name);
    for file in &chosen {
        if let Some(reason) = unsafe_name(&file.name) {
            let name = super::names::tame(&file.name, 80);
            let reason = format!(
                "the server lists a file `{name}`, whose name {reason}; nothing was downloaded"
            );
            return Err(Error::hub(&wanted.hub_id, reason));
        }
    }
    let unmet = wanted
        .patterns
        .iter()
        .find(|pattern| !chosen.iter().any(|file| fits(pattern, &file.name)));
    match unmet {
        Some(pattern) => {
            let reason = format!("has no file `{pattern}` at this revision");
            Err(Error::hub(&wanted.hub_id, reason))
        }
        None => Ok(chosen),
    }
}

/// Bytes of a file that lie in the cache.
fn present(cache: &RepoCache, commit: &str, name: &str, hash: &ContentHash, bytes: u64) -> u64 {
    let length = |path: PathBuf| Some(std::fs::metadata(path).ok()?.len());
    let whole = [cache.blob(hash.hex()), cache.snapshot(commit).join(name)]
        .into_iter()
        .any(|path| length(path) == Some(bytes));
    if whole {
        bytes
    } else {
        // A file that has all its bytes and no name yet still has to be looked at.
        length(cache.incomplete(hash.hex()))
            .unwrap_or(0)
            .min(bytes.saturating_sub(1))
    }
}
