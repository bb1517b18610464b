//! `one4d plan`: where a model would live, what a run takes, before anything is loaded.

use std::path::{Path, PathBuf};

use one4d_engine::device::DeviceChoice;
use one4d_engine::models::wan::WanConfig;
use one4d_engine::nn::WeightForm;
use one4d_engine::pipeline::{
    self, BundleManifest, LoraChoice, LoraWish, Observed, Preset, Request,
};
use one4d_engine::plan::{self, Machine, ModelParts, Rates, RunShape, parse_bytes};
use one4d_engine::worker::Output;
use one4d_engine::{Error, Result};
use serde_json::json;

use super::generate::{PresetName, lora};

/// What a run may take, and how the weights are held.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Memory {
    /// Memory that may be used, such as 8GB; what is free if not given.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) memory: Option<u64>,
    /// How the weights of the denoiser are held; the best that fits if not given.
    #[arg(long, value_enum)]
    weights: Option<Form>,
}

/// `--weights`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    /// f32 on the CPU, bf16 elsewhere.
    Full,
    /// Two bytes a weight.
    Bf16,
    /// As the file has them.
    Stored,
    /// Eight bits a weight.
    #[value(name = "q8_0")]
    Q8,
    /// Four bits a weight.
    #[value(name = "q4_k")]
    Q4,
}

impl Memory {
    /// The form that was asked for.
    pub(super) fn form(self) -> Option<WeightForm> {
        self.weights.map(|form| match form {
            Form::Full => WeightForm::Plain,
            Form::Bf16 => WeightForm::Bf16,
            Form::Stored => WeightForm::Stored,
            Form::Q8 => WeightForm::Q8_0,
            Form::Q4 => WeightForm::Q4K,
        })
    }
}

fn size(text: &str) -> std::result::Result<u64, String> {
    parse_bytes(text).map_err(|error| error.to_string())
}

/// Refuses what is no folder of a model, with what would be one.
///
/// # Errors
/// [`Error::Invalid`] naming the folder.
pub(super) fn check_model(folder: &Path) -> Result<()> {
    if folder.join("model.json").is_file() {
        return Ok(());
    }
    let reason = if folder.is_dir() {
        "holds no model.json, so it is no model; `one4d models assemble` makes a model of fetched \
         files, and a training run leaves one"
    } else if folder.exists() {
        "is a file; a model is a folder with model.json in it"
    } else {
        "is not there; `one4d models assemble` says where it puts a model"
    };
    Err(Error::invalid(folder.display().to_string(), reason))
}

/// Show where a model would live on this machine, and what a run takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of a model, or `wan-14b`, `wan-1.3b` for the public sizes; the bundled model if not given.
    model: Option<PathBuf>,
    #[command(flatten)]
    memory: Memory,
    /// Plan for a graphics card with --memory, whether or not there is one.
    #[arg(long, requires = "memory")]
    gpu: bool,
    /// Frames, 4k + 1.
    #[arg(long)]
    frames: Option<usize>,
    /// Height in pixels, for a public size.
    #[arg(long)]
    height: Option<usize>,
    /// Width in pixels, for a public size.
    #[arg(long)]
    width: Option<usize>,
    /// Denoising steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Guidance scale; 1 switches guidance off.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    cfg: Option<f64>,
    /// Where the other defaults come from, as for `generate`.
    #[arg(long, value_enum, default_value_t)]
    preset: PresetName,
    /// A LoRA file with its strength, as for `generate`; may be repeated.
    #[arg(long, value_name = "FILE[:STRENGTH]", value_parser = lora)]
    lora: Vec<LoraChoice>,
    /// Threshold of the step cache, as for `generate`.
    #[arg(
        long,
        value_name = "THRESHOLD",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    step_cache: f64,
}

/// A model that need not be there, and how its publishers sample it.
fn public_size(
    name: &str,
    config: &WanConfig,
    request: &Request,
) -> Result<(ModelParts, RunShape)> {
    let loras = request.loras.iter();
    let files: Vec<_> = loras
        .map(|lora| (lora.path.clone(), lora.strength))
        .collect();
    let parts = ModelParts {
        lora_values: pipeline::lora_values(&files)?,
        lora_files: files.len(),
        ..ModelParts::of_wan(name, config, WeightForm::Bf16)?
    };
    let fast = (request.preset == Preset::Fast).then(|| request.few_steps());
    let run = RunShape {
        frames: 81,
        height: 480,
        width: 832,
        steps: fast.map_or(50, |way| way.steps),
        guided: fast.is_none_or(|way| way.guidance != 1.0),
        step_cache: 0.0,
        has_image: true,
    };
    Ok((parts, run))
}

