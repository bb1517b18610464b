//! One content from the hub into the cache: resumed where it stopped, checked against its hash, given
//! its name only when it is whole.

use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

use super::cache::RepoCache;
use super::client::{Ask, Client, Head, Piece, Trouble};
use super::listing::plain_tag;
use super::partial::Partial;
use super::plan::PlannedFile;
use super::refusal::refusal;
use super::settings::HubSettings;
use super::wait::Retries;
use crate::atomic_file::human_bytes;
use crate::job::{JobCtx, Stage};
use crate::{Error, Result};

/// Progress between failures that makes them count anew.
const GOOD_PROGRESS_BYTES: u64 = 1 << 20;

/// Bytes of all files of a plan; what is reported never falls.
pub(super) struct Tally<'a> {
    ctx: &'a JobCtx,
    total: u64,
    before: Cell<u64>,
    reported: Cell<u64>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(ctx: &'a JobCtx, total: u64) -> Self {
        Self {
            ctx,
            total,
            before: Cell::new(0),
            reported: Cell::new(0),
        }
    }

    /// Reports that `bytes` of the file under way are there.
    pub(super) fn at(&self, bytes: u64) -> Result<()> {
        let done = (self.before.get() + bytes).max(self.reported.get());
        self.reported.set(done);
        self.ctx
            .step(Stage::Fetch, done as usize, self.total as usize)
    }

    /// The file under way is done.
    pub(super) fn file_done(&self, bytes: u64) -> Result<()> {
        self.before.set(self.before.get() + bytes);
        self.at(0)
    }
}

/// Why an attempt ended without the whole content.
enum Stop {
    /// Go on from where it stopped, after a wait.
    Again(String, Option<std::time::Duration>),
    /// What has arrived belongs to another content: begin at the start, without asking for a part.
    Anew(String),
    /// Nothing that another attempt would change.
    Never(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Never(error)
    }
}

/// A content that is being fetched.
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a HubSettings,
    pub(super) cache: &'a RepoCache,
    pub(super) file: &'a PlannedFile,
    pub(super) url: String,
    /// Model and file, for people.
    pub(super) place: String,
    pub(super) tally: &'a Tally<'a>,
    pub(super) ctx: &'a JobCtx,
}

