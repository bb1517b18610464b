//! Everything that can change the studio: actions, and edits with a payload.

use std::path::PathBuf;

use one4d_engine::pipeline::Preset;
use one4d_engine::worker::{ExportFormat, JobId};

pub use super::action::{Action, ActionSpec, Group};
use super::arrangement::Arrangement;
use super::compare::CompareEdit;
use super::create::InputMode;
use super::finder::FinderEdit;
use super::loras::LoraEdit;
use super::markers::MarkerEdit;
use super::measures::{Anchor, MeasureEdit};
use super::models::ModelsEdit;
use super::quit::QuitAnswer;
use super::settings::ThemeChoice;
use super::shot::ShotEdit;
use super::view::Shown;
use crate::timeline::LoopMode;
use crate::video::VideoKind;
use crate::viewport::{ViewOptions, ViewportState};

/// What a file dialog is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Anything that the studio opens.
    Anything,
    /// A folder: frames or a saved scene.
    Folder,
    /// The image of the well.
    Image,
    /// Images to place at frames.
    Frames,
    /// A video.
    Video,
    /// The folder of a model bundle.
    Model,
    /// LoRA files beside the model.
    Loras,
    /// A folder to search for public models.
    ModelFolder,
    /// One4D adapters for the base of a catalogue entry.
    Adapters(usize),
    /// Where to export to.
    ExportFolder,
    /// A second scene.
    Compare,
    /// The file for a measure over time, by its id.
    Series(u64),
    /// The file for a picture of the view.
    Screenshot,
}

/// Where files that arrive are meant to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Wherever their kind says: scenes open, media become inputs.
    ByKind,
    /// The image of the well.
    Image,
    /// More placed frames.
    Frames,
    /// The video.
    Video,
    /// The second scene of a comparison.
    Compare,
}

/// A change of the inputs of the next scene.
#[derive(Clone, Debug, PartialEq)]
pub enum CreateEdit {
    /// Which kind of input is shown.
    Mode(InputMode),
    /// Takes the image away.
    RemoveImage,
    /// Moves the placed frame `index` to the frame `at`.
    MoveFrame {
        /// Position in the list.
        index: usize,
        /// Frame index.
        at: usize,
    },
    /// Takes a placed frame away.
    RemoveFrame(usize),
    /// Takes the video away.
    RemoveVideo,
    /// What the scene shows.
    Prompt(String),
    /// Frames, `4k + 1`.
    Frames(usize),
    /// Denoising steps.
    Steps(usize),
    /// Guidance scale.
    Guidance(f64),
    /// Threshold of the step cache.
    StepCache(f64),
    /// Where steps and guidance come from.
    Preset(Preset),
    /// A LoRA file of the list.
    Lora(PathBuf, LoraEdit),
    /// Seed of the noise.
    Seed(u64),
    /// Draws another seed.
    RollSeed,
    /// Goes back to the bundled model.
    BundledModel,
    /// Takes one of the bundled samples.
    Sample(usize),
}

/// A change of the export that is being set up.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportEdit {
    /// Adds or removes a format.
    Toggle(ExportFormat),
    /// Adds or removes a video.
    ToggleVideo(VideoKind),
    /// First and last frame, inclusive.
    Range(usize, usize),
    /// Every n-th pixel.
    Stride(usize),
    /// Only pixels that are fit for measuring.
    OnlyGood(bool),
    /// Least confidence, 0..1.
    MinConfidence(f32),
    /// Only points that the view shows.
    AsShown(bool),
    /// In metres, by the scale that was set from a known length.
    InMetres(bool),
    /// Where to write.
    Folder(PathBuf),
    /// Starts the export.
    Start,
    /// Closes the dialog.
    Cancel,
}

/// A change of playback.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeEdit {
    /// Shows a frame.
    Seek(usize),
    /// First and last frame that play.
    Range(usize, usize),
    /// Multiple of the scene's own speed.
    Speed(f64),
    /// What happens at the end.
    Mode(LoopMode),
}

/// What can be done with a job's card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEdit {
    /// Stops it at its next step.
    Cancel,
    /// Runs it again with the same inputs.
    Retry,
    /// Takes the card away.
    Remove,
    /// Puts its inputs back into the Create panel.
    Reuse,
    /// Opens the scene that it saved.
    OpenResult,
    /// Opens the scene that it saved beside the one on screen.
    CompareResult,
    /// Shows its files in the system's file manager.
    Reveal,
}

/// The pages of the Inspect panel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InspectPage {
    /// What the scene is.
    #[default]
    Scene,
    /// How points look.
    Look,
    /// Which points are shown.
    Filter,
    /// Where it is seen from.
    Camera,
    /// What was measured.
    Measure,
}

/// The one way to change the state of the studio.
#[derive(Clone, Debug, PartialEq)]
pub enum AppCommand {
    /// A named action.
    Act(Action),
    /// Asks for files.
    Pick(Pick),
    /// Files have arrived: dropped, picked, pasted, or named on the command line.
    OpenPaths(Vec<PathBuf>, Target),
    /// An edit of the inputs.
    Create(CreateEdit),
    /// An edit of the export.
    Export(ExportEdit),
    /// An edit of playback.
    Time(TimeEdit),
    /// The view has been moved by hand.
    View(Box<ViewportState>),
    /// What the view shows and how.
    ViewOptions(ViewOptions),
    /// Another page of the Inspect panel.
    Inspect(InspectPage),
    /// Something about a job.
    Job(JobId, JobEdit),
    /// Takes a notice away.
    DismissNotice(u64),
    /// The appearance.
    Theme(ThemeChoice),
    /// Empties the list of recent files.
    ClearRecent,
    /// Closes the sheet of shortcuts.
    CloseShortcuts,
    /// The view told of the frame that it shows.
    Shown(Shown),
    /// A click in the view: the point that it met.
    Clicked(Option<Anchor>),
    /// An edit of the measures.
    Measure(MeasureEdit),
    /// Writes a measure over time to a file.
    SaveSeries(u64, PathBuf),
    /// An edit of the markers.
    Marker(MarkerEdit),
    /// Opacity of the source frame over the view, 0..1.
    Underlay(f32),
    /// An edit of the comparison.
    Compare(CompareEdit),
    /// An edit of the screenshot.
    Shot(ShotEdit),
    /// Takes the screenshot and writes it to a file.
    SaveShot(PathBuf),
    /// The middle of the window has been divided anew.
    Arrange(Arrangement),
    /// Shows the folder of a file in the system's file manager.
    Reveal(PathBuf),
    /// Gives up what takes most of the graphics memory.
    Lighten,
    /// An edit of the command palette.
    Finder(FinderEdit),
    /// An edit of the page of models.
    Models(ModelsEdit),
    /// The answer to whether work under way may be stopped.
    Quit(QuitAnswer),
}
