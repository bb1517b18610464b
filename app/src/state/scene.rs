//! The scene on screen and what is known about it.

use std::path::PathBuf;
use std::sync::Arc;

use egui::ColorImage;
use one4d_engine::scene::{ScaleTag, Scene4d, SolverFlag};
use one4d_engine::worker::JobId;

/// The scene on screen.
#[derive(Clone, Debug)]
pub struct OpenScene {
    /// The scene.
    pub scene: Arc<Scene4d>,
    /// Tells this scene from those before it.
    pub serial: u64,
    /// The job that made or opened it.
    pub job: JobId,
    /// Its file, once there is one.
    pub path: Option<PathBuf>,
    /// Figures over all pixels, once counted.
    pub facts: Option<SceneFacts>,
    /// A small picture per frame, as far as they are made.
    pub strip: Vec<Option<Arc<ColorImage>>>,
}

impl OpenScene {
    /// A scene that has just arrived.
    pub fn new(scene: Arc<Scene4d>, serial: u64, job: JobId) -> Self {
        Self {
            strip: vec![None; scene.num_frames],
            scene,
            serial,
            job,
            path: None,
            facts: None,
        }
    }

    /// Its name for people.
    pub fn title(&self) -> String {
        let meta = &self.scene.meta;
        let from_path = || {
            let path = self.path.as_ref()?;
            Some(super::file_name(path))
        };
        if !meta.title.is_empty() {
            return meta.title.clone();
        }
        let prompt = meta.prompt.clone().filter(|prompt| !prompt.is_empty());
        prompt
            .or_else(from_path)
            .unwrap_or_else(|| "Untitled scene".to_owned())
    }

    /// Points of all frames.
    pub fn num_points(&self) -> usize {
        self.scene.num_frames * self.scene.pixels_per_frame()
    }
}

/// Figures over all pixels of a scene.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SceneFacts {
    /// Share of pixels that are fit for measuring, 0..1.
    pub good_share: f64,
    /// Share of pixels with a finite point, 0..1.
    pub finite_share: f64,
    /// 5th and 95th percentile of the distance from the world's origin, scene units.
    pub distance: Option<(f32, f32)>,
    /// Frames without a single point.
    pub empty_frames: Vec<usize>,
}

/// What a unit of length means, in a word and in a sentence.
pub fn explain_scale(scale: ScaleTag) -> (&'static str, &'static str) {
    let sentence = match scale {
        ScaleTag::Metric => "Lengths are metres.",
        ScaleTag::UpToScale => "Proportions are right; the size of the whole is not known.",
        ScaleTag::UpToScaleAndShift => {
            "Neither the size of the whole nor the distance to the camera is known."
        }
    };
    (scale.label(), sentence)
}

/// What a solver flag means, in a word and in a sentence.
pub fn explain_flag(flag: SolverFlag) -> (&'static str, &'static str) {
    match flag {
        SolverFlag::FocalUnobservable => (
            "Focal length assumed",
            "This scene does not show the focal length; a usual one was taken.",
        ),
        SolverFlag::FocalWeak => (
            "Focal length uncertain",
            "The scene shows the focal length only weakly.",
        ),
        SolverFlag::Planar => (
            "Nearly flat",
            "The points lie almost in one plane, which leaves the camera loosely determined.",
        ),
        SolverFlag::PoseInterpolated => (
            "Camera interpolated",
            "This frame's camera could not be solved and was taken from its neighbours.",
        ),
        SolverFlag::Behind => (
            "Points behind the camera",
            "The camera that fits best has the points of this frame behind it.",
        ),
        SolverFlag::StaticCamera => (
            "Still camera",
            "The camera does not move, so the scale of its path is undefined.",
        ),
        SolverFlag::PureRotation => (
            "Turning camera",
            "The camera turns without moving, so the scale of its path is undefined.",
        ),
        SolverFlag::SceneCut => (
            "Cut",
            "The picture changes so much between two frames that there is probably a cut.",
        ),
        SolverFlag::Telephoto => (
            "Long lens",
            "The lens is so long that noise shifts the focal length by some percent.",
        ),
        SolverFlag::TooFewPixels => (
            "Few usable pixels",
            "Too few pixels of this frame can be measured for a camera of its own.",
        ),
        SolverFlag::CollapsedCloud => (
            "Collapsed points",
            "The points of this frame lie on a line or in one place.",
        ),
        SolverFlag::PerFrameCentred => (
            "Frames centred one by one",
            "Each frame is centred on its own, so the camera's movement cannot be recovered.",
        ),
    }
}