impl Transfer<'_> {
    /// Fetches the content unless it is there; one process at a time.
    ///
    /// # Errors
    /// [`Error::Hub`] with what the server did and the way out, [`Error::Limit`] on a full disk,
    /// [`Error::Cancelled`]. What has arrived stays where it can be resumed.
    pub(super) fn run(&self) -> Result<()> {
        let hash = self.file.hash.hex();
        let _lock = self.cache.lock(hash, self.ctx)?;
        let blob = self.cache.blob(hash);
        if std::fs::metadata(&blob).is_ok_and(|about| about.len() == self.file.bytes) {
            return Ok(());
        }
        let path = self.cache.incomplete(hash);
        let mut partial = Partial::open(&path, self.file, self.ctx)?;
        let mut retries = Retries::new(
            self.settings.patience,
            "What has arrived is kept: try again later",
        );
        // A content that was resumed and turns out wrong is fetched once more from its start.
        let mut may_restart = true;
        loop {
            let before = partial.len();
            let was_resumed = partial.is_resumed();
            let stop = match self.attempt(&mut partial) {
                Ok(()) => match partial.check() {
                    Ok(()) => return partial.finish(&blob),
                    Err(_) if was_resumed => Stop::Anew("the checksum is wrong".to_owned()),
                    Err(found) => {
                        partial.discard();
                        return Err(self.wrong(&found));
                    }
                },
                Err(stop) => stop,
            };
            match stop {
                Stop::Never(error) => return Err(error),
                Stop::Anew(reason) if !may_restart => {
                    partial.discard();
                    return Err(Error::hub(
                        &self.place,
                        format!("{reason}, also from the start"),
                    ));
                }
                Stop::Anew(reason) => {
                    may_restart = false;
                    self.ctx.warn(
                        Stage::Fetch,
                        format!("{}: {reason}; starting over", self.place),
                    );
                    partial.clear()?;
                }
                Stop::Again(reason, asked) => {
                    partial.flush()?;
                    if partial.len() >= before + GOOD_PROGRESS_BYTES {
                        retries.forget();
                    }
                    retries.wait(&self.place, &reason, asked, self.ctx)?;
                }
            }
        }
    }

    fn wrong(&self, found: &str) -> Error {
        let reason = format!(
            "the content that was sent is not the one that is listed (checksum {found} in place of \
             {}); nothing was kept. If it happens again, something between here and the hub changes files",
            self.file.hash.hex()
        );
        Error::hub(&self.place, reason)
    }

    /// Asks for what is missing and writes what comes.
    fn attempt(&self, partial: &mut Partial) -> std::result::Result<(), Stop> {
        let offset = partial.len();
        if offset == self.file.bytes {
            return Ok(());
        }
        let answer = self.client.ask(Ask {
            url: self.url.clone(),
            from: (offset > 0).then(|| (offset, partial.tag().map(str::to_owned))),
            head_only: false,
        })?;
        let head = match answer.next(self.ctx)? {
            Ok(Piece::Head(head)) => *head,
            Ok(_) => return Err(Stop::Again("the connection broke off".to_owned(), None)),
            Err(trouble) => return Err(self.stop(trouble, None)),
        };
        self.accept(&head, partial)?;
        let mut pace = Pace::new(self.settings.patience);
        loop {
            match answer.next(self.ctx)? {
                Ok(Piece::Bytes(bytes)) => {
                    if partial.len() + bytes.len() as u64 > self.file.bytes {
                        partial.discard();
                        let most = human_bytes(self.file.bytes);
                        let reason = format!(
                            "the server sends more than the {most} that are listed; nothing was kept"
                        );
                        return Err(Stop::Never(Error::hub(&self.place, reason)));
                    }
                    partial.write(&bytes).map_err(|error| self.disk(error))?;
                    self.tally.at(partial.len())?;
                    pace.note(bytes.len() as u64)
                        .map_err(|reason| Stop::Again(reason, None))?;
                }
                Ok(Piece::End | Piece::Head(_)) if partial.len() == self.file.bytes => {
                    return Ok(());
                }
                Ok(Piece::End | Piece::Head(_)) => {
                    let reason = format!(
                        "the connection ended after {} of {}",
                        human_bytes(partial.len()),
                        human_bytes(self.file.bytes)
                    );
                    return Err(Stop::Again(reason, None));
                }
                // The bytes are all there; how the server ends does not matter any more.
                Err(_) if partial.len() == self.file.bytes => return Ok(()),
                Err(trouble) => return Err(self.stop(trouble, None)),
            }
        }
    }

    /// Looks at a head: from where on the body is, and whether it can be the file at all.
    fn accept(&self, head: &Head, partial: &mut Partial) -> std::result::Result<(), Stop> {
        let offset = partial.len();
        match head.status {
            200 | 206 => {}
            416 if offset > 0 => {
                return Err(Stop::Anew("the server has another length of it".to_owned()));
            }
            _ => {
                let has_token = self.settings.token.is_some();
                let trouble = refusal(head, has_token, self.settings, &self.place);
                return Err(self.stop(trouble, head.retry_after));
            }
        }
        let never = |reason: String| Err(Stop::Never(Error::hub(&self.place, reason)));
        let starts_over = head.status == 200;
        let rest = if starts_over {
            self.file.bytes
        } else {
            self.file.bytes - offset
        };
        if let Some(tag) = &head.linked_etag
            && plain_tag(tag) != self.file.hash.hex()
        {
            return never("has changed on the hub since it was listed; start again".to_owned());
        }
        if head.is_encoded {
            return never("the server packs the file, which was not asked for".to_owned());
        }
        if head.length.is_some_and(|length| length != rest) {
            if head.is_page {
                let reason = format!(
                    "{} sends a web page in place of the file; is there a login page in between?",
                    head.host
                );
                return never(reason);
            }
            let reason = format!(
                "the server announces {} where {} are missing by the hub's listing; what was there \
                 before is kept",
                bytes_of(head.length.unwrap_or_default()),
                bytes_of(rest)
            );
            return never(reason);
        }
        if starts_over {
            if offset > 0 {
                partial.clear()?;
            }
        } else {
            let expected = format!("bytes {offset}-{}/", self.file.bytes - 1);
            let range = head.content_range.as_deref().unwrap_or_default();
            let total = range.strip_prefix(&expected);
            if total.is_none_or(|total| total != "*" && total != self.file.bytes.to_string()) {
                return Err(Stop::Anew(
                    "the server sends another part than the missing one".to_owned(),
                ));
            }
            if let (Some(old), Some(new)) = (partial.tag(), &head.etag)
                && old != new
            {
                return Err(Stop::Anew(
                    "the server sends a part of another content".to_owned(),
                ));
            }
        }
        partial.set_tag(head.etag.as_deref());
        Ok(())
    }

    fn stop(&self, trouble: Trouble, asked: Option<std::time::Duration>) -> Stop {
        match trouble {
            Trouble::Passing(reason) => Stop::Again(reason, asked),
            Trouble::Lasting(reason) => Stop::Never(Error::hub(&self.place, reason)),
        }
    }

    /// A full disk in figures; what has arrived stays and is gone on from once there is room.
    fn disk(&self, error: Error) -> Stop {
        let is_full = matches!(&error, Error::Io { source, .. }
            if matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded));
        if !is_full {
            return Stop::Never(error);
        }
        let folder: &Path = self.cache.folder();
        let free = crate::atomic_file::free_bytes(folder).unwrap_or_default();
        Stop::Never(Error::Limit {
            what: format!(
                "disk space in {} (what has arrived is kept)",
                folder.display()
            ),
            required: human_bytes(self.file.bytes),
            available: human_bytes(free),
        })
    }
}

fn bytes_of(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{bytes} bytes")
    } else {
        human_bytes(bytes)
    }
}

/// Notices a server that sends, but so slowly that it would never end.
struct Pace {
    patience: super::settings::Patience,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(patience: super::settings::Patience) -> Self {
        Self {
            patience,
            since: Instant::now(),
            bytes: 0,
        }
    }

    fn note(&mut self, bytes: u64) -> std::result::Result<(), String> {
        self.bytes += bytes;
        let elapsed = self.since.elapsed();
        if elapsed < self.patience.window {
            return Ok(());
        }
        let rate = self.bytes as f64 / elapsed.as_secs_f64();
        if rate < self.patience.least_bytes_per_sec as f64 {
            return Err(format!("the server sends only {rate:.0} bytes a second"));
        }
        self.since = Instant::now();
        self.bytes = 0;
        Ok(())
    }
}
