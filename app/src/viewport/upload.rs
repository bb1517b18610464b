//! Frames from the scene to the GPU on a thread of their own, within a memory budget.
//!
//! The view asks for a frame and gets it at once or not at all; the thread brings the newest wish
//! first, then what playback needs next. A frame that is drawn stays alive through its `Arc`, so
//! dropping it here never pulls it out from under the GPU.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use one4d_engine::scene::Scene4d;

use super::bounds::SceneBounds;
use super::frame_data::FrameData;
use super::renderer::FrameGpu;

/// Bytes of frames kept on the GPU unless told otherwise: a clip of 81 frames of 480 x 832.
pub const DEFAULT_BUDGET_BYTES: u64 = 400 << 20;
/// However small the budget, the shown frame and the next stay.
const MIN_FRAMES: usize = 2;

/// What there is of a scene for a view.
#[derive(Clone)]
pub struct Resident {
    /// The frame asked for, if it is on the GPU.
    pub frame: Option<Arc<FrameGpu>>,
    /// Extent of the scene.
    pub bounds: SceneBounds,
    /// Why frames cannot be uploaded, for people.
    pub problem: Option<String>,
}

struct SceneGpu {
    scene: Weak<Scene4d>,
    bounds: SceneBounds,
    frames: BTreeMap<usize, Arc<FrameGpu>>,
    wanted: usize,
    backwards: bool,
    /// Larger for scenes asked for more recently.
    asked: u64,
    problem: Option<String>,
}

struct State {
    scenes: Vec<SceneGpu>,
    budget_bytes: u64,
    asked: u64,
    closing: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

/// The upload thread and what it has brought.
pub struct Uploads {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Uploads {
    /// Starts the thread; `on_arrival` is called there whenever a frame that was asked for is there.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        budget_bytes: u64,
        on_arrival: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                scenes: Vec::new(),
                budget_bytes,
                asked: 0,
                closing: false,
            }),
            wake: Condvar::new(),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            device: device.clone(),
            queue: queue.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("viewport-upload".into())
            .spawn(move || worker.run(&on_arrival))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Asks for a frame and returns what is there; never waits for an upload.
    pub fn want(&self, scene: &Arc<Scene4d>, frame_idx: usize) -> Resident {
        let mut state = lock(&self.shared.state);
        state.asked += 1;
        let asked = state.asked;
        let found = state.scenes.iter().position(|s| s.is(scene));
        let at = found.unwrap_or_else(|| {
            state.scenes.push(SceneGpu::new(scene));
            state.scenes.len() - 1
        });
        let entry = &mut state.scenes[at];
        entry.asked = asked;
        let changed = entry.turn_to(frame_idx, scene.num_frames) || found.is_none();
        let resident = Resident {
            frame: entry.frames.get(&frame_idx).cloned(),
            bounds: entry.bounds,
            problem: entry.problem.clone(),
        };
        drop(state);
        if changed {
            self.shared.wake.notify_one();
        }
        resident
    }

    /// Indices of the frames of a scene that are on the GPU.
    pub fn resident(&self, scene: &Arc<Scene4d>) -> Vec<usize> {
        let state = lock(&self.shared.state);
        let entry = state.scenes.iter().find(|s| s.is(scene));
        entry.map_or(Vec::new(), |s| s.frames.keys().copied().collect())
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        lock(&self.shared.state).closing = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook; there is nothing left to do.
            let _ = thread.join();
        }
    }
}

/// Every change under this lock is a single insertion or removal, so a panic elsewhere leaves it whole.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SceneGpu {
    fn new(scene: &Arc<Scene4d>) -> Self {
        Self {
            scene: Arc::downgrade(scene),
            bounds: SceneBounds::of(scene),
            frames: BTreeMap::new(),
            wanted: 0,
            backwards: false,
            asked: 0,
            problem: None,
        }
    }

    fn is(&self, scene: &Arc<Scene4d>) -> bool {
        std::ptr::eq(self.scene.as_ptr(), Arc::as_ptr(scene))
    }

    /// Notes the wish and the direction of playback; returns whether the wish is a new one.
    fn turn_to(&mut self, frame_idx: usize, num_frames: usize) -> bool {
        if self.wanted == frame_idx {
            return false;
        }
        // A jump of more than half the clip is a loop closing, not a change of direction.
        if frame_idx.abs_diff(self.wanted) * 2 <= num_frames {
            self.backwards = frame_idx < self.wanted;
        }
        self.wanted = frame_idx;
        true
    }

    /// Frames in the order in which they are needed.
    fn order(&self, num_frames: usize) -> impl Iterator<Item = usize> + use<> {
        let (wanted, backwards) = (self.wanted.min(num_frames - 1), self.backwards);
        (0..num_frames).map(move |ahead| {
            let step = if backwards { num_frames - ahead } else { ahead };
            (wanted + step) % num_frames
        })
    }

    /// Drops the frames needed last until `capacity` are left.
    fn evict(&mut self, num_frames: usize, capacity: usize) {
        let order: Vec<usize> = self.order(num_frames).collect();
        for frame_idx in order.into_iter().rev() {
            if self.frames.len() <= capacity {
                break;
            }
            self.frames.remove(&frame_idx);
        }
    }
}

