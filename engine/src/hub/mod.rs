//! Public models: what there is, what of it lies here, and fetching it when somebody asks.
//!
//! Four steps, each of which can be taken alone:
//!
//! 1. [`look`] says what of the [`CATALOGUE`] lies in the shared cache or in folders that the user named.
//! 2. [`plan`] asks the hub what a download would be: commit, files, sizes, hashes, licence.
//! 3. [`fetch`] carries out a plan. No other function downloads, and none asks a server unless called.
//! 4. [`assemble`] makes a model folder of files that are there.
//!
//! Servers are not trusted: names are checked before they become paths, sizes and hashes before a file
//! gets its name, and the token goes to the hub's own host alone.

mod address;
mod assemble;
mod cache;
mod catalogue;
mod client;
mod connection;
mod fetch;
mod listing;
mod names;
mod partial;
mod plan;
mod present;
mod proxies;
mod refusal;
mod settings;
mod transfer;
mod wait;

pub use assemble::{AdapterSource, RECIPES, Recipe, assemble, recipe};
pub use cache::RepoCache;
pub use catalogue::{CATALOGUE, Entry, Group, Needed, Part, find};
pub use fetch::{Verified, fetch, forget_damaged, forget_partial, verify};
pub use listing::ContentHash;
pub use names::is_hub_id;
pub use plan::{FetchPlan, PlannedFile, Wanted, plan};
pub use present::{Found, State, look};
pub use proxies::Proxies;
pub use settings::{HubSettings, Patience, Token};

/// Cards and licences, taken along with every model where they exist.
const PAPERS: [&str; 3] = ["README.md", "LICENSE*", "NOTICE*"];

impl Wanted {
    /// What an entry needs.
    pub fn of(entry: &Entry) -> Self {
        Self {
            hub_id: entry.hub_id.to_owned(),
            revision: entry.revision.to_owned(),
            patterns: entry
                .files
                .iter()
                .map(|file| file.pattern.to_owned())
                .collect(),
            optional: papers(),
        }
    }

    /// Files of any model on the hub.
    pub fn files(hub_id: &str, patterns: Vec<String>) -> Self {
        Self {
            hub_id: hub_id.to_owned(),
            revision: "main".to_owned(),
            patterns,
            optional: papers(),
        }
    }
}

fn papers() -> Vec<String> {
    PAPERS.map(str::to_owned).into()
}
