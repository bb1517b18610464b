//! The window: drains events, takes keys and files, shows the panels, applies their commands.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use eframe::CreationContext;
use egui::{CentralPanel, Context, Event, Frame, Panel as EguiPanel, Rect, Ui, vec2};
use one4d_engine::worker::{EngineHandle, JobRunner};

use crate::panels::{self, Panel};
use crate::services::kinds::paths_in_text;
use crate::services::{Dialogs, MediaTask, MediaWorker, Services, Shots, Store, store};
use crate::state::apply::apply;
use crate::state::command::Target;
use crate::state::quit::Quit;
use crate::state::session::Session;
use crate::state::{Action, AppCommand, AppState, Platform, events, session};
use crate::theme;
use crate::timeline::timeline_ui;
use crate::viewport::{self, GpuProblem};
use crate::widgets::Textures;
use crate::{samples, shortcuts};

/// Seconds between two writes of the session.
const AUTOSAVE_SECS: f64 = 30.0;

/// How the studio starts.
#[derive(Default)]
pub struct StudioOptions {
    /// Folders below this one instead of the user's own.
    pub root: Option<PathBuf>,
    /// Another engine than the pipeline, as tests have it.
    pub runner: Option<Box<dyn JobRunner>>,
    /// Go by the window's clock, which tests move by hand.
    pub ui_time: bool,
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// If the system gives no window or no graphics adapter, in words that say what to do.
pub fn run_studio(paths: Vec<PathBuf>, options: StudioOptions) -> anyhow::Result<()> {
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("One4D Studio")
            .with_app_id("one4d")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([880.0, 560.0])
            .with_drag_and_drop(true),
        renderer: eframe::Renderer::Wgpu,
        wgpu_options: egui_wgpu::WgpuConfiguration {
            surface: egui_wgpu::SurfaceConfig::HIGH_THROUGHPUT,
            wgpu_setup: viewport::wanted_wgpu_setup(),
            ..egui_wgpu::WgpuConfiguration::default()
        },
        dithering: true,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "One4D Studio",
        native,
        Box::new(move |cc| Ok(Box::new(Studio::new(cc, paths, options)?))),
    )
    .map_err(|error| {
        anyhow::anyhow!(
            "the window could not open: {error}. One4D Studio needs a display and a Vulkan, Metal \
             or DirectX 12 driver; Mesa's software driver (mesa-vulkan-drivers) is enough. \
             `one4d generate` works without a window."
        )
    })
}

