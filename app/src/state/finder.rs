//! The command palette: every action and recent file, found by a few letters of its name.

use std::path::PathBuf;

use super::action::Action;
use super::recent::Recent;

/// The palette while it is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finder {
    /// What was typed.
    pub query: String,
    /// Position of the marked row among the hits.
    pub marked: usize,
}

/// Something that the palette finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hit {
    /// Does it.
    Action(Action),
    /// Opens it.
    File(PathBuf),
}

/// An edit of the open palette.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinderEdit {
    /// What was typed.
    Query(String),
    /// Another row is marked.
    Mark(usize),
    /// Does what is marked and closes.
    Take(Hit),
    /// Closes it.
    Close,
}

/// Everything whose name has the letters of `query` in order, best first; all of it for no letters.
pub fn hits(query: &str, recent: &Recent) -> Vec<Hit> {
    let actions = Action::ALL
        .iter()
        .filter(|action| !matches!(action, Action::FindAction | Action::Dismiss))
        .map(|&action| {
            let spec = action.spec();
            // The group counts for little: "time" lists playback after what is called so.
            let by_name = score(query, spec.name).map(|score| score + 4);
            let best = by_name.max(score(query, spec.tooltip).map(|score| score - 8));
            (best, Hit::Action(action))
        });
    let files = recent.paths().iter().map(|path| {
        let shown = path.display().to_string();
        (score(query, &shown), Hit::File(path.clone()))
    });
    let mut found: Vec<_> = actions
        .chain(files)
        .filter_map(|(score, hit)| Some((score?, hit)))
        .collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found.into_iter().map(|(_, hit)| hit).collect()
}

/// How well the letters of `query` stand in `text` in order; starts of words and runs count more.
///
/// `None` where they do not; 0 for no letters.
fn score(query: &str, text: &str) -> Option<i32> {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let wanted = query.to_lowercase();
    let mut total = 0;
    let mut from = 0;
    let mut last = None;
    for letter in wanted.chars().filter(|c| !c.is_whitespace()) {
        let starts_word = |i: usize| i == 0 || !text[i - 1].is_alphanumeric();
        let rest = from..text.len();
        // A run goes on if it can; else the start of a word is better than any letter.
        let next = rest
            .clone()
            .find(|&i| text[i] == letter && last.is_some_and(|last| i == last + 1))
            .or_else(|| rest.clone().find(|&i| text[i] == letter && starts_word(i)))
            .or_else(|| rest.clone().find(|&i| text[i] == letter))?;
        total += match last {
            Some(last) if next == last + 1 => 6,
            _ if starts_word(next) => 5,
            _ => -2,
        };
        last = Some(next);
        from = next + 1;
    }
    // Among equals the shorter name is meant.
    Some(total * 8 - text.len() as i32 / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(query: &str) -> Hit {
        hits(query, &Recent::default()).swap_remove(0)
    }

    #[test]
    fn a_few_letters_find_what_is_meant() {
        assert_eq!(first("depth"), Hit::Action(Action::ColourDepth));
        assert_eq!(first("look thr"), Hit::Action(Action::LookThrough));
        assert_eq!(first("ltc"), Hit::Action(Action::LookThrough));
        assert_eq!(first("clip"), Hit::Action(Action::ToggleClipBox));
        assert_eq!(first("EXPORT"), Hit::Action(Action::Export));
    }

    #[test]
    fn nothing_typed_lists_everything_and_nonsense_nothing() {
        let all = hits("", &Recent::default()).len();
        assert_eq!(all, Action::ALL.len() - 2);
        assert!(hits("zzqx", &Recent::default()).is_empty());
    }

    #[test]
    fn recent_files_are_found_by_their_folder() {
        let mut recent = Recent::default();
        recent.add(std::path::Path::new("/runs/kitchen/scene.one4d"));
        let found = hits("kitchen", &recent);
        assert_eq!(found[0], Hit::File("/runs/kitchen/scene.one4d".into()));
    }
}
