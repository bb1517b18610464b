//! Public models that the studio can use, by the names that their publishers gave them.
//!
//! The table itself is `catalogue.json`. Sizes are those that are documented or follow from the
//! architecture; what is not known stands as `None` and is asked from the hub before a download, as is
//! every licence. Ids and names of files were found in listings and documentation of the hub or in
//! programs that download them; an entry says of what that is not so ([`Entry::unconfirmed`]).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// What a file is to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Shape of the video transformer, `config.json`.
    Config,
    /// Weights of the video transformer.
    Denoiser,
    /// Weights of the video codec.
    Codec,
    /// Weights of the text encoder.
    Text,
    /// Its `tokenizer.json`.
    Tokenizer,
    /// Weights of the image encoder.
    Image,
    /// Adapters that couple RGB and geometry.
    Adapters,
    /// Domain embeddings of 4DNeX.
    Domains,
    /// A LoRA for fewer steps.
    Fast,
}

/// Groups of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// What makes 4D scenes.
    Scenes,
    /// Video models with everything that belongs to them.
    Base,
    /// The same networks in fewer bits.
    Quantised,
    /// Single parts.
    Part,
    /// Sampling in fewer steps.
    Fast,
}

impl Group {
    /// Every group, in the order of the list.
    pub const ALL: [Self; 5] = [
        Self::Scenes,
        Self::Base,
        Self::Quantised,
        Self::Part,
        Self::Fast,
    ];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Scenes => "4D adapters",
            Self::Base => "Base models",
            Self::Quantised => "Smaller base models",
            Self::Part => "Encoders and codec",
            Self::Fast => "Fewer steps",
        }
    }
}

/// Files that a model needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needed {
    /// What they are.
    pub part: Part,
    /// Pattern of their names, fetched unless told otherwise.
    pub pattern: &'static str,
    /// Pattern of names that serve as well where they are there already.
    #[serde(default)]
    pub instead: Option<&'static str>,
    /// Size in all, where it is known without asking.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// A public model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Short name for the command line.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// `organisation/model` on the hub.
    pub hub_id: &'static str,
    /// Branch that is followed.
    pub revision: &'static str,
    /// Where the list shows it.
    pub group: Group,
    /// What it is for.
    pub purpose: &'static str,
    /// Its files.
    pub files: Vec<Needed>,
    /// Single files whose names tell them apart in any folder.
    pub single_files: bool,
    /// Short names of entries without which it does nothing.
    pub needs: Vec<&'static str>,
    /// What is known about its licence, where the card alone might mislead.
    pub licence_note: Option<&'static str>,
    /// What of this entry rests on no listing or documentation of the hub; asking the hub settles it.
    pub unconfirmed: Option<&'static str>,
}

impl Entry {
    /// The sum of the known sizes, and whether it is the whole.
    pub fn known_bytes(&self) -> (u64, bool) {
        let sum = self.files.iter().filter_map(|file| file.bytes).sum();
        (sum, self.files.iter().all(|file| file.bytes.is_some()))
    }
}

/// Every entry, in the order of the list.
pub static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let table: Table = serde_json::from_str(include_str!("catalogue.json"))
        .expect("the table is part of the program and read by its tests");
    let layouts = table.layouts;
    let entries = table.models.into_iter();
    entries.map(|row| row.entry(&layouts)).collect()
});

/// The entry of a short name or a hub id.
pub fn find(name: &str) -> Option<&'static Entry> {
    let by_name = CATALOGUE.iter().find(|entry| entry.name == name);
    by_name.or_else(|| {
        // Several entries may take files of one publisher's collection; the id then names none.
        let mut of_id = CATALOGUE.iter().filter(|entry| entry.hub_id == name);
        of_id.next().filter(|_| of_id.next().is_none())
    })
}

/// Files of whole repositories by the name of their layout.
type Layouts = BTreeMap<&'static str, Vec<Needed>>;

/// `catalogue.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(borrow)]
    layouts: BTreeMap<&'static str, Vec<Needed>>,
    models: Vec<Row>,
}

/// An entry as it stands in the table: its files one by one, or a layout and the network's size.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: &'static str,
    title: &'static str,
    hub_id: &'static str,
    group: Group,
    purpose: &'static str,
    #[serde(default)]
    layout: Option<&'static str>,
    #[serde(default)]
    denoiser_bytes: Option<u64>,
    #[serde(default)]
    files: Vec<Needed>,
    #[serde(default)]
    single_files: bool,
    #[serde(default)]
    needs: Vec<&'static str>,
    #[serde(default)]
    licence_note: Option<&'static str>,
    #[serde(default)]
    unconfirmed: Option<&'static str>,
}

impl Row {
    fn entry(self, layouts: &Layouts) -> Entry {
        let layout = self.layout.and_then(|name| layouts.get(name));
        let mut files = layout.cloned().unwrap_or_default();
        for file in &mut files {
            if file.part == Part::Denoiser {
                file.bytes = self.denoiser_bytes;
            }
        }
        files.extend(self.files);
        Entry {
            name: self.name,
            title: self.title,
            hub_id: self.hub_id,
            revision: "main",
            group: self.group,
            purpose: self.purpose,
            files,
            single_files: self.single_files,
            needs: self.needs,
            licence_note: self.licence_note,
            unconfirmed: self.unconfirmed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::names::{fits, is_hub_id};
    use super::*;

    #[test]
    fn names_are_unique_and_needs_exist() {
        let names: HashSet<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for entry in CATALOGUE.iter() {
            assert!(is_hub_id(entry.hub_id), "{}", entry.hub_id);
            assert!(!entry.files.is_empty() && !entry.purpose.is_empty());
            assert!(
                entry.needs.iter().all(|need| names.contains(need)),
                "{}",
                entry.name
            );
            assert!(Group::ALL.contains(&entry.group));
            let parts: HashSet<_> = entry.files.iter().map(|file| file.part).collect();
            assert_eq!(parts.len(), entry.files.len(), "{}", entry.name);
        }
    }

    #[test]
    fn what_is_fetched_serves_as_what_is_looked_for() {
        for file in CATALOGUE.iter().flat_map(|entry| &entry.files) {
            if let Some(instead) = file.instead {
                let name = file
                    .pattern
                    .replace('*', "wan2.1-Fun-14B-InP-umt5-xxl-encoder-Wan2_1_VAE_");
                let either = fits(instead, &name) || fits(file.pattern, &name);
                assert!(either, "{} {instead}", file.pattern);
            }
        }
    }

    #[test]
    fn an_id_of_one_entry_names_it() {
        assert_eq!(find("4dnex").unwrap().hub_id, "FrozenBurning/4DNex-Lora");
        assert_eq!(find("FrozenBurning/4DNex-Lora").unwrap().name, "4dnex");
        assert_eq!(find("Kijai/WanVideo_comfy"), None);
        let (bytes, whole) = find("fun-inp-1.3b").unwrap().known_bytes();
        assert!(whole && bytes > 19_000_000_000 && bytes < 20_000_000_000);
    }
}
