//! Images at chosen frames: no two at one frame, none outside the clip.

use std::path::PathBuf;

use super::create::CreateForm;

/// An image and the frame it stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedFrame {
    /// The image file.
    pub path: PathBuf,
    /// Frame index.
    pub at: usize,
}

impl CreateForm {
    /// Places an image at the free frame nearest to `at`; drops it if every frame is taken.
    pub fn place(&mut self, path: PathBuf, at: usize) -> bool {
        let Some(at) = self.nearest_free(at) else {
            return false;
        };
        self.placed.push(PlacedFrame { path, at });
        self.placed.sort_by_key(|frame| frame.at);
        true
    }

    /// Moves a placed frame; takes the nearest free frame if that one is taken.
    pub fn move_placed(&mut self, index: usize, at: usize) {
        if index < self.placed.len() {
            let frame = self.placed.remove(index);
            self.place(frame.path, at);
        }
    }

    /// Places images evenly over what is still free, the first at frame 0 if that is free.
    pub fn place_evenly(&mut self, paths: Vec<PathBuf>) -> usize {
        let count = paths.len();
        let last = self.num_frames - 1;
        let mut placed = 0;
        for (i, path) in paths.into_iter().enumerate() {
            let at = if !self.placed.is_empty() && count == 1 {
                self.widest_gap()
            } else {
                (i * last).checked_div(count - 1).unwrap_or(0)
            };
            placed += usize::from(self.place(path, at));
        }
        placed
    }

    fn nearest_free(&self, at: usize) -> Option<usize> {
        let at = at.min(self.num_frames - 1);
        let taken = |candidate| self.placed.iter().any(|frame| frame.at == candidate);
        (0..self.num_frames)
            .filter(|&candidate| !taken(candidate))
            .min_by_key(|&candidate| (candidate.abs_diff(at), candidate))
    }

    /// The free frame that is farthest from every placed one.
    fn widest_gap(&self) -> usize {
        (0..self.num_frames)
            .max_by_key(|&candidate| {
                self.placed
                    .iter()
                    .map(|frame| frame.at.abs_diff(candidate))
                    .min()
                    .unwrap_or(usize::MAX)
            })
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::ModelFacts;
    use super::*;

    #[test]
    fn placed_images_never_share_a_frame_and_never_leave_the_clip() {
        let mut form = CreateForm::new(&ModelFacts::default());
        form.set_num_frames(17);
        assert_eq!(
            form.place_evenly(vec!["a".into(), "b".into(), "c".into()]),
            3
        );
        let at = |form: &CreateForm| form.placed.iter().map(|f| f.at).collect::<Vec<_>>();
        assert_eq!(at(&form), [0, 8, 16]);
        form.move_placed(1, 16);
        assert_eq!(at(&form), [0, 15, 16]);
        form.set_num_frames(5);
        assert_eq!(at(&form), [0, 3, 4]);
        form.place_evenly(vec!["d".into()]);
        assert_eq!(form.placed.len(), 4);
        form.place_evenly(vec!["e".into(), "f".into()]);
        assert_eq!(at(&form), [0, 1, 2, 3, 4]);
    }
}
