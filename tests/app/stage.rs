//! A studio without a window, with an engine that does what the test says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use egui::DroppedFile;
use egui_kittest::Harness;
use one4d_engine::hub::HubSettings;
use one4d_engine::job::{JobCtx, Preview, Stage};
use one4d_engine::models::byte_text::TextSpec;
use one4d_engine::models::one4d::{ConditioningKind, Coupling, DenoiserSpec, Prediction};
use one4d_engine::pipeline::{BUNDLE_FORMAT, BundleManifest, CodecSpec, SamplingDefaults};
use one4d_engine::sampler::SolverKind;
use one4d_engine::scene::Scene4d;
use one4d_engine::worker::{JobRequest, JobRunner, Output};
use one4d_engine::{Error, Result};
use one4d_studio::services::dialogs::Picked;
use one4d_studio::state::AppState;
use one4d_studio::state::command::{Action, AppCommand, ExportEdit, Pick};
use one4d_studio::{Studio, StudioOptions};

use super::timeline::small_scene;

/// What the engine shall do next.
pub(super) enum Do {
    Step(Stage, usize, usize),
    Preview,
    Show(Arc<Scene4d>),
    Warn(&'static str),
    Finish(Output),
    Fail(Error),
    Panic,
}

/// An engine under the test's hand; notes what it was asked for.
struct Puppet {
    script: Receiver<Do>,
    asked: Sender<JobRequest>,
}

impl JobRunner for Puppet {
    fn plan(&self, _request: &JobRequest) -> Vec<Stage> {
        vec![Stage::Load, Stage::Sample, Stage::Decode]
    }

    fn run(
        &mut self,
        request: JobRequest,
        ctx: &JobCtx,
        show: &dyn Fn(Arc<Scene4d>),
    ) -> Result<Output> {
        let _ = self.asked.send(request);
        loop {
            ctx.check()?;
            match self.script.recv_timeout(Duration::from_millis(2)) {
                Ok(Do::Step(stage, done, total)) => ctx.step(stage, done, total)?,
                Ok(Do::Preview) => ctx.preview(Preview {
                    step: 1,
                    width: 2,
                    height: 1,
                    rgb: vec![9; 6],
                }),
                Ok(Do::Show(scene)) => show(scene),
                Ok(Do::Warn(message)) => ctx.warn(Stage::Sample, message),
                Ok(Do::Finish(output)) => return Ok(output),
                Ok(Do::Fail(error)) => return Err(error),
                Ok(Do::Panic) => panic!("the puppet was told to"),
                Err(_) => {}
            }
        }
    }

