//! LoRA files of the Create panel: which, how strong, whether they fit the model.

use std::path::{Path, PathBuf};

use one4d_engine::pipeline::{
    FewSteps, LoraChoice, LoraFit, Preset, SamplingDefaults, few_steps_by_name,
};
use serde::{Deserialize, Serialize};

/// Strengths that the panel offers.
pub const STRENGTHS: std::ops::RangeInclusive<f64> = 0.0..=2.0;

/// What is known of a file beside the chosen model.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum LoraState {
    /// Nothing yet.
    #[default]
    Checking,
    /// Every tensor has its place.
    Fits(LoraFit),
    /// Why it cannot be used: one problem a part, the first one first.
    Bad(Vec<String>),
}

/// A LoRA file of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraEntry {
    /// The file.
    pub path: PathBuf,
    /// Factor before what it adds.
    pub strength: f64,
    /// Whether it counts at all.
    pub on: bool,
    /// Taken for distilled to few steps: it counts with the preset "fast" only.
    pub distilled: bool,
    /// Whether it fits; found out anew for every model.
    #[serde(skip)]
    pub state: LoraState,
}

impl LoraEntry {
    /// A file at full strength, taken for distilled if its name says so.
    fn new(path: PathBuf) -> Self {
        Self {
            distilled: few_steps_by_name(&path).is_some(),
            path,
            strength: 1.0,
            on: true,
            state: LoraState::Checking,
        }
    }

    /// What the name says of few steps, if anything.
    pub fn named(&self) -> Option<FewSteps> {
        few_steps_by_name(&self.path)
    }

    /// How to sample with this file, if it is taken for distilled and is on: by its name, or as most of
    /// its kind.
    pub fn few_steps(&self) -> Option<SamplingDefaults> {
        let named = || self.named().map(|few| few.sampling);
        let counts = self.on && self.distilled && self.strength != 0.0;
        counts.then(|| named().unwrap_or_else(SamplingDefaults::distilled))
    }

    /// True if a run with this preset reads the file.
    pub fn counts_with(&self, preset: Preset) -> bool {
        self.on && self.strength != 0.0 && (!self.distilled || preset == Preset::Fast)
    }
}

/// A change of one file of the list.
#[derive(Clone, Debug, PartialEq)]
pub enum LoraEdit {
    /// Switches it on or off.
    On(bool),
    /// Factor before what it adds.
    Strength(f64),
    /// Takes it for distilled to few steps, or not.
    Distilled(bool),
    /// Takes it out of the list.
    Remove,
}

/// The files, in the order in which they came; none twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LoraList(Vec<LoraEntry>);

impl LoraList {
    /// The files.
    pub fn entries(&self) -> &[LoraEntry] {
        &self.0
    }

    /// True without files.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a file; one that is there already is switched on.
    pub fn add(&mut self, path: PathBuf) {
        match self.entry(&path) {
            Some(entry) => entry.on = true,
            None => self.0.push(LoraEntry::new(path)),
        }
    }

    /// Carries out an edit of a file; one that is not there is left alone.
    pub fn edit(&mut self, path: &Path, edit: &LoraEdit) {
        if *edit == LoraEdit::Remove {
            self.0.retain(|entry| entry.path != path);
            return;
        }
        let Some(entry) = self.entry(path) else {
            return;
        };
        match *edit {
            LoraEdit::On(on) => entry.on = on,
            LoraEdit::Strength(strength) if strength.is_finite() => {
                entry.strength = strength.clamp(*STRENGTHS.start(), *STRENGTHS.end());
            }
            LoraEdit::Distilled(distilled) => entry.distilled = distilled,
            LoraEdit::Strength(_) | LoraEdit::Remove => {}
        }
    }

    /// The list without what was found about its files.
    pub fn unchecked(&self) -> Self {
        let mut list = self.clone();
        list.forget_checks();
        list
    }

    /// Notes what became of checking a file.
    pub fn tell(&mut self, path: &Path, state: LoraState) {
        if let Some(entry) = self.entry(path) {
            entry.state = state;
        }
    }

    /// Forgets what was found, as for another model; returns the files to be checked.
    pub fn forget_checks(&mut self) -> Vec<PathBuf> {
        self.0
            .iter_mut()
            .map(|entry| {
                entry.state = LoraState::Checking;
                entry.path.clone()
            })
            .collect()
    }

    /// How to sample with the first file that is taken for distilled.
    pub fn few_steps(&self) -> Option<SamplingDefaults> {
        self.0.iter().find_map(LoraEntry::few_steps)
    }

    /// What a run with this preset reads.
    pub fn choices(&self, preset: Preset) -> Vec<LoraChoice> {
        let counting = self.0.iter().filter(|entry| entry.counts_with(preset));
        counting
            .map(|entry| LoraChoice {
                path: entry.path.clone(),
                strength: entry.strength,
            })
            .collect()
    }

