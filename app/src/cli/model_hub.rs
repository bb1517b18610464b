//! `one4d models locate`, `fetch`, `verify`, `assemble`, `register`.

use std::fmt::Write as _;
use std::path::PathBuf;

use one4d_engine::hub::{self, Entry, FetchPlan, Found, Group, State, Wanted};
use one4d_engine::worker::Output;
use one4d_engine::{Error, Result};
use serde_json::json;

use super::output::Printer;
use crate::services::model_folders::{self, ModelFolders};
use crate::services::{Store, store};
use crate::widgets::bytes;

/// One model.
#[derive(Debug, clap::Args)]
pub struct NameArgs {
    /// A name of `one4d models list`, or organisation/model.
    name: String,
}

/// A download.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// A name of `one4d models list`, or organisation/model of any model on the hub.
    name: String,

    /// Only files that fit this pattern, in which * stands for anything; may be given several times.
    #[arg(long = "file", value_name = "PATTERN")]
    files: Vec<String>,

    /// Branch, tag or commit.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,

    /// Download without asking.
    #[arg(long)]
    yes: bool,

    /// Show what a download would be, and no more.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Putting a model together.
#[derive(Debug, clap::Args)]
pub struct AssembleArgs {
    /// 4dnex, one4d-1.3b or one4d-14b.
    name: String,

    /// Your own One4D adapters, for the One4D models.
    #[arg(long, value_name = "FILE")]
    adapters: Option<PathBuf>,

    /// Folder of the model; by default one that the studio keeps.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A folder with models.
#[derive(Debug, clap::Args)]
pub struct RegisterArgs {
    /// The folder, such as ComfyUI's `models`.
    folder: PathBuf,

    /// Search it no longer; its files stay.
    #[arg(long)]
    remove: bool,
}

impl NameArgs {
    /// Says where the model lies.
    ///
    /// # Errors
    /// [`Error::Hub`] if it does not lie here, with what would bring it.
    pub fn locate(self) -> Result<Output> {
        let (files, found) = self.files()?;
        Ok(Output {
            report: json!({ "name": self.name, "found": found, "files": files }),
            files,
        })
    }

    /// Compares checksums.
    ///
    /// # Errors
    /// As [`Self::locate`]; [`Error::Weights`] naming damaged files.
    pub fn verify(self, printer: &Printer) -> Result<Output> {
        let (files, _) = self.files()?;
        let verified = printer.run_here(|ctx| hub::verify(&files, ctx))?;
        if let [first, ..] = verified.damaged.as_slice() {
            hub::forget_damaged(&verified.damaged)?;
            let names: Vec<String> = verified
                .damaged
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let reason = format!(
                "damaged, and taken out of the cache: {}; `one4d models fetch {}` brings it anew",
                names.join(", "),
                self.name
            );
            return Err(Error::weights(first, reason));
        }
        let counted = |count: usize| match count {
            1 => "1 file".to_owned(),
            n => format!("{n} files"),
        };
        let mut text = format!("{} as it should be\n", counted(verified.good.len()));
        if !verified.unknown.is_empty() {
            let count = counted(verified.unknown.len());
            let _ = writeln!(
                text,
                "{count} outside the cache, with checksums that are not known"
            );
        }
        Ok(Output {
            report: json!({ "name": self.name, "verified": verified, "text": text }),
            files: Vec::new(),
        })
    }

    fn files(&self) -> Result<(Vec<PathBuf>, Option<Found>)> {
        let settings = model_folders::settings(&Store::for_user())?;
        if let Some(entry) = hub::find(&self.name) {
            let found = hub::look(&settings, entry);
            let files = found.files();
            if !files.is_empty() {
                return Ok((files, Some(found)));
            }
        } else if is_hub_id(&self.name) {
            let files = hub::RepoCache::new(&settings.cache, &self.name).files();
            if !files.is_empty() {
                return Ok((files, None));
            }
        } else {
            return Err(unknown(&self.name));
        }
        let reason = format!(
            "does not lie here; get it with `one4d models fetch {}`",
            self.name
        );
        Err(Error::hub(&self.name, reason))
    }
}

/// A model of any publisher; a word alone is a name of the list or a slip.
fn is_hub_id(name: &str) -> bool {
    hub::is_hub_id(name) && name.contains('/')
}

fn unknown(name: &str) -> Error {
    let reason = "is no name of `one4d models list` and no organisation/model";
    Error::invalid(format!("`{name}`"), reason)
}

impl FetchArgs {
    /// Shows the plan, asks, and downloads.
    ///
    /// # Errors
    /// Those of [`hub::plan`] and [`hub::fetch`]; [`Error::Invalid`] where nobody can be asked;
    /// [`Error::Cancelled`] if the answer is no.
    pub fn run(self, printer: &Printer) -> Result<Output> {
        let settings = model_folders::settings(&Store::for_user())?;
        let entry = hub::find(&self.name);
        let wanted = self.wanted(entry)?;
        let plan = printer.run_here(|ctx| hub::plan(&settings, &wanted, ctx))?;
        let text = describe(&plan, entry);
        if self.dry_run {
            return Ok(Output {
                report: json!({ "plan": plan, "text": text }),
                files: Vec::new(),
            });
        }
        if plan.missing_bytes() > 0 && !self.yes {
            let question = format!("Download {}?", bytes(plan.missing_bytes()));
            match super::output::ask(&text, &question) {
                Some(true) => {}
                Some(false) => return Err(Error::Cancelled),
                None => {
                    let reason = "nobody can be asked here; nothing was downloaded. \
                                  Repeat the command with --yes";
                    return Err(Error::invalid("download", reason));
                }
            }
        } else if !printer.is_json() {
            super::output::print_error_line(&text);
        }
        let folder = printer.run_here(|ctx| hub::fetch(&settings, &plan, ctx))?;
        let mut said = format!("{} is here\n", plan.hub_id);
        for need in entry.iter().flat_map(|entry| &entry.needs) {
            let state = hub::find(need).map(|entry| hub::look(&settings, entry).state);
            if state != Some(State::Present) {
                let _ = writeln!(said, "It needs {need} too: one4d models fetch {need}");
            }
        }
        said.extend(entry.and_then(next_step));
        Ok(Output {
            report: json!({ "plan": plan, "folder": folder, "text": said }),
            files: vec![folder],
        })
    }

