//! What of one scene lies on the GPU, what is needed next and what goes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use one4d_engine::scene::Scene4d;

use super::bounds::SceneBounds;
use super::filter::PointFilter;
use super::ghosts::Ghost;
use super::stats::SceneRanges;
use super::wish::{Resident, ResidentFrame, ResidentGhost, StillGpu, Wish};

/// A frame is looked at anew for its filter only once time stands still for so long; while it
/// plays, encoding each frame again would cost more than showing it.
const COUNT_DELAY: Duration = Duration::from_millis(100);

/// How far the still cloud of a scene is.
#[derive(Clone, Default)]
pub(super) enum Still {
    #[default]
    Unasked,
    Underway,
    Ready(Vec<Arc<StillGpu>>),
}

pub(super) struct SceneGpu {
    pub(super) scene: Weak<Scene4d>,
    pub(super) bounds: SceneBounds,
    /// Made with the first frame.
    pub(super) ranges: Option<SceneRanges>,
    pub(super) frames: BTreeMap<usize, ResidentFrame>,
    pub(super) problem: Option<String>,
    pub(super) wish: Wish,
    /// The ghosts of the wish.
    pub(super) ghosts: Vec<Ghost>,
    /// Since when the frame has been wanted.
    since: Instant,
    pub(super) counted: Option<(usize, PointFilter, f32)>,
    pub(super) still: Still,
    backwards: bool,
    /// Larger for scenes asked for more recently.
    pub(super) asked: u64,
}

impl SceneGpu {
    pub(super) fn new(scene: &Arc<Scene4d>) -> Self {
        Self::empty(Arc::downgrade(scene), SceneBounds::of(scene))
    }

    fn empty(scene: Weak<Scene4d>, bounds: SceneBounds) -> Self {
        Self {
            scene,
            bounds,
            ranges: None,
            frames: BTreeMap::new(),
            problem: None,
            wish: Wish::frame(0),
            ghosts: Vec::new(),
            since: Instant::now(),
            counted: None,
            still: Still::Unasked,
            backwards: false,
            asked: 0,
        }
    }

    pub(super) fn is(&self, scene: &Arc<Scene4d>) -> bool {
        std::ptr::eq(self.scene.as_ptr(), Arc::as_ptr(scene))
    }

    /// Notes the wish and the direction of playback; returns whether the wish is a new one.
    pub(super) fn turn_to(&mut self, wish: Wish, num_frames: usize, most_ghosts: usize) -> bool {
        if self.wish == wish {
            return false;
        }
        let (before, now) = (self.wish.frame_idx, wish.frame_idx);
        if before != now {
            self.since = Instant::now();
            // A jump of more than half the clip is a loop closing, not a change of direction.
            if now.abs_diff(before) * 2 <= num_frames {
                self.backwards = now < before;
            }
        }
        self.wish = wish;
        self.ghosts = wish
            .ghosts
            .map_or(Vec::new(), |g| g.around(now, num_frames, most_ghosts));
        true
    }

