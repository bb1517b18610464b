//! The state of the studio: one plain value without locks.
//!
//! Panels read it and push [`AppCommand`]s; [`apply`] alone changes it on their behalf, and
//! [`events`] on behalf of the engine and the media thread.

pub mod action;
pub mod apply;
pub mod arrangement;
mod arriving;
pub mod command;
pub mod compare;
pub mod create;
mod creating;
pub mod events;
pub mod explain;
pub mod export;
pub mod finder;
pub mod gpu;
pub mod history;
mod job_card;
pub mod jobs;
pub mod layout;
pub mod loras;
pub mod markers;
pub mod measures;
pub mod media;
pub mod model;
pub mod models;
pub mod notices;
pub mod picked;
mod placing;
pub mod quit;
pub mod recent;
mod saving;
pub mod scene;
pub mod session;
pub mod settings;
pub mod shot;
mod time;
pub mod timings;
mod tools;
pub mod view;

use std::path::Path;
use std::sync::Arc;

use egui::ColorImage;

pub use command::{Action, AppCommand};

use crate::samples::SAMPLES;
use crate::timeline::Clock;
use crate::viewport::ViewportState;

/// What the studio knows and shows.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Seconds since the start, set once a frame.
    pub now_secs: f64,
    /// The window's own clock, which moves of the view go by; it stands still while hidden.
    pub ui_secs: f64,
    /// Inputs of the next scene.
    pub create: create::CreateForm,
    /// The queue.
    pub jobs: jobs::Jobs,
    /// The scene on screen.
    pub scene: Option<scene::OpenScene>,
    /// Playback.
    pub clock: Clock,
    /// Where the scene is seen from, and how.
    pub view: ViewportState,
    /// What the view told of the frame that it shows.
    pub shown: view::Shown,
    /// What accompanies the view.
    pub companions: view::Companions,
    /// What clicks in the view do.
    pub tool: measures::Tool,
    /// The chosen point.
    pub selection: Option<measures::Anchor>,
    /// What was measured.
    pub measures: measures::Measures,
    /// Measures over time.
    pub plots: measures::Plots,
    /// What lengths are shown in.
    pub lengths: measures::Lengths,
    /// Named frames.
    pub markers: markers::Markers,
    /// The second scene.
    pub comparing: compare::Comparing,
    /// What can be undone.
    pub history: history::History,
    /// What is found again next time.
    pub session: session::Session,
    /// The screenshot being set up, if its dialog is open.
    pub shot: Option<shot::ShotForm>,
    /// The page of the Inspect panel.
    pub inspect_page: command::InspectPage,
    /// How the middle of the window is divided.
    pub arrangement: arrangement::Arrangement,
    /// Open panels.
    pub layout: layout::Layout,
    /// What was to be told.
    pub notices: notices::Notices,
    /// What is remembered.
    pub settings: settings::Settings,
    /// Recent files.
    pub recent: recent::Recent,
    /// The export being set up, if its dialog is open.
    pub export: Option<export::ExportForm>,
    /// Pictures of input files.
    pub media: media::MediaState,
    /// The chosen model.
    pub model: model::ModelState,
    /// A request whose inputs wait for what is known of its model.
    pub reusing: Option<one4d_engine::pipeline::Request>,
    /// The page of public models.
    pub models: models::ModelsState,
    /// Pictures of the bundled samples, as far as they are read.
    pub samples: Vec<Option<Arc<ColorImage>>>,
    /// The file dialog that is open.
    pub picking: Option<command::Pick>,
    /// True while the sheet of shortcuts is open.
    pub shortcuts_open: bool,
    /// Facts about the machine.
    pub platform: Platform,
    /// Whether the window is about to close.
    pub quit: quit::Quit,
    /// The command palette, while it is open.
    pub finder: Option<finder::Finder>,
}

/// Facts about the machine that change what is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// The window system gives no dropped files.
    pub no_drop: bool,
    /// Name of the graphics adapter.
    pub adapter: Option<String>,
    /// The adapter is a software rasteriser.
    pub software: bool,
}

impl AppState {
    /// The state of a fresh studio.
    pub fn new(settings: settings::Settings, recent: recent::Recent) -> Self {
        let model = model::ModelState::default();
        let mut jobs = jobs::Jobs::default();
        jobs.timings.clone_from(&settings.timings);
        Self {
            now_secs: 0.0,
            ui_secs: 0.0,
            create: create::CreateForm::new(&model.facts),
            jobs,
            scene: None,
            clock: Clock::default(),
            view: ViewportState::default(),
            shown: view::Shown::default(),
            companions: view::Companions::default(),
            tool: measures::Tool::default(),
            selection: None,
            measures: measures::Measures::default(),
            plots: measures::Plots::default(),
            lengths: measures::Lengths::default(),
            markers: markers::Markers::default(),
            comparing: compare::Comparing::default(),
            history: history::History::default(),
            session: session::Session::default(),
            shot: None,
            inspect_page: command::InspectPage::default(),
            arrangement: arrangement::Arrangement::default(),
            layout: layout::Layout::default(),
            notices: notices::Notices::default(),
            settings,
            recent,
            export: None,
            media: media::MediaState::default(),
            model,
            reusing: None,
            models: models::ModelsState::default(),
            samples: vec![None; SAMPLES.len()],
            picking: None,
            shortcuts_open: false,
            platform: Platform::default(),
            quit: quit::Quit::default(),
            finder: None,
        }
    }

    /// True on a first launch: nothing given, nothing open, nothing under way.
    pub fn is_empty(&self) -> bool {
        self.scene.is_none() && self.jobs.cards().is_empty() && self.create.is_untouched()
    }

    /// True while something runs or waits that closing would stop.
    pub fn is_working(&self) -> bool {
        self.jobs.num_active() > 0 || self.models.is_busy()
    }

    /// The frame on screen.
    pub fn frame(&self) -> usize {
        self.clock.frame(self.now_secs)
    }

    /// True while a dialog of our own wants an answer.
    pub fn is_modal(&self) -> bool {
        self.export.is_some()
            || self.shortcuts_open
            || self.shot.is_some()
            || self.finder.is_some()
            || self.models.sheet.is_some()
            || self.quit.is_asking()
    }
}

/// The last part of a path, for people.
pub fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
