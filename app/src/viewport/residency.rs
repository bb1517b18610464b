//! Which frames of which scenes lie on the GPU, which are needed next and which go first: plain
//! bookkeeping, without a device.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use one4d_engine::scene::Scene4d;

use super::bounds::SceneBounds;
use super::filter::PointFilter;
use super::frame_data::FrameData;
use super::ghosts::{Ghost, MAX_GHOST_POINTS};
use super::stats::SceneRanges;
use super::wish::{Resident, ResidentFrame, ResidentGhost, StillGpu, Wish};

/// However small the budget, the shown frame and the next stay.
const MIN_FRAMES: usize = 2;
/// A frame is looked at anew for its filter only once time stands still for so long; while it
/// plays, encoding each frame again would cost more than showing it.
const COUNT_DELAY: Duration = Duration::from_millis(100);

/// How far the still cloud of a scene is.
#[derive(Clone, Default)]
enum Still {
    #[default]
    Unasked,
    Underway,
    Ready(Vec<Arc<StillGpu>>),
}

/// What the thread has to do next.
pub(super) enum Task {
    Upload(Arc<Scene4d>, usize),
    Count(Arc<Scene4d>, usize, PointFilter),
    Collect(Arc<Scene4d>),
    /// Nothing, for so long.
    Wait(Option<Duration>),
}

pub(super) struct SceneGpu {
    pub(super) scene: Weak<Scene4d>,
    pub(super) bounds: SceneBounds,
    /// Made with the first frame.
    pub(super) ranges: Option<SceneRanges>,
    pub(super) frames: BTreeMap<usize, ResidentFrame>,
    pub(super) problem: Option<String>,
    wish: Wish,
    /// The ghosts of the wish.
    ghosts: Vec<Ghost>,
    /// Since when the frame has been wanted.
    since: Instant,
    counted: Option<(usize, PointFilter, f32)>,
    still: Still,
    backwards: bool,
    /// Larger for scenes asked for more recently.
    asked: u64,
}