    /// Frames in the order in which they are needed: the wanted one, its ghosts, then the way that
    /// playback runs. Ghosts come up twice.
    fn order(&self, num_frames: usize) -> impl Iterator<Item = usize> + use<'_> {
        let wanted = self.wish.frame_idx.min(num_frames - 1);
        let ghosts = self.ghosts.iter().map(|g| g.frame_idx);
        let ahead = (1..num_frames).map(move |ahead| {
            let step = if self.backwards {
                num_frames - ahead
            } else {
                ahead
            };
            (wanted + step) % num_frames
        });
        std::iter::once(wanted).chain(ghosts).chain(ahead)
    }

    /// The first frames of the order, each once.
    pub(super) fn needed(&self, num_frames: usize, count: usize) -> Vec<usize> {
        let mut out = Vec::with_capacity(count);
        for frame_idx in self.order(num_frames) {
            if out.len() == count {
                break;
            }
            if !out.contains(&frame_idx) {
                out.push(frame_idx);
            }
        }
        out
    }

    /// Drops the frames needed last until `capacity` are left.
    pub(super) fn evict(&mut self, num_frames: usize, capacity: usize) {
        if self.frames.len() > capacity {
            let needed = self.needed(num_frames, num_frames);
            for frame_idx in needed.into_iter().rev() {
                if self.frames.len() <= capacity {
                    break;
                }
                self.frames.remove(&frame_idx);
            }
        }
    }

    pub(super) fn resident(&self) -> Resident {
        let Wish {
            frame_idx, filter, ..
        } = self.wish;
        Resident {
            frame: self.frames.get(&frame_idx).cloned(),
            ghosts: self
                .ghosts
                .iter()
                .filter_map(|ghost| {
                    let gpu = Arc::clone(&self.frames.get(&ghost.frame_idx)?.gpu);
                    Some(ResidentGhost { ghost: *ghost, gpu })
                })
                .collect(),
            still: match &self.still {
                Still::Ready(parts) if self.wish.still => parts.clone(),
                _ => Vec::new(),
            },
            hidden_share: self
                .counted
                .filter(|(t, counted, _)| *t == frame_idx && Some(*counted) == filter)
                .map(|(_, _, share)| share),
            bounds: self.bounds,
            problem: self.problem.clone(),
            short_of_memory: None,
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let frames = self.frames.values().map(|frame| frame.gpu.bytes());
        let still = match &self.still {
            Still::Ready(parts) => parts.iter().map(|part| part.gpu.bytes()).sum(),
            Still::Unasked | Still::Underway => 0,
        };
        frames.sum::<u64>() + still
    }

    /// The count that is due, or how long until it is; `cached` is the frame that is encoded.
    pub(super) fn count_due(
        &self,
        cached: Option<usize>,
    ) -> Result<(usize, PointFilter), Option<Duration>> {
        let frame_idx = self.wish.frame_idx;
        let filter = self.wish.filter.ok_or(None)?;
        if !self.frames.contains_key(&frame_idx) || self.resident().hidden_share.is_some() {
            return Err(None);
        }
        match COUNT_DELAY.checked_sub(self.since.elapsed()) {
            Some(rest) if cached != Some(frame_idx) => Err(Some(rest)),
            _ => Ok((frame_idx, filter)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::Ghosts;
    use super::*;

    fn entry(wanted: usize, backwards: bool) -> SceneGpu {
        let bounds = SceneBounds {
            centre: glam::DVec3::ZERO,
            radius: 1.0,
            floor_y: 0.0,
            depth: 1.0,
        };
        SceneGpu {
            wish: Wish::frame(wanted),
            backwards,
            ..SceneGpu::empty(Weak::new(), bounds)
        }
    }

    fn needed(entry: &SceneGpu) -> Vec<usize> {
        entry.needed(5, 5)
    }

    #[test]
    fn the_wanted_frame_comes_first_and_the_rest_in_play_direction() {
        assert_eq!(needed(&entry(3, false)), [3, 4, 0, 1, 2]);
        assert_eq!(needed(&entry(1, true)), [1, 0, 4, 3, 2]);
    }

    #[test]
    fn ghosts_come_before_what_playback_needs() {
        let mut entry = entry(0, false);
        let ghosts = Ghosts {
            back: 4,
            forward: 0,
            stride: 2,
            fade: true,
        };
        let wish = Wish {
            ghosts: Some(ghosts),
            ..Wish::frame(4)
        };
        assert!(entry.turn_to(wish, 5, 9));
        assert_eq!(needed(&entry), [4, 2, 0, 1, 3]);
        assert_eq!(entry.needed(5, 2), [4, 2]);
    }

    #[test]
    fn direction_follows_steps_but_not_the_loop() {
        let mut entry = entry(3, false);
        let turn = |entry: &mut SceneGpu, frame_idx| entry.turn_to(Wish::frame(frame_idx), 5, 0);
        assert!(turn(&mut entry, 4));
        assert!(turn(&mut entry, 0) && !entry.backwards, "looped");
        assert!(!turn(&mut entry, 0));
        assert!(turn(&mut entry, 1) && !entry.backwards);
        assert!(turn(&mut entry, 0) && entry.backwards);
    }
}
