//! `one4d models list`: public models, and what of them lies here.

use std::fmt::Write as _;

use one4d_engine::Result;
use one4d_engine::hub::{self, CATALOGUE, Entry, Found, Group, State};
use one4d_engine::worker::Output;
use serde_json::json;

use crate::services::{Store, model_folders};
use crate::widgets::bytes;

/// The list.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only models of which something lies here.
    #[arg(long)]
    here: bool,
}

impl ListArgs {
    /// Looks around on the disk.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings of the environment that cannot be used.
    pub fn run(self) -> Result<Output> {
        let settings = model_folders::settings(&Store::for_user())?;
        let mut text = String::new();
        let mut report = Vec::new();
        for group in Group::ALL {
            let entries = CATALOGUE.iter().filter(|entry| entry.group == group);
            let found: Vec<(&Entry, Found)> = entries
                .map(|entry| (entry, hub::look(&settings, entry)))
                .filter(|(_, found)| !self.here || found.state != State::Absent)
                .collect();
            if found.is_empty() {
                continue;
            }
            if report.is_empty() {
                let _ = writeln!(
                    text,
                    "{}",
                    line(["name", "state", "size", "licence", "what for"])
                );
            }
            let _ = writeln!(text, "{}", group.label());
            for (entry, found) in &found {
                let _ = writeln!(text, "{}", row(entry, found));
                report.push(json!({ "entry": entry, "found": found }));
            }
        }
        if report.is_empty() {
            text.push_str("Nothing lies here yet; `one4d models list` shows what there is\n");
        }
        let cache = settings.cache.display();
        let _ = writeln!(text, "\nCache: {cache}");
        for folder in &settings.folders {
            let _ = writeln!(text, "Folder: {}", folder.display());
        }
        if report.len() > 1 {
            text.push_str(
                "Sizes with ~ are by documentation. `one4d models fetch NAME` asks the hub for size \
                 and licence, shows them and asks you.\n",
            );
        }
        Ok(Output {
            report: json!({
                "models": report,
                "cache": settings.cache,
                "folders": settings.folders,
                "text": text,
            }),
            files: Vec::new(),
        })
    }
}

/// A row of the list.
fn row(entry: &Entry, found: &Found) -> String {
    line([
        entry.name,
        &found.state.label().to_lowercase(),
        &size(entry, found),
        found.licence.as_deref().unwrap_or("not known"),
        &purpose(entry),
    ])
}

/// A line of the table.
fn line([name, state, size, licence, purpose]: [&str; 5]) -> String {
    format!("  {name:<24} {state:<9} {size:>8}  {licence:<12} {purpose}")
}

/// What it is for, and what about it only the hub can confirm.
fn purpose(entry: &Entry) -> String {
    let doubt = entry.unconfirmed;
    let doubt = doubt.map(|what| format!(" (not confirmed: {what})"));
    format!("{}{}", entry.purpose, doubt.unwrap_or_default())
}

/// The size of what lies here, else what is documented.
fn size(entry: &Entry, found: &Found) -> String {
    let (known, is_whole) = entry.known_bytes();
    match (found.state, known, is_whole) {
        (State::Present, _, _) => bytes(found.bytes),
        // The encoders' size says nothing about a network whose size is not known.
        (_, known, false) if known < 1_000_000_000 => "?".to_owned(),
        (_, known, true) => format!("~{}", bytes(known)),
        (_, known, false) => format!(">{}", bytes(known)),
    }
}
