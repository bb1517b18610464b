//! How the middle of the window is divided: the view, the source frame, the plot.

use serde::{Deserialize, Serialize};

/// Something that has a place of its own in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pane {
    /// The scene, or two of them.
    View,
    /// The frame as the model saw or made it.
    Source,
    /// A measure over time.
    Plot,
}

/// Panes in rows, columns and tabs; each part with its share of the room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// One pane.
    Pane(Pane),
    /// Side by side.
    Row(Vec<(f32, Arrangement)>),
    /// Above each other.
    Column(Vec<(f32, Arrangement)>),
    /// One at a time; the first number says which.
    Tabs(usize, Vec<Arrangement>),
}

impl Default for Arrangement {
    fn default() -> Self {
        Self::Pane(Pane::View)
    }
}

impl Arrangement {
    /// Every pane, in reading order.
    pub fn panes(&self) -> Vec<Pane> {
        match self {
            Self::Pane(pane) => vec![*pane],
            Self::Row(parts) | Self::Column(parts) => {
                parts.iter().flat_map(|(_, part)| part.panes()).collect()
            }
            Self::Tabs(_, parts) => parts.iter().flat_map(Self::panes).collect(),
        }
    }

    /// True if a pane has a place.
    pub fn has(&self, pane: Pane) -> bool {
        self.panes().contains(&pane)
    }

    /// Gives a pane its usual place, if it has none: the plot below, the source frame at the right.
    pub fn show(&mut self, pane: Pane) {
        if self.has(pane) {
            return;
        }
        let rest = std::mem::take(self);
        *self = match pane {
            Pane::Plot => Self::Column(vec![(0.7, rest), (0.3, Self::Pane(pane))]),
            Pane::Source | Pane::View => Self::Row(vec![(0.62, rest), (0.38, Self::Pane(pane))]),
        };
    }

    /// Takes a pane away; the view stays.
    pub fn hide(&mut self, pane: Pane) {
        if pane != Pane::View && self.has(pane) {
            *self = std::mem::take(self).without(pane).unwrap_or_default();
        }
    }

    fn without(self, pane: Pane) -> Option<Self> {
        let keep = |parts: Vec<(f32, Self)>| -> Vec<(f32, Self)> {
            let kept = parts.into_iter();
            kept.filter_map(|(share, part)| Some((share, part.without(pane)?)))
                .collect()
        };
        match self {
            Self::Pane(own) => (own != pane).then_some(self),
            Self::Row(parts) => only_or(keep(parts), Self::Row),
            Self::Column(parts) => only_or(keep(parts), Self::Column),
            Self::Tabs(active, parts) => {
                let kept: Vec<Self> = parts.into_iter().filter_map(|p| p.without(pane)).collect();
                match kept.len() {
                    0 | 1 => kept.into_iter().next(),
                    n => Some(Self::Tabs(active.min(n - 1), kept)),
                }
            }
        }
    }

    /// The same if it can be shown: the view is there, nothing twice, every share above zero.
    pub fn sound(self) -> Option<Self> {
        let panes = self.panes();
        let once = |pane: &Pane| panes.iter().filter(|p| *p == pane).count() == 1;
        let whole = panes.contains(&Pane::View) && panes.iter().all(once);
        (whole && self.has_room()).then_some(self)
    }

    fn has_room(&self) -> bool {
        match self {
            Self::Pane(_) => true,
            Self::Row(parts) | Self::Column(parts) => {
                !parts.is_empty()
                    && parts
                        .iter()
                        .all(|(share, part)| *share > 0.0 && share.is_finite() && part.has_room())
            }
            Self::Tabs(_, parts) => !parts.is_empty() && parts.iter().all(Self::has_room),
        }
    }
}

/// A part that is left alone needs no container.
fn only_or(
    mut parts: Vec<(f32, Arrangement)>,
    container: impl Fn(Vec<(f32, Arrangement)>) -> Arrangement,
) -> Option<Arrangement> {
    match parts.len() {
        0 => None,
        1 => parts.pop().map(|(_, part)| part),
        _ => Some(container(parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_come_and_go_and_the_view_stays() {
        let mut middle = Arrangement::default();
        middle.show(Pane::Source);
        middle.show(Pane::Plot);
        middle.show(Pane::Plot);
        assert_eq!(middle.panes(), [Pane::View, Pane::Source, Pane::Plot]);
        middle.hide(Pane::Source);
        assert_eq!(middle.panes(), [Pane::View, Pane::Plot]);
        middle.hide(Pane::View);
        middle.hide(Pane::Plot);
        assert_eq!(middle, Arrangement::default());
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let view = || Arrangement::Pane(Pane::View);
        assert!(view().sound().is_some());
        for broken in [
            Arrangement::Pane(Pane::Plot),
            Arrangement::Row(vec![(0.5, view()), (0.5, view())]),
            Arrangement::Row(vec![(0.0, view())]),
            Arrangement::Tabs(0, Vec::new()),
        ] {
            assert!(broken.sound().is_none());
        }
    }

    #[test]
    fn an_arrangement_survives_its_file() {
        let mut middle = Arrangement::default();
        middle.show(Pane::Source);
        let text = serde_json::to_string(&middle).unwrap();
        let back: Arrangement = serde_json::from_str(&text).unwrap();
        assert_eq!(back, middle);
    }
}