    fn wanted(&self, entry: Option<&Entry>) -> Result<Wanted> {
        let mut wanted = match entry {
            Some(entry) if self.files.is_empty() => Wanted::of(entry),
            Some(entry) => Wanted::files(entry.hub_id, self.files.clone()),
            None if !is_hub_id(&self.name) => {
                return Err(unknown(&self.name));
            }
            None if self.files.is_empty() => Wanted::files(&self.name, vec!["*".to_owned()]),
            None => Wanted::files(&self.name, self.files.clone()),
        };
        if let Some(revision) = &self.revision {
            wanted.revision.clone_from(revision);
        }
        Ok(wanted)
    }
}

/// What to do with a model that has arrived.
fn next_step(entry: &Entry) -> Option<String> {
    if hub::RECIPES.iter().any(|recipe| recipe.name == entry.name) {
        let name = entry.name;
        return Some(format!(
            "A model to generate with comes of it by: one4d models assemble {name}\n"
        ));
    }
    (entry.group == Group::Fast).then(|| {
        let file = entry.files.first().map_or("FILE", |file| file.pattern);
        format!("To use it: one4d generate --preset fast --lora .../{file} ...\n")
    })
}

/// What a person should know before saying yes.
fn describe(plan: &FetchPlan, entry: Option<&Entry>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<9} {value}");
    };
    line("Model", &plan.hub_id);
    line("Revision", &format!("{} ({})", plan.revision, plan.commit));
    let mut licence = plan
        .licence
        .clone()
        .unwrap_or_else(|| "none named by its publisher".to_owned());
    if let Some(note) = entry.and_then(|entry| entry.licence_note) {
        let _ = write!(licence, "; {note}");
    }
    if plan.is_gated {
        licence.push_str("; its publisher asks for consent to terms");
    }
    line("Licence", &licence);
    let missing = plan.missing_bytes();
    let here = plan.total_bytes() - missing;
    let size = match (here, missing) {
        (_, 0) => format!("{}, all of it here", bytes(here)),
        (0, _) => bytes(missing),
        _ => format!(
            "{}, of which {} are here",
            bytes(plan.total_bytes()),
            bytes(here)
        ),
    };
    line("Size", &format!("{size} in {} files", plan.files.len()));
    line("Folder", &plan.folder.display().to_string());
    if let Some(free) = plan.free_bytes {
        let verdict = if plan.is_too_large() {
            ", which is too little"
        } else {
            ""
        };
        line("Free", &format!("{}{verdict}", bytes(free)));
    }
    for file in &plan.files {
        let mark = if file.is_present() { " (here)" } else { "" };
        let _ = writeln!(text, "  {:>8}  {}{mark}", bytes(file.bytes), file.name);
    }
    text
}

impl AssembleArgs {
    /// Makes the model folder.
    ///
    /// # Errors
    /// Those of [`hub::assemble`]; [`Error::Invalid`] for a name that is none.
    pub fn run(self, printer: &Printer) -> Result<Output> {
        let store = Store::for_user();
        let settings = model_folders::settings(&store)?;
        let recipe = hub::recipe(&self.name).ok_or_else(|| {
            let names: Vec<&str> = hub::RECIPES.iter().map(|recipe| recipe.name).collect();
            Error::invalid(
                format!("`{}`", self.name),
                format!("is none of {}", names.join(", ")),
            )
        })?;
        let out = self.out.unwrap_or_else(|| store.model_folder(recipe.name));
        let program = std::env::current_exe().map_err(|e| Error::io("one4d", e))?;
        let own = self.adapters.as_deref();
        let folder =
            printer.run_here(|ctx| hub::assemble(&settings, recipe, own, &out, &program, ctx))?;
        Ok(Output {
            report: json!({ "model": recipe.title, "folder": folder }),
            files: vec![folder],
        })
    }
}

impl RegisterArgs {
    /// Notes the folder.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that is not there or a file that cannot be written.
    pub fn run(self) -> Result<Output> {
        let store = Store::for_user();
        let folder = std::path::absolute(&self.folder).map_err(|e| Error::io(&self.folder, e))?;
        let mut folders = ModelFolders::read(&store);
        if self.remove {
            if !folders.remove(&folder) {
                return Err(Error::invalid(
                    folder.display().to_string(),
                    "is not registered",
                ));
            }
        } else {
            std::fs::read_dir(&folder).map_err(|e| Error::io(&folder, e))?;
            folders.add(&folder);
        }
        let file = store.models_file();
        store::write_json(&file, &folders).map_err(|e| Error::io(&file, e))?;
        let text: Vec<String> = folders
            .folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let text = match text.as_slice() {
            [] => "No folder is registered".to_owned(),
            some => format!("Registered:\n{}", some.join("\n")),
        };
        Ok(Output {
            report: json!({ "folders": folders.folders, "text": text }),
            files: Vec::new(),
        })
    }
}
