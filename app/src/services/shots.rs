//! Pictures of the view at any size, each rendered and written on a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use one4d_engine::scene::Scene4d;

use crate::viewport::headless::{Look, render_with};
use crate::viewport::renderer::Renderer;

/// A picture to take.
pub struct ShotJob {
    /// The scene.
    pub scene: Arc<Scene4d>,
    /// The frame.
    pub frame_idx: usize,
    /// From where, what and how.
    pub look: Look,
    /// Columns and rows.
    pub size_px: [u32; 2],
    /// The PNG to write.
    pub path: PathBuf,
}

/// What came of a picture: its file, or its file and why it is not there.
pub type ShotResult = Result<PathBuf, (PathBuf, String)>;

/// Takes pictures with the window's device.
pub struct Shots {
    gpu: Option<(wgpu::Device, wgpu::Queue)>,
    results: Receiver<ShotResult>,
    result_queue: Sender<ShotResult>,
}

impl Shots {
    /// With a device, or without one, where every picture fails and says so.
    pub fn new(gpu: Option<(wgpu::Device, wgpu::Queue)>) -> Self {
        let (result_queue, results) = bounded(16);
        Self {
            gpu,
            results,
            result_queue,
        }
    }

    /// The window's device, if it has one.
    pub fn device(&self) -> Option<(wgpu::Device, wgpu::Queue)> {
        self.gpu.clone()
    }

    /// Takes pictures with another device from now on.
    pub fn attach(&mut self, gpu: Option<(wgpu::Device, wgpu::Queue)>) {
        self.gpu = gpu;
    }

    /// Starts a picture; `wake` is called when it is there.
    ///
    /// # Errors
    /// Why it cannot be started, for people.
    pub fn start(&self, job: ShotJob, wake: impl Fn() + Send + 'static) -> Result<(), String> {
        let gpu = self.gpu.clone().ok_or("there is no graphics adapter")?;
        let queue = self.result_queue.clone();
        std::thread::Builder::new()
            .name("one4d-shot".to_owned())
            .spawn(move || {
                let path = job.path.clone();
                let result = take(&gpu, &job).map_err(|reason| (path, reason));
                // Fails only when the window is gone.
                let _ = queue.send(result);
                wake();
            })
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// Takes what has been finished since the last call.
    pub fn drain(&self) -> Vec<ShotResult> {
        self.results.try_iter().collect()
    }
}

fn take((device, queue): &(wgpu::Device, wgpu::Queue), job: &ShotJob) -> Result<PathBuf, String> {
    let renderer = Renderer::new(device, queue);
    let picture = render_with(
        (device, queue),
        &renderer,
        &job.scene,
        job.frame_idx,
        (&job.look, job.size_px),
    )
    .map_err(|error| error.to_string())?;
    if let Some(folder) = job.path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    picture
        .save_with_format(&job.path, image::ImageFormat::Png)
        .map_err(|error| error.to_string())?;
    Ok(job.path.clone())
}