/// The studio.
pub struct Studio {
    state: AppState,
    services: Services,
    textures: Textures,
    gpu_problems: Receiver<GpuProblem>,
    started: Instant,
    ui_time: bool,
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
        let wake = {
            let ctx = cc.egui_ctx.clone();
            move || ctx.request_repaint()
        };
        let engine = match options.runner {
            Some(runner) => EngineHandle::start_with(runner, wake.clone())?,
            None => EngineHandle::start(wake.clone())?,
        };
        let gpu_problems = watch_gpu(cc, wake.clone());
        let media = MediaWorker::start(wake.clone())?;
        media.ask(MediaTask::Model(None));
        for index in 0..samples::SAMPLES.len() {
            media.ask(MediaTask::SamplePicture(index));
        }
        let mut services = Services {
            engine,
            media,
            dialogs: Dialogs::default(),
            shots: Shots::new(
                cc.wgpu_render_state
                    .as_ref()
                    .map(|gpu| (gpu.device.clone(), gpu.queue.clone())),
            ),
            store,
            wake: Arc::new(wake),
        };
        let command = AppCommand::OpenPaths(or_last(paths, &state), Target::ByKind);
        apply(&mut state, &mut services, command);
        let saved = (0.0, state.session.clone());
        Ok(Self {
            state,
            services,
            textures: Textures::default(),
            gpu_problems,
            started: Instant::now(),
            ui_time: options.ui_time,
            theme: None,
            stage: Rect::NOTHING,
            closing: false,
            saved,
        })
    }

    /// The state, for tests and reports.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Applies a command as if a panel had pushed it.
    pub fn command(&mut self, command: AppCommand) {
        apply(&mut self.state, &mut self.services, command);
    }

    /// The window's own close button asks as Ctrl+Q does.
    fn hear_close(&mut self, ctx: &Context) {
        if self.closing || !ctx.input(|input| input.viewport().close_requested()) {
            return;
        }
        self.state.quit.ask(self.state.jobs.num_active() > 0);
        if self.state.quit == Quit::Leave {
            self.closing = true;
        } else {
            ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
        }
    }

    fn tick(&mut self, ctx: &Context) {
        self.state.ui_secs = ctx.input(|input| input.time);
        self.state.now_secs = if self.ui_time {
            self.state.ui_secs
        } else {
            self.started.elapsed().as_secs_f64()
        };
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
        let stage = layout_ui(ui, &mut panel);
        self.stage = stage;
        panels::notices::notices_ui(ui.ctx(), &mut panel, stage);
        panels::export::export_ui(ui.ctx(), &mut panel);
        panels::shot::shot_ui(ui.ctx(), &mut panel);
        panels::sheet::sheet_ui(ui.ctx(), &mut panel);
        panels::finder::finder_ui(ui.ctx(), &mut panel);
        panels::quit::quit_ui(ui.ctx(), &mut panel);
        panels::drop_hint::drop_hint_ui(ui.ctx(), &panel, stage);
    }

    /// Files dropped on the window and things pasted outside a text field.
    fn arrived(&self, ctx: &Context) -> Vec<AppCommand> {
        let target = panels::drop_hint::target(ctx, &self.state, self.stage);
        let services = &self.services;
        let typing = ctx.egui_wants_keyboard_input();
        ctx.input(|input| {
            let dropped: Vec<_> = input
                .raw
                .dropped_files
                .iter()
                .map(|file| file.path().to_owned())
                .collect();
            let mut commands = Vec::new();
            if !dropped.is_empty() {
                commands.push(AppCommand::OpenPaths(dropped, target));
            }
            for event in &input.events {
                match event {
                    Event::PasteImage(pixels) => {
                        let folder = services.store.inputs();
                        let task = MediaTask::SavePasted(Arc::clone(pixels), folder);
                        services.media.ask(task);
                    }
                    Event::Paste(text) if !typing => {
                        let paths = paths_in_text(text);
                        if !paths.is_empty() {
                            commands.push(AppCommand::OpenPaths(paths, Target::ByKind));
                        }
                    }
                    _ => {}
                }
            }
            commands
        })
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
        let job = self.state.jobs.running().map(|_| 0.5);
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
        for problem in self.gpu_problems.try_iter() {
            events::on_gpu_problem(&mut self.state, problem);
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        self.tick(&ctx);
        self.hear_close(&ctx);
        if self.state.jobs.num_active() == 0 {
            self.state.quit.work_ended();
        }
        self.follow_settings(&ctx);
        let mut commands: Vec<_> = shortcuts::pressed(&ctx, &self.state)
            .into_iter()
            .map(AppCommand::Act)
            .collect();
        commands.extend(self.arrived(&ctx));
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

/// Problems of the graphics device, from whatever thread they are reported on.
fn watch_gpu(
    cc: &CreationContext<'_>,
    wake: impl Fn() + Clone + Send + Sync + 'static,
) -> Receiver<GpuProblem> {
    let (report, problems) = bounded(16);
    if let Some(render_state) = &cc.wgpu_render_state {
        viewport::report_problems(&render_state.device, move |problem| {
            tracing::error!(?problem, "graphics device");
            // A flood says nothing that the first of it did not.
            let _ = report.try_send(problem);
            wake();
        });
    }
    problems
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

/// Lays out the panels; returns where the scene is.
fn layout_ui(ui: &mut Ui, panel: &mut Panel<'_>) -> Rect {
    let tokens = theme::tokens(ui);
    let ground = Frame::new().fill(tokens.panel);
    EguiPanel::top("top-bar")
        .resizable(false)
        .exact_size(theme::TOP_BAR)
        .show_separator_line(false)
        .frame(ground)
        .show(ui, |ui| panels::top_bar::top_bar_ui(ui, panel));
    if panel.state.is_empty() {
        return CentralPanel::default()
            .frame(Frame::new().fill(tokens.canvas))
            .show(ui, |ui| panels::empty::empty_ui(ui, panel))
            .response
            .rect;
    }
    let layout = panel.state.layout;
    let mut open = layout.timeline;
    EguiPanel::bottom("timeline")
        .resizable(false)
        .exact_size(theme::TIMELINE)
        .frame(ground)
        .show_collapsible(ui, &mut open, |ui| timeline_ui(ui, panel));
    let mut open = layout.create;
    EguiPanel::left("create")
        .resizable(false)
        .exact_size(theme::CREATE)
        .frame(ground)
        .show_collapsible(ui, &mut open, |ui| left_ui(ui, panel));
    let mut open = layout.inspect;
    EguiPanel::right("inspect")
        .resizable(false)
        .exact_size(theme::INSPECT)
        .frame(ground)
        .show_collapsible(ui, &mut open, |ui| panels::inspect::inspect_ui(ui, panel));
    let centre = CentralPanel::default()
        .frame(Frame::new().fill(tokens.canvas))
        .show(ui, |ui| panels::centre::centre_ui(ui, panel));
    let stage = centre.response.rect;
    hide_on_tab(ui.ctx(), panel, stage);
    stage
}

/// Create above, the queue below as soon as there is one.
fn left_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    if !panel.state.jobs.cards().is_empty() {
        let most = ui.available_height() * 0.5;
        let wanted = panels::queue::wanted_height(ui.ctx());
        EguiPanel::bottom("queue")
            .resizable(false)
            .exact_size(wanted.min(most))
            .frame(Frame::new().inner_margin(vec2(16.0, 10.0)))
            .show(ui, |ui| panels::queue::queue_ui(ui, panel));
    }
    panels::create::create_ui(ui, panel);
}

/// Tab hides the panels while the pointer is over the scene; elsewhere it moves the keyboard on.
fn hide_on_tab(ctx: &Context, panel: &mut Panel<'_>, stage: Rect) {
    let over = ctx
        .pointer_hover_pos()
        .is_some_and(|pointer| stage.contains(pointer));
    let free = ctx.memory(|memory| memory.focused().is_none()) && !panel.state.is_modal();
    if over
        && free
        && ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Tab))
    {
        panel.push(AppCommand::Act(Action::TogglePanels));
    }
}
