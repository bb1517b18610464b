//! `one4d generate`: the whole pipeline headless.

use std::path::{Path, PathBuf};

use one4d_engine::device::DeviceChoice;
use one4d_engine::pipeline::{LoraChoice, Observed, ObservedFrame, Preset, Request};
use one4d_engine::worker::JobRequest;
use one4d_engine::{Error, Result};

use super::plan::{Memory, check_model};

/// Generate a scene from a prompt, images or a video.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An image to hold on to; repeat it with as many `--at` for sparse frames.
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// Frame at which the image in the same place stands, from 0.
    #[arg(long, value_name = "IDX")]
    at: Vec<usize>,
    /// A video file or a folder of frames, observed whole.
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    video: Option<PathBuf>,
    /// What the scene shows.
    #[arg(long, default_value = "")]
    prompt: String,
    /// What it should not show.
    #[arg(long, default_value = "")]
    negative_prompt: String,
    /// Folder of a model; the bundled one if not given.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Frames, 4k + 1; more than the model's length of a video, which is then joined of windows.
    #[arg(long)]
    frames: Option<usize>,
    /// Denoising steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Guidance scale; 1 switches guidance off.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    cfg: Option<f64>,
    /// Reuse a step where the first block changed by less than this share, such as 0.08; the report
    /// says how wrong that was. 0 computes every step.
    #[arg(
        long,
        value_name = "THRESHOLD",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    step_cache: f64,
    /// Time shift of the schedule; more spends more steps on what is coarse.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    shift: Option<f64>,
    /// Where the other defaults come from: `fast` takes few steps with a distilled LoRA, as many and with
    /// the shift that the model says, or else the file's name.
    #[arg(long, value_enum, default_value_t)]
    preset: PresetName,
    /// A LoRA file with its strength, 1 if not given; may be repeated.
    #[arg(long, value_name = "FILE[:STRENGTH]", value_parser = lora)]
    lora: Vec<LoraChoice>,
    /// Seed of the noise.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: Device,
    #[command(flatten)]
    memory: Memory,
    /// Folder for the scene, previews and report.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// `--preset`.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum PresetName {
    #[default]
    Standard,
    Fast,
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Standard => Self::Standard,
            PresetName::Fast => Self::Fast,
        }
    }
}

/// Reads `FILE[:STRENGTH]`. What follows the last colon counts as a strength if it is a number, so
/// that paths may hold colons; where only the part before it is a file, it was meant to be one.
pub(super) fn lora(text: &str) -> std::result::Result<LoraChoice, String> {
    let (path, strength) = match text.rsplit_once(':') {
        Some((path, number)) if !path.is_empty() => match number.parse::<f64>() {
            Ok(strength) => (path, strength),
            Err(_) if Path::new(path).is_file() && !Path::new(text).exists() => {
                return Err(format!("`{number}` is no strength; 0.8 would be one"));
            }
            Err(_) => (text, 1.0),
        },
        _ => (text, 1.0),
    };
    if path.is_empty() || !strength.is_finite() {
        return Err("a file, or a file and a number: style.safetensors:0.8".to_owned());
    }
    Ok(LoraChoice {
        path: path.into(),
        strength,
    })
}

/// `--device`.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Device {
    #[default]
    Auto,
    Cpu,
    Cuda,
}

impl Args {
    /// The job that was asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] if images and positions do not pair up, or nothing was given.
    pub fn request(self) -> Result<JobRequest> {
        let observed = self.observed()?;
        if observed == Observed::Nothing && self.prompt.trim().is_empty() {
            let reason = "give --prompt, --image or --video";
            return Err(Error::invalid("nothing to generate from", reason));
        }
        if let Some(model) = &self.model {
            check_model(model)?;
        }
        let request = Request {
            observed,
            prompt: self.prompt,
            negative_prompt: self.negative_prompt,
            model: self.model,
            frames: self.frames,
            steps: self.steps,
            guidance: self.cfg,
            step_cache: self.step_cache,
            shift: self.shift,
            preset: self.preset.into(),
            loras: self.lora,
            seed: self.seed,
            device: match self.device {
                Device::Auto => DeviceChoice::Auto,
                Device::Cpu => DeviceChoice::Cpu,
                Device::Cuda => DeviceChoice::Cuda,
            },
            memory_bytes: self.memory.memory,
            weights: self.memory.form(),
        };
        Ok(JobRequest::Generate {
            request,
            out: Some(self.out),
        })
    }

    fn observed(&self) -> Result<Observed> {
        if let Some(video) = &self.video {
            return Ok(Observed::Video(video.clone()));
        }
        let positions = match (self.image.len(), self.at.len()) {
            (0, 0) => return Ok(Observed::Nothing),
            (1, 0) => vec![0],
            (images, positions) if images == positions => self.at.clone(),
            (images, positions) => {
                return Err(Error::invalid(
                    "--image and --at",
                    format!(
                        "{images} images and {positions} positions; give one --at to each --image"
                    ),
                ));
            }
        };
        let frames = self.image.iter().cloned().zip(positions);
        let frames = frames.map(|(path, at)| ObservedFrame { path, at });
        Ok(Observed::Frames(frames.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lora_is_a_file_and_perhaps_a_strength() {
        let parsed = |text| lora(text).map(|l| (l.path.display().to_string(), l.strength));
        let cases = [
            ("a.safetensors", "a.safetensors", 1.0),
            ("a.safetensors:0.5", "a.safetensors", 0.5),
            ("a:-1", "a", -1.0),
            ("C:\\loras\\a.safetensors", "C:\\loras\\a.safetensors", 1.0),
            ("C:\\a:2", "C:\\a", 2.0),
        ];
        for (text, path, strength) in cases {
            assert_eq!(parsed(text), Ok((path.to_owned(), strength)));
        }
        assert!(lora("a:nan").is_err() && lora("").is_err());
    }
}
