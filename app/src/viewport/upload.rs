//! Frames from the scene to the GPU on a thread of their own, within a memory budget.
//!
//! The view asks for a frame and gets it at once or not at all; the thread brings the newest wish
//! first, then what playback needs next. A frame that is drawn stays alive through its `Arc`, so
//! dropping it here never pulls it out from under the GPU.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use one4d_engine::scene::Scene4d;

use super::device::is_lost;
use super::frame_data::FrameData;
use super::frame_gpu::FrameGpu;
use super::frame_store::{DeviceStore, FrameStore, Refusal, fits};
use super::residency::{State, Task};
use super::stats::{FrameStats, SceneRanges};
use super::still_cloud::still_cloud;
pub use super::wish::{Resident, ResidentFrame, ResidentGhost, StillGpu, Wish};

/// Bytes of frames kept on the GPU unless told otherwise: more than a clip of 81 frames of
/// 480 x 832 with motion.
pub const DEFAULT_BUDGET_BYTES: u64 = 512 << 20;
/// How often the thread looks for scenes that were dropped meanwhile.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

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
    /// Starts the thread; `on_arrival` is called there whenever something that was asked for is
    /// there.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        budget_bytes: u64,
        on_arrival: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let store = DeviceStore::new(device, queue);
        Self::start_with((device, queue), Box::new(store), budget_bytes, on_arrival)
    }

    /// The same with another way of putting frames on the device.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start_with(
        (device, queue): (&wgpu::Device, &wgpu::Queue),
        store: Box<dyn FrameStore>,
        budget_bytes: u64,
        on_arrival: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(budget_bytes)),
            wake: Condvar::new(),
        });
        let mut worker = Worker {
            shared: Arc::clone(&shared),
            device: device.clone(),
            queue: queue.clone(),
            store,
            on_arrival: Arc::new(on_arrival),
            encoded: None,
        };
        let thread = std::thread::Builder::new()
            .name("viewport-upload".into())
            .spawn(move || worker.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Notes a wish and returns what is there of it; never waits for an upload.
    pub fn want(&self, scene: &Arc<Scene4d>, wish: Wish) -> Resident {
        let (resident, changed) = lock(&self.shared.state).want(scene, wish);
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

    /// Bytes of the device's memory that frames take, and those that they may take.
    pub fn memory_bytes(&self) -> [u64; 2] {
        let state = lock(&self.shared.state);
        [state.used_bytes(), state.budget_bytes]
    }

    /// Scenes of which anything is kept.
    pub fn num_scenes(&self) -> usize {
        lock(&self.shared.state).scenes.len()
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

struct Worker {
    shared: Arc<Shared>,
    device: wgpu::Device,
    queue: wgpu::Queue,
    store: Box<dyn FrameStore>,
    on_arrival: Arc<dyn Fn() + Send + Sync>,
    /// The frame encoded last, for counts that follow.
    encoded: Option<(Weak<Scene4d>, usize, FrameData)>,
}

impl Worker {
    fn run(&mut self) {
        while let Some(task) = self.next_task() {
            let arrived = match task {
                Task::Upload(scene, frame_idx) => self.bring(&scene, frame_idx),
                Task::Count(scene, frame_idx, filter) => {
                    let share = filter.hidden_share(self.encoded(&scene, frame_idx));
                    lock(&self.shared.state).store_count(&scene, frame_idx, (filter, share));
                    true
                }
                Task::Collect(scene) => {
                    self.collect(scene);
                    false
                }
                Task::Wait(_) => false,
            };
            if arrived {
                (self.on_arrival)();
            }
        }
    }

    /// Whether the device is gone, which is noted for every scene.
    fn is_lost(&self) -> bool {
        let lost = is_lost(&self.device);
        let mut state = lock(&self.shared.state);
        let is_new = lost && state.problem.is_none();
        if is_new {
            state.problem = Some(
                "the graphics device was lost; what you made is kept, start the window anew".into(),
            );
        }
        drop(state);
        if is_new {
            (self.on_arrival)();
        }
        lost
    }

    /// Waits for the next task other than waiting; `None` at the end.
    fn next_task(&mut self) -> Option<Task> {
        loop {
            self.is_lost();
            let mut state = lock(&self.shared.state);
            if state.closing {
                return None;
            }
            let cached = self.encoded.as_ref().map(|(scene, t, _)| (scene, *t));
            let wait = match state.next(cached) {
                Task::Wait(wait) => wait,
                task => return Some(task),
            };
            let idle = state.scenes.is_empty();
            if idle {
                self.encoded = None;
            }
            let longest = wait.unwrap_or(HOUSEKEEPING);
            // A poisoned lock is as good as any other; see `lock`.
            if idle {
                drop(self.shared.wake.wait(state));
            } else {
                drop(self.shared.wake.wait_timeout(state, longest));
            }
        }
    }

    fn encoded(&mut self, scene: &Arc<Scene4d>, frame_idx: usize) -> &FrameData {
        let is_there = self.encoded.as_ref().is_some_and(|(of, t, _)| {
            *t == frame_idx && std::ptr::eq(of.as_ptr(), Arc::as_ptr(scene))
        });
        let kept = self.encoded.take().filter(|_| is_there);
        let kept = kept.unwrap_or_else(|| {
            let data = FrameData::encode(scene, frame_idx);
            (Arc::downgrade(scene), frame_idx, data)
        });
        &self.encoded.insert(kept).2
    }

    /// Uploads a frame; returns whether a view waits for what came of it.
    fn bring(&mut self, scene: &Arc<Scene4d>, frame_idx: usize) -> bool {
        let ranges = {
            let state = lock(&self.shared.state);
            let entry = state.scenes.iter().find(|s| s.is(scene));
            entry.and_then(|s| s.ranges)
        };
        let ranges = ranges.unwrap_or_else(|| SceneRanges::of(scene));
        let data = self.encoded(scene, frame_idx);
        let stats = FrameStats::of(scene, data, ranges);
        let uploaded = match &self.encoded {
            Some((_, _, data)) => self.store.put(data),
            None => return false,
        };
        let mut state = lock(&self.shared.state);
        match uploaded {
            Ok(gpu) => state.store(
                scene,
                ResidentFrame {
                    frame_idx,
                    gpu: Arc::new(gpu),
                    stats: Arc::new(stats),
                },
            ),
            Err(Refusal::OutOfMemory(problem)) => {
                state.shrink(scene, problem);
                true
            }
            Err(Refusal::TooLarge(problem)) => {
                state.give_up(scene, problem);
                true
            }
        }
    }

    /// Collects the still parts of a clip on a thread of its own, as frames must go on coming. It
    /// ends early where nobody else holds the scene any more.
    fn collect(&self, scene: Arc<Scene4d>) {
        let (shared, on_arrival) = (Arc::clone(&self.shared), Arc::clone(&self.on_arrival));
        let (device, queue) = (self.device.clone(), self.queue.clone());
        let collect = move || {
            let wanted = || Arc::strong_count(&scene) > 1 && !lock(&shared.state).closing;
            let Some(chunks) = still_cloud(&scene, &wanted) else {
                return;
            };
            let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
            let parts: Vec<StillGpu> = chunks
                .into_iter()
                .filter(|chunk| fits(&device, &chunk.data))
                .filter_map(|chunk| {
                    let gpu = FrameGpu::upload(&device, &queue, &chunk.data)?;
                    Some(StillGpu {
                        gpu,
                        sources: chunk.sources,
                    })
                })
                .collect();
            queue.submit([]);
            if let Some(error) = pollster::block_on(scope.pop()) {
                tracing::warn!(%error, "no graphics memory for the still parts of the clip");
                return;
            }
            lock(&shared.state).store_still(&scene, parts);
            on_arrival();
        };
        let spawned = std::thread::Builder::new()
            .name("viewport-still".into())
            .spawn(collect);
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread for the still parts of the clip");
        }
    }
}