impl State {
    fn capacity(&self, scene: &Scene4d) -> usize {
        let share = self.budget_bytes / self.scenes.len().max(1) as u64;
        let frame_bytes = FrameData::gpu_bytes(scene.width, scene.height).max(1);
        usize::try_from(share / frame_bytes)
            .unwrap_or(usize::MAX)
            .clamp(MIN_FRAMES, scene.num_frames.max(MIN_FRAMES))
    }

    /// The frame to bring next: of the scene asked for last, the one needed first.
    fn next(&mut self) -> Option<(Arc<Scene4d>, usize)> {
        self.scenes.retain(|s| s.scene.strong_count() > 0);
        self.scenes.sort_by_key(|s| std::cmp::Reverse(s.asked));
        self.scenes.iter().find_map(|entry| {
            let scene = entry.scene.upgrade()?;
            if entry.problem.is_some() {
                return None;
            }
            let missing = entry
                .order(scene.num_frames)
                .take(self.capacity(&scene))
                .find(|t| !entry.frames.contains_key(t))?;
            Some((scene, missing))
        })
    }

    fn store(&mut self, scene: &Arc<Scene4d>, frame_idx: usize, frame: FrameGpu) -> bool {
        let capacity = self.capacity(scene);
        let Some(entry) = self.scenes.iter_mut().find(|s| s.is(scene)) else {
            return false;
        };
        entry.frames.insert(frame_idx, Arc::new(frame));
        entry.evict(scene.num_frames, capacity);
        entry.wanted == frame_idx
    }

    /// Notes why a scene cannot be shown; nothing more of it is uploaded.
    fn give_up(&mut self, scene: &Arc<Scene4d>, problem: String) {
        if let Some(entry) = self.scenes.iter_mut().find(|s| s.is(scene)) {
            entry.problem = Some(problem);
        }
    }

    /// Halves what may be kept after the device ran out of memory; gives up below two frames.
    fn shrink(&mut self, scene: &Arc<Scene4d>, problem: String) {
        let kept: usize = self.scenes.iter().map(|s| s.frames.len()).sum();
        let frame_bytes = FrameData::gpu_bytes(scene.width, scene.height);
        self.budget_bytes = kept as u64 / 2 * frame_bytes;
        let capacity = self.capacity(scene);
        if let Some(entry) = self.scenes.iter_mut().find(|s| s.is(scene)) {
            if entry.frames.len() < MIN_FRAMES {
                entry.problem = Some(problem);
            }
            entry.evict(scene.num_frames, capacity);
        }
    }
}

/// Why a frame did not reach the GPU, for people.
enum Refusal {
    OutOfMemory(String),
    TooLarge(String),
}

struct Worker {
    shared: Arc<Shared>,
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl Worker {
    fn run(&self, on_arrival: &dyn Fn()) {
        while let Some((scene, frame_idx)) = self.next_task() {
            let uploaded = self.upload(&scene, frame_idx);
            let mut state = lock(&self.shared.state);
            let arrived = match uploaded {
                Ok(frame) => state.store(&scene, frame_idx, frame),
                Err(Refusal::OutOfMemory(problem)) => {
                    state.shrink(&scene, problem);
                    true
                }
                Err(Refusal::TooLarge(problem)) => {
                    state.give_up(&scene, problem);
                    true
                }
            };
            drop(state);
            if arrived {
                on_arrival();
            }
        }
    }

    fn next_task(&self) -> Option<(Arc<Scene4d>, usize)> {
        let mut state = lock(&self.shared.state);
        loop {
            if state.closing {
                return None;
            }
            if let Some(task) = state.next() {
                return Some(task);
            }
            state = self
                .shared
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn upload(&self, scene: &Scene4d, frame_idx: usize) -> Result<FrameGpu, Refusal> {
        let data = FrameData::encode(scene, frame_idx);
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let frame = FrameGpu::upload(&self.device, &self.queue, &data);
        // Starts the copies now: staged frames would pile up while the window is idle.
        self.queue.submit([]);
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(Refusal::OutOfMemory(format!(
                "the graphics memory is full ({error}); close other programs or show a smaller clip"
            )));
        }
        frame.ok_or_else(|| {
            Refusal::TooLarge(format!(
                "frames of {} x {} pixels are too large for the viewport; the limit is 2^26 pixels",
                scene.width, scene.height
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(wanted: usize, backwards: bool) -> SceneGpu {
        SceneGpu {
            scene: Weak::new(),
            bounds: SceneBounds {
                centre: glam::DVec3::ZERO,
                radius: 1.0,
                floor_y: 0.0,
                depth: 1.0,
            },
            frames: BTreeMap::new(),
            wanted,
            backwards,
            asked: 0,
            problem: None,
        }
    }

    fn order(entry: &SceneGpu) -> Vec<usize> {
        entry.order(5).collect()
    }

    #[test]
    fn the_wanted_frame_comes_first_and_the_rest_in_play_direction() {
        assert_eq!(order(&entry(3, false)), [3, 4, 0, 1, 2]);
        assert_eq!(order(&entry(1, true)), [1, 0, 4, 3, 2]);
    }

    #[test]
    fn direction_follows_steps_but_not_the_loop() {
        let mut entry = entry(3, false);
        assert!(entry.turn_to(4, 5));
        assert!(entry.turn_to(0, 5) && !entry.backwards, "looped");
        assert!(!entry.turn_to(0, 5));
        assert!(entry.turn_to(1, 5) && !entry.backwards);
        assert!(entry.turn_to(0, 5) && entry.backwards);
    }
}