    fn unload(&mut self) {}
}

/// A studio without a window, its engine's strings, and its folder.
pub(super) struct Stage4d {
    pub(super) harness: Harness<'static, Studio>,
    pub(super) script: Sender<Do>,
    pub(super) asked: Receiver<JobRequest>,
    pub(super) folder: tempfile::TempDir,
}

impl Stage4d {
    pub(super) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap(), Vec::new())
    }

    /// A studio with its files in a folder, started on files.
    pub(super) fn at(folder: tempfile::TempDir, paths: Vec<PathBuf>) -> Self {
        Self::build(folder, paths, Harness::builder())
    }

    /// A studio that draws in 3D, with a device of its own as in a window.
    pub(super) fn in_3d() -> Self {
        let render_state = egui_kittest::wgpu::create_render_state(
            one4d_studio::viewport::wanted_wgpu_setup(),
            egui_wgpu::RendererOptions::PREDICTABLE,
        );
        let renderer = egui_kittest::wgpu::WgpuTestRenderer::from_render_state(render_state);
        let builder = Harness::builder().renderer(renderer);
        Self::build(tempfile::tempdir().unwrap(), Vec::new(), builder)
    }

    /// A studio with its files in a folder and a hub of its own.
    pub(super) fn with_hub(folder: tempfile::TempDir, hub: HubSettings) -> Self {
        Self::build_with(folder, Vec::new(), Harness::builder(), Some(hub))
    }

    fn build(
        folder: tempfile::TempDir,
        paths: Vec<PathBuf>,
        builder: egui_kittest::HarnessBuilder<Studio>,
    ) -> Self {
        Self::build_with(folder, paths, builder, None)
    }

    fn build_with(
        folder: tempfile::TempDir,
        paths: Vec<PathBuf>,
        builder: egui_kittest::HarnessBuilder<Studio>,
        hub: Option<HubSettings>,
    ) -> Self {
        let (script, script_end) = unbounded();
        let (asked_end, asked) = unbounded();
        let options = StudioOptions {
            root: Some(folder.path().to_owned()),
            runner: Some(Box::new(Puppet {
                script: script_end,
                asked: asked_end,
            })),
            ui_time: true,
            hub,
            on_picture: None,
        };
        let mut harness = builder
            .with_size([1280.0, 800.0])
            .with_step_dt(0.05)
            .build_eframe(move |cc| Studio::new(cc, paths, options).unwrap());
        harness.step();
        Self {
            harness,
            script,
            asked,
            folder,
        }
    }

    /// A studio whose model is there, on paper.
    pub(super) fn with_model() -> Self {
        let mut stage = Self::new();
        let folder = stage.folder.path().join("model");
        write_manifest(&folder);
        stage.open(&folder);
        stage.until("the model is read", |s| s.model.facts.name == "Test model");
        stage
    }

    pub(super) fn state(&self) -> &AppState {
        self.harness.state().state()
    }

    pub(super) fn command(&mut self, command: AppCommand) {
        self.harness.state_mut().command(command);
        self.harness.step();
    }

    pub(super) fn open(&mut self, path: &Path) {
        let target = one4d_studio::state::command::Target::ByKind;
        self.command(AppCommand::OpenPaths(vec![path.to_owned()], target));
    }

    pub(super) fn send(&self, step: Do) {
        self.script.send(step).unwrap();
    }

    /// Goes on until the state is so; other threads have a part in it.
    pub(super) fn until(&mut self, what: &str, so: impl Fn(&AppState) -> bool) {
        let begin = Instant::now();
        while !so(self.state()) {
            assert!(begin.elapsed() < Duration::from_secs(20), "never: {what}");
            std::thread::sleep(Duration::from_millis(1));
            self.harness.step();
        }
        // The panels show what has just become so.
        self.harness.run_steps(2);
    }

    pub(super) fn drop_files(&mut self, paths: &[PathBuf]) {
        for path in paths {
            let file: Arc<dyn DroppedFile + Send + Sync> = Arc::new(Dropped(path.clone()));
            self.harness.input_mut().dropped_files.push(file);
        }
        self.harness.step();
    }

    /// Lets go of a file over a place of the window.
    pub(super) fn drop_at(&mut self, path: &Path, at: egui::Pos2) {
        self.harness.event(egui::Event::PointerMoved(at));
        self.harness.step();
        self.drop_files(&[path.to_owned()]);
    }

    /// Chooses a file in the dialog of a kind.
    pub(super) fn choose(&mut self, pick: Pick, path: &Path) {
        self.harness.state_mut().answer_dialog(Picked {
            pick,
            paths: vec![path.to_owned()],
            unseen: false,
        });
        self.harness.step();
    }

    pub(super) fn image(&self, name: &str, width: u32, height: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        image::RgbImage::from_pixel(width, height, image::Rgb([90, 120, 200]))
            .save(&path)
            .unwrap();
        path
    }

    /// Every control that can be used has a name.
    pub(super) fn check_names(&self) {
        self.harness.check_accessibility();
    }

    /// Chooses a folder for the export that is being set up.
    pub(super) fn pick_export_folder(&mut self) {
        let folder = self.folder.path().join("out");
        self.command(AppCommand::Export(ExportEdit::Folder(folder)));
    }

    /// Goes on until a file is there, at most so many steps.
    pub(super) fn until_file(&mut self, what: &str, path: &Path, steps: usize) {
        for _ in 0..steps {
            if path.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
            self.harness.step();
        }
        panic!("never: {what}");
    }

    /// Closes the studio and keeps its files.
    pub(super) fn into_folder(self) -> tempfile::TempDir {
        self.folder
    }

    pub(super) fn with_image() -> Self {
        let mut stage = Self::with_model();
        let image = stage.image("cat.png", 64, 64);
        stage.drop_files(&[image]);
        stage.until("the image is taken", |s| s.create.missing().is_none());
        stage
    }

    pub(super) fn with_scene(num_frames: usize) -> Self {
        Self::showing(small_scene(num_frames))
    }

    /// A studio with a scene that a job has made.
    pub(super) fn showing(scene: Arc<Scene4d>) -> Self {
        let mut stage = Self::with_image();
        stage.command(AppCommand::Act(Action::Generate));
        stage.send(Do::Show(scene));
        stage.send(Do::Finish(Output::default()));
        stage.until("the scene is there", |s| s.scene.is_some());
        stage.until("the job is done", |s| s.jobs.num_active() == 0);
        stage
    }
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> std::result::Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

pub(super) fn write_manifest(folder: &Path) {
    let manifest = BundleManifest {
        format: BUNDLE_FORMAT,
        name: "Test model".to_owned(),
        description: "Knows nothing".to_owned(),
        licence: "MIT".to_owned(),
        frames: 9,
        height: 48,
        width: 80,
        fps: 8.0,
        codec: CodecSpec::LinearPatch {
            file: "codec.safetensors".to_owned(),
            channels: 4,
        },
        text: TextSpec::Umt5Bytes {
            file: "text.safetensors".to_owned(),
            dim: 8,
            ffn_dim: 8,
            layers: 1,
            heads: 1,
            max_len: 8,
        },
        image: None,
        denoiser: DenoiserSpec {
            config: one4d_engine::models::wan::WanConfig::tiny(),
            base: "base.safetensors".to_owned(),
            adapters: "dlc.safetensors".to_owned(),
            coupling: Coupling::Decoupled,
            prediction: Prediction::default(),
            conditioning: ConditioningKind::Unified,
            adapter_scale: None,
        },
        loras: Vec::new(),
        fast: None,
        sampling: SamplingDefaults {
            solver: SolverKind::Euler,
            steps: 12,
            shift: 3.0,
            guidance: 2.5,
        },
        trained_steps: 1,
    };
    std::fs::create_dir_all(folder).unwrap();
    let text = serde_json::to_string(&manifest).unwrap();
    std::fs::write(folder.join("model.json"), text).unwrap();
}