    /// Numbers in the files that a run with this preset reads, and how many files those are; files that
    /// were not looked at yet do not count.
    pub fn values(&self, preset: Preset) -> (u64, usize) {
        let counting = self.0.iter().filter(|entry| entry.counts_with(preset));
        let fitting = counting.filter_map(|entry| match &entry.state {
            LoraState::Fits(fit) => Some(fit.values),
            _ => None,
        });
        fitting.fold((0, 0), |(values, files), more| (values + more, files + 1))
    }

    /// The first file that a run with this preset would read and that does not fit.
    pub fn misfit(&self, preset: Preset) -> Option<&LoraEntry> {
        let mut counting = self.0.iter().filter(|entry| entry.counts_with(preset));
        counting.find(|entry| matches!(entry.state, LoraState::Bad(_)))
    }

    /// Takes over the files of a request: they are on with its strengths, all others are off. A file that
    /// counted without the preset "fast" was not taken for distilled.
    pub fn take_over(&mut self, choices: &[LoraChoice], preset: Preset) {
        for entry in &mut self.0 {
            entry.on = false;
        }
        for choice in choices {
            self.add(choice.path.clone());
            if let Some(entry) = self.entry(&choice.path) {
                entry.strength = choice.strength;
                entry.distilled &= preset == Preset::Fast;
            }
        }
    }

    /// Takes the first file in use for distilled if none is, as the sampling of a request shows that
    /// one was.
    pub fn mark_distilled(&mut self) {
        if self.few_steps().is_none()
            && let Some(entry) = self.0.iter_mut().find(|entry| entry.on)
        {
            entry.distilled = true;
        }
    }

    fn entry(&mut self, path: &Path) -> Option<&mut LoraEntry> {
        self.0.iter_mut().find(|entry| entry.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> LoraList {
        let mut list = LoraList::default();
        for name in names {
            list.add(PathBuf::from(name));
        }
        list
    }

    fn names(list: &LoraList, preset: Preset) -> Vec<String> {
        let choices = list.choices(preset);
        let name = |choice: &LoraChoice| choice.path.display().to_string();
        choices.iter().map(name).collect()
    }

    #[test]
    fn a_distilled_file_counts_with_the_fast_preset_only() {
        let mut list = list(&["style", "lightx2v"]);
        assert_eq!(names(&list, Preset::Standard), ["style"]);
        assert_eq!(names(&list, Preset::Fast), ["style", "lightx2v"]);
        assert_eq!(list.few_steps(), Some(SamplingDefaults::distilled()));
        list.edit(Path::new("lightx2v"), &LoraEdit::Distilled(false));
        assert_eq!(names(&list, Preset::Standard), ["style", "lightx2v"]);
        assert_eq!(list.few_steps(), None);
        list.edit(Path::new("style"), &LoraEdit::Distilled(true));
        assert_eq!(list.few_steps().unwrap().steps, 4);
        list.edit(Path::new("style"), &LoraEdit::On(false));
        assert_eq!(list.few_steps(), None);
    }

    #[test]
    fn strengths_stay_in_their_range_and_files_come_once() {
        let mut list = list(&["a", "a"]);
        assert_eq!(list.entries().len(), 1);
        for (given, kept) in [(1.5, 1.5), (9.0, 2.0), (-1.0, 0.0), (f64::NAN, 0.0)] {
            list.edit(Path::new("a"), &LoraEdit::Strength(given));
            assert_eq!(list.entries()[0].strength, kept);
        }
        assert!(names(&list, Preset::Standard).is_empty(), "strength 0");
        list.edit(Path::new("a"), &LoraEdit::Remove);
        assert!(list.is_empty());
    }

    #[test]
    fn only_files_in_use_hold_up_a_run() {
        let mut list = list(&["a", "causvid"]);
        let bad = LoraState::Bad(vec!["x".to_owned()]);
        list.tell(Path::new("causvid"), bad);
        assert_eq!(list.misfit(Preset::Standard), None);
        assert!(list.misfit(Preset::Fast).is_some());
        assert_eq!(list.forget_checks().len(), 2);
        assert_eq!(list.misfit(Preset::Fast), None);
    }

    #[test]
    fn a_list_comes_back_from_a_session_unchecked() {
        let mut list = list(&["a"]);
        list.edit(Path::new("a"), &LoraEdit::Strength(0.5));
        list.tell(Path::new("a"), LoraState::Fits(LoraFit::default()));
        let text = serde_json::to_string(&list).unwrap();
        let back: LoraList = serde_json::from_str(&text).unwrap();
        assert_eq!(back.entries()[0].strength, 0.5);
        assert_eq!(back.entries()[0].state, LoraState::Checking);
    }
}