impl Args {
    /// Plans.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a run that `generate` would refuse; those of the model's files,
    /// and of a machine that does not tell its memory.
    pub fn run(self) -> Result<Output> {
        self.check()?;
        let device = DeviceChoice::Auto.open()?;
        let machine = match (self.gpu, self.memory.memory) {
            (true, Some(bytes)) => Machine::gpu(bytes),
            _ => Machine::detect(&device, self.memory.memory).with_rates(Rates::measure(&device)?),
        };
        let preset = self.model.as_ref().and_then(|model| match model.to_str()? {
            "wan-14b" => Some(("Wan 2.1 Fun 14B InP", WanConfig::fun_inp_14b())),
            "wan-1.3b" => Some(("Wan 2.1 Fun 1.3B InP", WanConfig::fun_inp_1_3b())),
            _ => None,
        });
        let request = Request {
            observed: Observed::Frames(Vec::new()),
            preset: self.preset.into(),
            loras: self.lora,
            ..Request::default()
        };
        let (parts, mut run) = match preset {
            Some((name, config)) => public_size(name, &config, &request)?,
            None => {
                let folder = match self.model {
                    Some(folder) => {
                        check_public_or_folder(&folder)?;
                        folder
                    }
                    None => pipeline::bundled_model()?,
                };
                let shape = pipeline::run_shape(&request, &BundleManifest::read(&folder)?);
                let parts = pipeline::bundle_parts(&folder, &LoraWish::from(&request))?;
                (parts, shape)
            }
        };
        run.frames = self.frames.unwrap_or(run.frames);
        run.height = self.height.unwrap_or(run.height);
        run.width = self.width.unwrap_or(run.width);
        run.steps = self.steps.unwrap_or(run.steps);
        run.step_cache = self.step_cache;
        run.guided = self.cfg.map_or(run.guided, |cfg| cfg != 1.0);
        let plan = plan::choose(&parts, &run, &machine, self.memory.form());
        let mut report = json!(plan);
        report["text"] = json!(plan.to_string());
        Ok(Output {
            files: Vec::new(),
            report,
        })
    }

    /// Refuses numbers that no run has.
    fn check(&self) -> Result<()> {
        let refuse = |what: String, reason: &str| Err(Error::invalid(what, reason));
        if let Some(frames) = self.frames
            && (frames % 4 != 1 || frames > 100_000)
        {
            let reason = "one more than a multiple of four is possible: 1, 5, 9, .. 81";
            return refuse(format!("{frames} frames"), reason);
        }
        for (name, side) in [("height", self.height), ("width", self.width)] {
            if let Some(side) = side
                && (side % 16 != 0 || !(16..=1 << 16).contains(&side))
            {
                let reason = "a multiple of 16 pixels is possible";
                return refuse(format!("{name} {side}"), reason);
            }
        }
        if let Some(steps) = self.steps
            && !(1..=1000).contains(&steps)
        {
            let reason = "between 1 and 1000 are possible";
            return refuse(format!("{steps} steps"), reason);
        }
        if let Some(cfg) = self.cfg
            && !(0.0..=50.0).contains(&cfg)
        {
            let reason = "between 0 and 50 is possible; 1 switches guidance off";
            return refuse(format!("guidance {cfg}"), reason);
        }
        if !(0.0..=1.0).contains(&self.step_cache) {
            let reason = "between 0 and 1 is possible; 0 computes every step";
            return refuse(format!("step cache {}", self.step_cache), reason);
        }
        Ok(())
    }
}

/// As [`check_model`], for a word that may have been meant as a public size.
fn check_public_or_folder(model: &Path) -> Result<()> {
    if model.exists() {
        return check_model(model);
    }
    let reason = "is neither a folder nor one of the public sizes wan-14b and wan-1.3b";
    Err(Error::invalid(model.display().to_string(), reason))
}
