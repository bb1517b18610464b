//! Which frames of which scenes lie on the GPU, which are needed next and which go first: plain
//! bookkeeping, without a device.

use std::sync::{Arc, Weak};
use std::time::Duration;

use one4d_engine::scene::Scene4d;

use super::filter::PointFilter;
use super::frame_data::FrameData;
use super::ghosts::MAX_GHOST_POINTS;
pub(super) use super::resident_scene::SceneGpu;
use super::resident_scene::Still;
use super::wish::{Resident, ResidentFrame, StillGpu, Wish};

/// However small the budget, the shown frame and the next stay.
const MIN_FRAMES: usize = 2;

/// What the thread has to do next.
pub(super) enum Task {
    Upload(Arc<Scene4d>, usize),
    Count(Arc<Scene4d>, usize, PointFilter),
    Collect(Arc<Scene4d>),
    /// Nothing, for so long.
    Wait(Option<Duration>),
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
