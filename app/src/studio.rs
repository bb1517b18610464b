//! The studio: drains events, takes keys and files, shows the panels, applies their commands.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::CreationContext;
use egui::{Context, Rect, Ui};
use one4d_engine::hub::HubSettings;
use one4d_engine::worker::{EngineHandle, JobRunner};

use crate::panels::{self, Panel};
use crate::services::dialogs::Picked;
use crate::services::{
    Dialogs, MediaTask, MediaWorker, ModelHub, Services, Shots, Store, Wake, store,
};
use crate::state::apply::apply;
use crate::state::command::Target;
use crate::state::quit::Quit;
use crate::state::session::Session;
use crate::state::{AppCommand, AppState, Platform, events, gpu, picked, session};
use crate::theme;
use crate::viewport::GpuWatch;
use crate::widgets::Textures;
use crate::{arrivals, samples, shortcuts};

/// Seconds between two writes of the session.
const AUTOSAVE_SECS: f64 = 30.0;

/// How the studio starts.
#[derive(Default)]
pub struct StudioOptions {
    /// Folders below this one instead of the user's own.
    pub root: Option<PathBuf>,
    /// Another engine than the pipeline, as tests have it.
    pub runner: Option<Box<dyn JobRunner>>,
    /// Another hub and cache than the environment's; with `root` alone an empty cache, offline.
    pub hub: Option<HubSettings>,
    /// Go by the window's clock, which tests move by hand.
    pub ui_time: bool,
    /// Called with the window's graphics device before every picture, for tests that take it away.
    pub on_picture: Option<Box<dyn FnMut(&wgpu::Device)>>,
}

/// The studio.
pub struct Studio {
    state: AppState,
    services: Services,
    textures: Textures,
    gpu: GpuWatch,
    started: Instant,
    ui_time: bool,
    on_picture: Option<Box<dyn FnMut(&wgpu::Device)>>,
    theme: Option<egui::ThemePreference>,
    /// Where the scene is in the window.
    stage: Rect,
    /// The window has been told to close.
    closing: bool,
    /// When the session was written last, and what it was.
    saved: (f64, Session),
}

