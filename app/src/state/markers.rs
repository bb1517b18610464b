//! Markers: frames of the clip with a name.

use serde::{Deserialize, Serialize};

/// A frame with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Frame of the clip.
    pub frame_idx: usize,
    /// Its name for people.
    pub name: String,
}

/// A change of the markers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkerEdit {
    /// Gives the marker of a frame a name.
    Rename(usize, String),
    /// Takes the marker of a frame away.
    Remove(usize),
}

/// Markers in the order of their frames, at most one a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Markers(Vec<Marker>);

impl Markers {
    /// In the order of their frames.
    pub fn list(&self) -> &[Marker] {
        &self.0
    }

    /// Marks a frame; a marked one stays as it is.
    pub fn add(&mut self, frame_idx: usize) {
        if let Err(at) = self.0.binary_search_by_key(&frame_idx, |m| m.frame_idx) {
            let name = format!("Frame {}", frame_idx + 1);
            self.0.insert(at, Marker { frame_idx, name });
        }
    }

    /// Applies an edit.
    pub fn edit(&mut self, edit: MarkerEdit) {
        match edit {
            MarkerEdit::Rename(frame_idx, name) => {
                if let Some(marker) = self.0.iter_mut().find(|m| m.frame_idx == frame_idx) {
                    marker.name = name;
                }
            }
            MarkerEdit::Remove(frame_idx) => self.0.retain(|m| m.frame_idx != frame_idx),
        }
    }

    /// The next marked frame after `frame_idx`.
    pub fn after(&self, frame_idx: usize) -> Option<usize> {
        let mut frames = self.0.iter().map(|m| m.frame_idx);
        frames.find(|&marked| marked > frame_idx)
    }

    /// The last marked frame before `frame_idx`.
    pub fn before(&self, frame_idx: usize) -> Option<usize> {
        let mut frames = self.0.iter().rev().map(|m| m.frame_idx);
        frames.find(|&marked| marked < frame_idx)
    }

    /// Lets go of markers beyond the clip, and puts stored ones in order.
    pub fn fit(mut self, num_frames: usize) -> Self {
        self.0.retain(|m| m.frame_idx < num_frames);
        self.0.sort_by_key(|m| m.frame_idx);
        self.0.dedup_by_key(|m| m.frame_idx);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_keep_their_order_and_are_jumped_between() {
        let mut markers = Markers::default();
        for frame in [7, 2, 7, 4] {
            markers.add(frame);
        }
        let frames: Vec<_> = markers.list().iter().map(|m| m.frame_idx).collect();
        assert_eq!(frames, [2, 4, 7]);
        assert_eq!((markers.before(4), markers.after(4)), (Some(2), Some(7)));
        assert_eq!((markers.before(2), markers.after(7)), (None, None));
        markers.edit(MarkerEdit::Rename(4, "splash".to_owned()));
        markers.edit(MarkerEdit::Remove(2));
        assert_eq!(markers.list()[0].name, "splash");
        assert_eq!(markers.fit(5).list().len(), 1);
    }
}
