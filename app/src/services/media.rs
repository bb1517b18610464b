//! The media thread: everything that reads a file or goes over many pixels for the window's sake.
//!
//! Pictures of a scene's frames wait behind everything else, so that a dropped file shows at once
//! while a long scene is still being gone through.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use egui::ColorImage;
use glam::DVec3;
use one4d_engine::scene::Scene4d;
use one4d_engine::worker::ExportRequest;

use super::kinds::Kind;
use super::media_tasks;
use crate::state::command::Target;
use crate::state::loras::LoraState;
use crate::state::measures::{Measure, Series};
use crate::state::media::SourcePicture;
use crate::state::model::ModelState;
use crate::state::scene::SceneFacts;
use crate::viewport::filter::PointFilter;

/// Work for the media thread.
#[derive(Debug)]
pub enum MediaTask {
    /// Tells what paths are.
    Classify(Vec<PathBuf>, Target),
    /// Makes the picture of an input file.
    Picture(PathBuf),
    /// Writes pasted pixels to a file in a folder.
    SavePasted(Arc<ColorImage>, PathBuf),
    /// Writes a bundled sample to a file in a folder.
    SaveSample(usize, PathBuf),
    /// Makes the picture of a bundled sample.
    SamplePicture(usize),
    /// Reads the manifest of a model; `None` for the bundled one.
    Model(Option<PathBuf>),
    /// Tells whether a LoRA file fits a model.
    CheckLora(Option<PathBuf>, PathBuf),
    /// Counts over all pixels of a scene.
    Facts(u64, Arc<Scene4d>),
    /// Makes the small pictures of a scene's frames.
    Strip(u64, Arc<Scene4d>),
    /// Writes a small JSON file.
    Write(PathBuf, serde_json::Value),
    /// Writes a text that a person asked for.
    WriteText(PathBuf, String),
    /// Follows a measure of a scene over its frames.
    Follow(u64, Arc<Scene4d>, Measure),
    /// Finds which way is up in a scene.
    Ground(u64, Arc<Scene4d>),
    /// Makes the scene of an export what it shall be.
    Prepare(Box<ExportRequest>, Preparation),
}

/// What came of it.
#[derive(Debug)]
pub enum MediaResult {
    /// What the paths are.
    Classified(Vec<Kind>, Target),
    /// The picture of a file, or why there is none.
    Picture(PathBuf, Result<SourcePicture, String>),
    /// Pasted pixels are now a file.
    Pasted(Result<PathBuf, String>),
    /// A sample is now a file.
    Sample(usize, Result<PathBuf, String>),
    /// The picture of a bundled sample.
    SamplePicture(usize, Arc<ColorImage>),
    /// What is known of the chosen model.
    Model(Option<PathBuf>, ModelState),
    /// Whether a LoRA file fits a model.
    LoraChecked(Option<PathBuf>, PathBuf, LoraState),
    /// Figures of a scene.
    Facts(u64, SceneFacts),
    /// The small picture of a frame of a scene.
    StripFrame(u64, usize, Arc<ColorImage>),
    /// A small file could not be written.
    WriteFailed(PathBuf, String),
    /// A text that a person asked for is written.
    Written(PathBuf),
    /// A measure of a scene over its frames, by the measure's id.
    Followed(u64, u64, Arc<Series>),
    /// Up in a scene's world, if a plane carries it.
    Ground(u64, Option<DVec3>),
    /// An export whose scene is now what it shall be.
    Prepared(Box<ExportRequest>),
}

/// What is done with a scene before it is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Preparation {
    /// Points that this hides are left out.
    pub filter: Option<PointFilter>,
    /// Metres of a scene unit, to write metres.
    pub metres: Option<f64>,
}

/// Results that may wait; the thread waits when the window does not take them.
const RESULT_CAPACITY: usize = 256;

/// Hands tasks to the media thread and takes its results.
pub struct MediaWorker {
    tasks: Sender<MediaTask>,
    results: Receiver<MediaResult>,
}

impl MediaWorker {
    /// Starts the thread; `wake` is called after every result.
    ///
    /// # Errors
    /// What the system said, if it gives no thread.
    pub fn start(wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        // Tasks come from a person's hands and are tiny; bounding them would block the window.
        let (tasks, task_queue) = unbounded();
        let (result_queue, results) = bounded(RESULT_CAPACITY);
        std::thread::Builder::new()
            .name("one4d-media".to_owned())
            .spawn(move || run(&task_queue, &result_queue, &wake))?;
        Ok(Self { tasks, results })
    }

    /// Queues a task.
    pub fn ask(&self, task: MediaTask) {
        // The thread ends only when this sender is dropped, so the queue is open.
        let _ = self.tasks.send(task);
    }

    /// Takes the results that have come since the last call.
    pub fn drain(&self) -> Vec<MediaResult> {
        self.results.try_iter().collect()
    }
}

/// A scene whose frames still need small pictures.
struct Strip {
    serial: u64,
    scene: Arc<Scene4d>,
    next: usize,
}

fn run(tasks: &Receiver<MediaTask>, results: &Sender<MediaResult>, wake: &dyn Fn()) {
    let mut strips = VecDeque::<Strip>::new();
    loop {
        let task = if strips.is_empty() {
            tasks.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            tasks.try_recv()
        };
        let result = match task {
            Ok(MediaTask::Strip(serial, scene)) => {
                // Only the newest scene is on screen.
                strips.clear();
                strips.push_back(Strip {
                    serial,
                    scene,
                    next: 0,
                });
                None
            }
            Ok(task) => media_tasks::perform(task),
            Err(TryRecvError::Empty) => next_strip_frame(&mut strips),
            Err(TryRecvError::Disconnected) => return,
        };
        if let Some(result) = result {
            if results.send(result).is_err() {
                return;
            }
            wake();
        }
    }
}

fn next_strip_frame(strips: &mut VecDeque<Strip>) -> Option<MediaResult> {
    let strip = strips.front_mut()?;
    let (serial, frame_idx) = (strip.serial, strip.next);
    let picture = media_tasks::frame_picture(&strip.scene, frame_idx);
    strip.next += 1;
    if strip.next >= strip.scene.num_frames {
        strips.pop_front();
    }
    Some(MediaResult::StripFrame(
        serial,
        frame_idx,
        Arc::new(picture),
    ))
}