impl Studio {
    /// A studio in a window, with files to open.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn new(
        cc: &CreationContext<'_>,
        paths: Vec<PathBuf>,
        options: StudioOptions,
    ) -> anyhow::Result<Self> {
        theme::install(&cc.egui_ctx);
        let store = options
            .root
            .as_deref()
            .map_or_else(Store::for_user, Store::below);
        let mut state = AppState::new(
            store::read_or_default(&store.settings_file()),
            store::read_or_default(&store.recent_file()),
        );
        state.platform = platform(cc);
        state.session = store::read_or_default(&store.session_file());
        state.layout = session::restored_layout(&state.session);
        state.arrangement = session::restored_arrangement(&state.session);
        state.create.model = session::restored_model(&state.session);
        state.create.loras = state.session.loras.clone();
        let wake = Wake::new(&cc.egui_ctx);
        let waker = || {
            let wake = wake.clone();
            move || wake.call()
        };
        let engine = match options.runner {
            Some(runner) => EngineHandle::start_with(runner, waker())?,
            None => EngineHandle::start(waker())?,
        };
        let gpu = watch(cc, &wake);
        let media = MediaWorker::start(waker())?;
        media.ask(MediaTask::Model(state.create.model.clone()));
        for index in 0..samples::SAMPLES.len() {
            media.ask(MediaTask::SamplePicture(index));
        }
        let hub = options.hub.or_else(|| {
            let cache = options.root.as_deref()?.join("hub");
            Some(HubSettings {
                offline: true,
                ..HubSettings::new("http://localhost", &cache)
            })
        });
        let mut services = Services {
            hub: ModelHub::start(store.clone(), hub, Arc::new(waker()))?,
            engine,
            media,
            dialogs: Dialogs::default(),
            shots: Shots::new(device_of(cc)),
            store,
            wake,
        };
        let command = AppCommand::OpenPaths(or_last(paths, &state), Target::ByKind);
        apply(&mut state, &mut services, command);
        let saved = (0.0, state.session.clone());
        Ok(Self {
            state,
            services,
            textures: Textures::default(),
            gpu,
            started: Instant::now(),
            ui_time: options.ui_time,
            on_picture: options.on_picture,
            theme: None,
            stage: Rect::NOTHING,
            closing: false,
            saved,
        })
    }

    /// Goes on in another window with another graphics device. State, jobs and files are what they
    /// were; what lay on the old device is made anew when it is next shown.
    pub fn attach(&mut self, cc: &CreationContext<'_>) {
        theme::install(&cc.egui_ctx);
        self.services.wake.attach(&cc.egui_ctx);
        self.services.shots.attach(device_of(cc));
        self.gpu = watch(cc, &self.services.wake);
        self.state.platform = platform(cc);
        self.textures = Textures::default();
        self.theme = None;
        self.stage = Rect::NOTHING;
        self.closing = false;
        // A move of the eye goes by the clock of the window that is gone.
        self.state.view.orbit = self.state.view.goal();
        self.state.view.motion = None;
        gpu::on_new_device(&mut self.state);
    }

    /// Whether the graphics device of this window is gone.
    pub fn has_lost_device(&self) -> bool {
        self.gpu.is_lost()
    }

    /// Shows nothing, as nothing can be drawn any more, and closes the window.
    fn leave_window(&mut self, ctx: &Context) {
        if !self.closing {
            self.closing = true;
            tracing::warn!("the graphics device is lost; the window is opened anew");
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }

    /// The state, for tests and reports.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Applies a command as if a panel had pushed it.
    pub fn command(&mut self, command: AppCommand) {
        apply(&mut self.state, &mut self.services, command);
    }

    /// Takes the answer of a file dialog as if one had been open.
    pub fn answer_dialog(&mut self, picked: Picked) {
        picked::on_picked(&mut self.state, &mut self.services, picked);
    }

    /// The window's own close button asks as Ctrl+Q does.
    fn hear_close(&mut self, ctx: &Context) {
        if self.closing || !ctx.input(|input| input.viewport().close_requested()) {
            return;
        }
        self.state.quit.ask(self.state.is_working());
        if self.state.quit == Quit::Leave {
            self.closing = true;
        } else {
            ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
        }
    }

    fn tick(&mut self, ctx: &Context) {
        let before = self.state.now_secs;
        self.state.ui_secs = ctx.input(|input| input.time);
        self.state.now_secs = if self.ui_time {
            self.state.ui_secs
        } else {
            self.started.elapsed().as_secs_f64()
        };
        if self.state.shown.is_loading {
            // Playback waits for the frame, or it would run ahead of what a slow disk can bring.
            self.state.clock.wait(before, self.state.now_secs);
        }
    }

    fn follow_settings(&mut self, ctx: &Context) {
        let theme = self.state.settings.theme.into();
        if self.theme != Some(theme) {
            ctx.set_theme(theme);
            self.theme = Some(theme);
        }
        let motion_secs = if self.state.settings.reduce_motion {
            0.0
        } else {
            theme::MOTION_SECS
        };
        if ctx.global_style().animation_time != motion_secs {
            ctx.all_styles_mut(|style| style.animation_time = motion_secs);
        }
    }

    fn show(&mut self, ui: &mut Ui, frame: &eframe::Frame, commands: &mut Vec<AppCommand>) {
        self.textures.begin_frame();
        let mut panel = Panel {
            state: &self.state,
            textures: &mut self.textures,
            render_state: frame.wgpu_render_state(),
            cpu_secs: frame.info().cpu_usage,
            commands,
        };
        let stage = panels::shell::layout_ui(ui, &mut panel);
        self.stage = stage;
        panels::notices::notices_ui(ui.ctx(), &mut panel, stage);
        panels::export::export_ui(ui.ctx(), &mut panel);
        panels::fetch::fetch_ui(ui.ctx(), &mut panel);
        panels::shot::shot_ui(ui.ctx(), &mut panel);
        panels::sheet::sheet_ui(ui.ctx(), &mut panel);
        panels::finder::finder_ui(ui.ctx(), &mut panel);
        panels::quit::quit_ui(ui.ctx(), &mut panel);
        panels::drop_hint::drop_hint_ui(ui.ctx(), &panel, stage);
    }

    fn open_dialog(&mut self, ctx: &Context, frame: &eframe::Frame, was_open: bool) {
        let Some(pick) = self.state.picking.filter(|_| !was_open) else {
            return;
        };
        let ctx = ctx.clone();
        let wake = move || ctx.request_repaint();
        if let Err(error) = self.services.dialogs.open(pick, frame, wake) {
            tracing::error!(%error, "no thread for the file dialog");
            self.state.picking = None;
        }
    }

    /// Writes the session where it has changed, at most every half minute; returns seconds until then.
    fn autosave(&mut self) -> Option<f64> {
        session::remember(&mut self.state);
        if self.saved.1 == self.state.session {
            return None;
        }
        let due = self.saved.0 + AUTOSAVE_SECS - self.state.now_secs;
        if due > 0.0 {
            return Some(due);
        }
        self.saved = (self.state.now_secs, self.state.session.clone());
        let file = self.services.store.session_file();
        match serde_json::to_value(&self.state.session) {
            Ok(value) => self.services.media.ask(MediaTask::Write(file, value)),
            Err(error) => tracing::error!(%error, "the session cannot be written"),
        }
        None
    }

    /// Asks for the next picture no sooner than something changes.
    fn schedule(&mut self, ctx: &Context) {
        let now = self.state.now_secs;
        let notice = self.state.notices.expire(now);
        let frame = self.state.clock.next_change_secs(now);
        let is_running = self.state.jobs.running().is_some() || self.state.models.is_busy();
        let job = is_running.then_some(0.5);
        let save = self.autosave();
        let next = [notice, frame, job, save]
            .into_iter()
            .flatten()
            .reduce(f64::min);
        if let Some(secs) = next {
            ctx.request_repaint_after(Duration::from_secs_f64(secs.clamp(0.0, 60.0)));
        }
        if self.state.quit == Quit::Leave && !self.closing {
            self.closing = true;
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }
}

impl eframe::App for Studio {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        self.tick(ctx);
        events::drain(&mut self.state, &mut self.services);
        let problems = self.gpu.problems();
        // A device that is gone refuses everything; the next window says what happened.
        if !self.gpu.is_lost() {
            for problem in problems {
                gpu::on_problem(&mut self.state, problem);
            }
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        if let (Some(on_picture), Some(gpu)) = (&mut self.on_picture, frame.wgpu_render_state()) {
            on_picture(&gpu.device);
        }
        if self.gpu.is_lost() {
            self.leave_window(&ctx);
            return;
        }
        self.tick(&ctx);
        self.hear_close(&ctx);
        if !self.state.is_working() {
            self.state.quit.work_ended();
        }
        self.follow_settings(&ctx);
        let mut commands: Vec<_> = shortcuts::pressed(&ctx, &self.state)
            .into_iter()
            .map(AppCommand::Act)
            .collect();
        let target = panels::drop_hint::target(&ctx, &self.state, self.stage);
        commands.extend(arrivals::arrived(&ctx, &self.services, target));
        self.show(ui, frame, &mut commands);
        let was_open = self.state.picking.is_some();
        // While frames follow each other the next one brings what the view has told of this one.
        let playing = self.state.clock.is_playing(self.state.now_secs);
        let changed = commands
            .iter()
            .any(|command| !(playing && matches!(command, AppCommand::Shown(_))));
        for command in commands {
            apply(&mut self.state, &mut self.services, command);
        }
        self.open_dialog(&ctx, frame, was_open);
        self.schedule(&ctx);
        if changed {
            // Panels showed the state from before their own commands.
            ctx.request_repaint();
        }
    }

    fn on_exit(&mut self) {
        session::remember(&mut self.state);
        let file = self.services.store.session_file();
        if let Err(error) = store::write_json(&file, &self.state.session) {
            tracing::warn!(%error, path = %file.display(), "the session was not saved");
        }
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}

/// The files that were named, or the scene that was on screen last.
fn or_last(paths: Vec<PathBuf>, state: &AppState) -> Vec<PathBuf> {
    if !paths.is_empty() {
        return paths;
    }
    let last = state.session.last_scene.clone();
    last.filter(|path| path.is_file()).into_iter().collect()
}

/// The window's device, for pictures beside the window.
fn device_of(cc: &CreationContext<'_>) -> Option<(wgpu::Device, wgpu::Queue)> {
    let gpu = cc.wgpu_render_state.as_ref()?;
    Some((gpu.device.clone(), gpu.queue.clone()))
}

fn watch(cc: &CreationContext<'_>, wake: &Wake) -> GpuWatch {
    let wake = wake.clone();
    let device = cc.wgpu_render_state.as_ref().map(|gpu| &gpu.device);
    GpuWatch::over(device, move || wake.call())
}

fn platform(cc: &CreationContext<'_>) -> Platform {
    let info = cc
        .wgpu_render_state
        .as_ref()
        .map(|render_state| render_state.adapter.get_info());
    Platform {
        // The window library has no handler for drops on Wayland.
        no_drop: cfg!(target_os = "linux")
            && std::env::var_os("WAYLAND_DISPLAY").is_some_and(|name| !name.is_empty()),
        software: info
            .as_ref()
            .is_some_and(|info| info.device_type == wgpu::DeviceType::Cpu),
        adapter: info.map(|info| info.name),
    }
}
