//! Carries out a plan that a person has agreed to, and checks what was fetched earlier.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::cache::RepoCache;
use super::client::Client;
use super::listing::ContentHash;
use super::partial::Hasher;
use super::plan::{FetchPlan, PlannedFile, file_url};
use super::settings::HubSettings;
use super::transfer::{Tally, Transfer};
use crate::atomic_file::{free_bytes, human_bytes};
use crate::job::{JobCtx, Stage};
use crate::{Error, Result};

/// Fetches the files of a plan into the shared cache and returns the folder of its commit.
///
/// Each file is resumed where an earlier run stopped, compared with its hash, and gets its name only
/// when it is whole; another process that fetches the same file is waited for.
///
/// # Errors
/// [`Error::Hub`] with what the server did and the way out; [`Error::Limit`] for too little room, before
/// anything is downloaded; [`Error::Cancelled`] within a tenth of a second. What has arrived stays.
pub fn fetch(settings: &HubSettings, plan: &FetchPlan, ctx: &JobCtx) -> Result<PathBuf> {
    if settings.offline {
        let reason = "HF_HUB_OFFLINE is set, so nothing is downloaded";
        return Err(Error::hub(&plan.hub_id, reason));
    }
    let cache = RepoCache::new(&settings.cache, &plan.hub_id);
    cache.make_folders()?;
    // As it is now, not as it was when the plan was made.
    if let Some(free) = free_bytes(cache.folder())
        && free < plan.missing_bytes()
    {
        return Err(Error::Limit {
            what: format!("disk space in {}", plan.folder.display()),
            required: human_bytes(plan.missing_bytes()),
            available: human_bytes(free),
        });
    }
    let client = Client::new(settings)?;
    let tally = Tally::new(ctx, plan.total_bytes());
    // Small files first: whatever is wrong with access shows before the large ones.
    let mut files: Vec<&PlannedFile> = plan.files.iter().collect();
    files.sort_by_key(|file| file.bytes);
    for file in files {
        if !is_linked(&cache, plan, file) {
            Transfer {
                client: &client,
                settings,
                cache: &cache,
                file,
                url: file_url(settings, &plan.hub_id, &plan.commit, &file.name),
                place: format!("{}: {}", plan.hub_id, file.name),
                tally: &tally,
                ctx,
            }
            .run()?;
            cache.link(&plan.commit, &file.name, file.hash.hex())?;
        }
        tally.file_done(file.bytes)?;
    }
    cache.write_ref(&plan.revision, &plan.commit)?;
    Ok(cache.snapshot(&plan.commit))
}

/// True where the file has its place in the snapshot already.
fn is_linked(cache: &RepoCache, plan: &FetchPlan, file: &PlannedFile) -> bool {
    let path = cache.snapshot(&plan.commit).join(&file.name);
    let blob = cache.blob(file.hash.hex());
    std::fs::metadata(&path).is_ok_and(|about| about.len() == file.bytes)
        && (!blob.exists() || same_file(&path, &blob))
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// What became of comparing files with their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Files whose content is what the hub lists.
    pub good: Vec<PathBuf>,
    /// Files whose content is not.
    pub damaged: Vec<PathBuf>,
    /// Files outside the cache, of which no hash is known.
    pub unknown: Vec<PathBuf>,
}

/// Reads files again and compares them with the hashes that the cache names them by; asks nobody.
///
/// # Errors
/// [`Error::Io`]; [`Error::Cancelled`].
pub fn verify(files: &[PathBuf], ctx: &JobCtx) -> Result<Verified> {
    let mut verified = Verified::default();
    let mut tasks = Vec::new();
    for path in files {
        let content = path.canonicalize().map_err(|e| Error::io(path, e))?;
        let bytes = std::fs::metadata(&content)
            .map_err(|e| Error::io(path, e))?
            .len();
        let in_blobs = content
            .parent()
            .is_some_and(|folder| folder.ends_with("blobs"));
        let name = content
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        match ContentHash::parse(name).filter(|_| in_blobs) {
            Some(hash) => tasks.push((path, content, hash, bytes)),
            None => verified.unknown.push(path.clone()),
        }
    }
    let total: u64 = tasks.iter().map(|task| task.3).sum();
    let mut done = 0;
    for (path, content, hash, bytes) in tasks {
        let io = |error| Error::io(path, error);
        let mut file = std::fs::File::open(&content).map_err(io)?;
        let mut hasher = Hasher::new(&hash, bytes);
        let mut buffer = vec![0; 1 << 20];
        loop {
            ctx.step(Stage::Verify, done as usize, total as usize)?;
            let count = file.read(&mut buffer).map_err(io)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            done += count as u64;
        }
        if hasher.hex() == hash.hex() {
            verified.good.push(path.clone());
        } else {
            verified.damaged.push(path.clone());
        }
    }
    ctx.step(Stage::Verify, total as usize, total as usize)?;
    Ok(verified)
}

/// Takes the damaged contents behind `files` out of the cache, so that fetching brings them anew.
///
/// # Errors
/// [`Error::Io`].
pub fn forget_damaged(files: &[PathBuf]) -> Result<()> {
    for path in files {
        let content = path.canonicalize().map_err(|e| Error::io(path, e))?;
        std::fs::remove_file(&content).map_err(|e| Error::io(&content, e))?;
    }
    Ok(())
}

/// Takes away what has arrived of a plan's files and is not complete.
///
/// # Errors
/// [`Error::Io`].
pub fn forget_partial(settings: &HubSettings, plan: &FetchPlan) -> Result<()> {
    let cache = RepoCache::new(&settings.cache, &plan.hub_id);
    for file in &plan.files {
        let path = cache.incomplete(file.hash.hex());
        let tag = path.with_extension("incomplete.etag");
        for path in [path, tag].into_iter().filter(|path| path.exists()) {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}