impl SceneGpu {
    fn new(scene: &Arc<Scene4d>) -> Self {
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
    fn turn_to(&mut self, wish: Wish, num_frames: usize, most_ghosts: usize) -> bool {
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
    fn needed(&self, num_frames: usize, count: usize) -> Vec<usize> {
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
    fn evict(&mut self, num_frames: usize, capacity: usize) {
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

    fn resident(&self) -> Resident {
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

    fn used_bytes(&self) -> u64 {
        let frames = self.frames.values().map(|frame| frame.gpu.bytes());
        let still = match &self.still {
            Still::Ready(parts) => parts.iter().map(|part| part.gpu.bytes()).sum(),
            Still::Unasked | Still::Underway => 0,
        };
        frames.sum::<u64>() + still
    }

    /// The count that is due, or how long until it is; `cached` is the frame that is encoded.
    fn count_due(&self, cached: Option<usize>) -> Result<(usize, PointFilter), Option<Duration>> {
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

pub(super) struct State {
    pub(super) scenes: Vec<SceneGpu>,
    pub(super) budget_bytes: u64,
    pub(super) closing: bool,
    /// The device has refused a frame for want of memory.
    is_short: bool,
    /// Why nothing can be uploaded any more, for people.
    pub(super) problem: Option<String>,
    asked: u64,
}

impl State {
    pub(super) fn new(budget_bytes: u64) -> Self {
        Self {
            scenes: Vec::new(),
            budget_bytes,
            closing: false,
            is_short: false,
            problem: None,
            asked: 0,
        }
    }

    /// Notes a wish; returns what is there and whether there is anything new to do.
    pub(super) fn want(&mut self, scene: &Arc<Scene4d>, wish: Wish) -> (Resident, bool) {
        self.asked += 1;
        let found = self.scenes.iter().position(|s| s.is(scene));
        let at = found.unwrap_or_else(|| {
            self.scenes.push(SceneGpu::new(scene));
            self.scenes.len() - 1
        });
        let capacity = self.capacity(scene);
        let most_ghosts = (capacity - 1).min(MAX_GHOST_POINTS / scene.pixels_per_frame().max(1));
        let entry = &mut self.scenes[at];
        entry.asked = self.asked;
        let changed = entry.turn_to(wish, scene.num_frames, most_ghosts) || found.is_none();
        let mut resident = entry.resident();
        resident.short_of_memory = self.is_short.then_some(capacity);
        if self.problem.is_some() {
            resident.problem.clone_from(&self.problem);
        }
        (resident, changed)
    }

    /// Frames of a scene that may stay.
    fn capacity(&self, scene: &Scene4d) -> usize {
        let share = self.budget_bytes / self.scenes.len().max(1) as u64;
        let frame_bytes = FrameData::gpu_bytes(scene).max(1);
        usize::try_from(share / frame_bytes)
            .unwrap_or(usize::MAX)
            .clamp(MIN_FRAMES, scene.num_frames.max(MIN_FRAMES))
    }

    /// Bytes that frames take.
    pub(super) fn used_bytes(&self) -> u64 {
        self.scenes.iter().map(SceneGpu::used_bytes).sum()
    }

    /// Lets go of the scenes that nobody else holds.
    fn forget_dropped(&mut self) {
        self.scenes.retain(|s| s.scene.strong_count() > 0);
    }

    /// What to do next: of the scene asked for last, the frame needed first; a count comes before
    /// frames that are only needed later. `cached` is the frame that the thread holds encoded.
    pub(super) fn next(&mut self, cached: Option<(&Weak<Scene4d>, usize)>) -> Task {
        self.forget_dropped();
        if self.problem.is_some() {
            return Task::Wait(None);
        }
        self.scenes.sort_by_key(|s| std::cmp::Reverse(s.asked));
        let mut wait: Option<Duration> = None;
        for at in 0..self.scenes.len() {
            let Some(scene) = self.scenes[at].scene.upgrade() else {
                continue;
            };
            let capacity = self.capacity(&scene);
            let entry = &mut self.scenes[at];
            if entry.problem.is_some() {
                continue;
            }
            if entry.wish.still && matches!(entry.still, Still::Unasked) {
                entry.still = Still::Underway;
                return Task::Collect(scene);
            }
            let needed = entry.needed(scene.num_frames, capacity);
            let mut missing = needed
                .iter()
                .enumerate()
                .filter(|(_, t)| !entry.frames.contains_key(t));
            let first = missing.next().map(|(place, t)| (place, *t));
            if let Some((place, frame_idx)) = first
                && place <= entry.ghosts.len()
            {
                return Task::Upload(scene, frame_idx);
            }
            let cached = cached
                .filter(|(of, _)| of.ptr_eq(&entry.scene))
                .map(|(_, frame_idx)| frame_idx);
            match entry.count_due(cached) {
                Ok((frame_idx, filter)) => return Task::Count(scene, frame_idx, filter),
                Err(Some(rest)) => wait = Some(wait.map_or(rest, |w| w.min(rest))),
                Err(None) => {}
            }
            if let Some((_, frame_idx)) = first {
                return Task::Upload(scene, frame_idx);
            }
        }
        Task::Wait(wait)
    }

    /// Puts a frame in its place; returns whether it is one that a view waits for.
    pub(super) fn store(&mut self, scene: &Arc<Scene4d>, frame: ResidentFrame) -> bool {
        let capacity = self.capacity(scene);
        let Some(entry) = self.scenes.iter_mut().find(|s| s.is(scene)) else {
            return false;
        };
        let frame_idx = frame.frame_idx;
        entry.ranges = Some(frame.stats.ranges);
        entry.frames.insert(frame_idx, frame);
        entry.evict(scene.num_frames, capacity);
        entry.wish.frame_idx == frame_idx || entry.ghosts.iter().any(|g| g.frame_idx == frame_idx)
    }

    pub(super) fn store_still(&mut self, scene: &Arc<Scene4d>, parts: Vec<StillGpu>) {
        if let Some(entry) = self.scenes.iter_mut().find(|s| s.is(scene)) {
            entry.still = Still::Ready(parts.into_iter().map(Arc::new).collect());
        }
    }

    pub(super) fn store_count(
        &mut self,
        scene: &Arc<Scene4d>,
        frame_idx: usize,
        (filter, share): (PointFilter, f32),
    ) {
        if let Some(entry) = self.scenes.iter_mut().find(|s| s.is(scene)) {
            entry.counted = Some((frame_idx, filter, share));
        }
    }

    /// Notes why a scene cannot be shown; nothing more of it is uploaded.
    pub(super) fn give_up(&mut self, scene: &Arc<Scene4d>, problem: String) {
        if let Some(entry) = self.scenes.iter_mut().find(|s| s.is(scene)) {
            entry.problem = Some(problem);
        }
    }

    /// Halves what may be kept after the device ran out of memory; gives up below two frames.
    pub(super) fn shrink(&mut self, scene: &Arc<Scene4d>, problem: String) {
        let kept: usize = self.scenes.iter().map(|s| s.frames.len()).sum();
        self.budget_bytes = kept as u64 / 2 * FrameData::gpu_bytes(scene);
        self.is_short = true;
        let capacity = self.capacity(scene);
        if let Some(entry) = self.scenes.iter_mut().find(|s| s.is(scene)) {
            if entry.frames.len() < MIN_FRAMES {
                entry.problem = Some(problem);
            }
            entry.evict(scene.num_frames, capacity);
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
