//! A model in memory: manifest, codec, text encoder and denoiser of one bundle folder.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use sha2::{Digest as _, Sha256};

use super::{BundleManifest, CodecSpec, ImageSpec, LoraChoice, Preset, Request, TextSpec};
use crate::job::{JobCtx, Stage};
use crate::models::byte_text::ByteTextEncoder;
use crate::models::clip_image::OnDemandClip;
use crate::models::linear_codec::LinearCodec;
use crate::models::one4d::One4d;
use crate::models::umt5_text::OnDemandText;
use crate::models::wan::vae::{WanVae, WanVaeConfig};
use crate::models::wan::{LoraPlacement, LoraStack};
use crate::models::{Denoiser, TextEncoder, VideoVae};
use crate::nn::{WeightForm, Weights};
use crate::plan::Holding;
use crate::weight_files::weight_paths;
use crate::{Error, Result};

/// Folder of the bundled model inside an assets folder.
const BUNDLED: &str = "mini";

/// What of a request decides which weights are loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoraWish {
    /// LoRA files beside the model's own.
    pub loras: Vec<LoraChoice>,
    /// Whether the model's distilled LoRA is wanted.
    pub preset: Preset,
}

impl From<&Request> for LoraWish {
    fn from(request: &Request) -> Self {
        Self {
            loras: request.loras.clone(),
            preset: request.preset,
        }
    }
}

impl LoraWish {
    /// Every file with its strength: the model's own first.
    pub(super) fn files(
        &self,
        folder: &Path,
        manifest: &BundleManifest,
    ) -> Result<Vec<(PathBuf, f64)>> {
        let fast = manifest
            .fast
            .as_ref()
            .filter(|_| self.preset == Preset::Fast);
        let own = manifest.loras.iter().chain(fast.map(|fast| &fast.lora));
        let own =
            own.map(|lora| -> Result<_> { Ok((bundle_file(folder, &lora.file)?, lora.strength)) });
        let chosen = self.loras.iter();
        own.chain(chosen.map(|lora| Ok((lora.path.clone(), lora.strength))))
            .collect()
    }
}

/// A loaded model.
pub struct Model {
    /// Its manifest.
    pub manifest: BundleManifest,
    /// Its folder.
    pub folder: PathBuf,
    /// Hash of its weight files.
    pub hash: String,
    /// LoRA files in force.
    pub wish: LoraWish,
    /// Device of its tensors.
    pub device: Device,
    /// Pixels to latents and back.
    pub codec: Box<dyn VideoVae>,
    /// Prompt to rows.
    pub text: Box<dyn TextEncoder>,
    /// Image to tokens, where the model has an image path.
    pub image: Option<OnDemandClip>,
    /// Velocities of both branches.
    pub denoiser: Box<dyn Denoiser>,
    /// How the denoiser is held.
    pub holding: Holding,
}

impl Model {
    /// Loads a bundle with LoRA files on its base, its denoiser held as a plan says; nothing is kept of
    /// one that does not load whole.
    ///
    /// # Errors
    /// [`Error::Io`] for files that are not there, [`Error::Format`] for a manifest that cannot be read,
    /// [`Error::Weights`] naming every tensor that is missing, unexpected or misshapen.
    pub fn load(
        folder: &Path,
        wish: &LoraWish,
        device: &Device,
        holding: Holding,
        ctx: &JobCtx,
    ) -> Result<Self> {
        // Fused kernels of the CPU are f32; elsewhere bf16 is as fast as it gets and half the memory.
        let dtype = if device.is_cpu() {
            DType::F32
        } else {
            DType::BF16
        };
        let manifest = BundleManifest::read(folder)?;
        let file = |name: &str| -> Result<PathBuf> { bundle_file(folder, name) };
        ctx.step(Stage::Load, 0, 3)?;
        let mut hash = WeightsHash::default();
        let codec: Box<dyn VideoVae> = match &manifest.codec {
            CodecSpec::LinearPatch {
                file: name,
                channels,
            } => {
                let path = file(name)?;
                hash.add(&path)?;
                let codec = LinearCodec::load(&path, device)?;
                if codec.latent_channels() != *channels {
                    return Err(Error::weights(
                        &path,
                        format!(
                            "{} channels, the manifest says {channels}",
                            codec.latent_channels()
                        ),
                    ));
                }
                Box::new(codec)
            }
            CodecSpec::WanVae { file: name } => {
                let path = file(name)?;
                hash.add(&path)?;
                let weights = Weights::open(&path, dtype, device)?;
                let vae = WanVae::new(&WanVaeConfig::default(), &weights)?;
                weights.finish()?;
                Box::new(vae.with_tile(holding.codec_tile))
            }
        };
        ctx.step(Stage::Load, 1, 3)?;
        let text = text_encoder((folder, &manifest.text), &mut hash, dtype, device)?;
        let image = match &manifest.image {
            None => None,
            Some(ImageSpec::ClipVision { weights, config }) => {
                let weights = file(weights)?;
                hash.add(&weights)?;
                Some(OnDemandClip::new(config.clone(), &weights, device)?)
            }
        };
        ctx.step(Stage::Load, 2, 3)?;
        let denoiser = {
            let base = bundle_file(folder, &manifest.denoiser.base)?;
            hash.add(&base)?;
            let base = Weights::open(&base, dtype, device)?;
            denoiser((folder, &manifest), (base, holding), wish, &mut hash, ctx)?
        };
        ctx.step(Stage::Load, 3, 3)?;
        Ok(Self {
            hash: hash.hex(),
            folder: folder.to_owned(),
            wish: wish.clone(),
            device: device.clone(),
            codec,
            text,
            image,
            denoiser: Box::new(denoiser),
            holding,
            manifest,
        })
    }
}

/// The base with the wanted LoRA files in or beside its weights, and the model's adapters on top.
fn denoiser(
    (folder, manifest): (&Path, &BundleManifest),
    (base, holding): (Weights, Holding),
    wish: &LoraWish,
    hash: &mut WeightsHash,
    ctx: &JobCtx,
) -> Result<One4d> {
    let adapters = bundle_file(folder, &manifest.denoiser.adapters)?;
    hash.add(&adapters)?;
    let files = wish.files(folder, manifest)?;
    for (path, strength) in &files {
        hash.add(path)?;
        hash.0.update(strength.to_le_bytes());
    }
    let loras = Arc::new(LoraStack::open(&files, &base, ctx)?);
    for note in loras.notes() {
        ctx.warn(Stage::Load, note.clone());
    }
    // Narrow weights would lose small changes, and streamed ones would be merged again in every step.
    let placement = match holding.form {
        WeightForm::Plain if !holding.streamed => LoraPlacement::for_dtype(base.dtype()),
        _ => LoraPlacement::Beside,
    };
    let mut weights = loras.applied(&base, placement).in_form(holding.form);
    if holding.streamed {
        weights = weights.streamed();
    }
    let mut denoiser = One4d::load(&manifest.denoiser, &weights, &adapters, base.device())?;
    denoiser.limit_hidden(holding.hidden_tokens)?;
    if placement == LoraPlacement::Beside {
        denoiser.put_beside(&loras)?;
    }
    Ok(denoiser)
}

fn text_encoder(
    (folder, spec): (&Path, &TextSpec),
    hash: &mut WeightsHash,
    dtype: DType,
    device: &Device,
) -> Result<Box<dyn TextEncoder>> {
    Ok(match spec {
        TextSpec::Umt5Bytes { file, .. } => {
            let path = bundle_file(folder, file)?;
            hash.add(&path)?;
            Box::new(ByteTextEncoder::load(spec, &path, device)?)
        }
        TextSpec::Umt5 {
            weights,
            tokenizer,
            config,
            max_len,
        } => {
            let weights = bundle_file(folder, weights)?;
            let tokenizer = bundle_file(folder, tokenizer)?;
            hash.add(&weights)?;
            hash.add_file(&tokenizer)?;
            let words = (tokenizer.as_path(), *max_len);
            Box::new(OnDemandText::new(
                config.clone(),
                &weights,
                words,
                dtype,
                device,
            )?)
        }
    })
}

/// A file or folder of the bundle; a manifest must not point outside its folder.
pub(crate) fn bundle_file(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = Path::new(name).components().count() == 1 && !name.starts_with('.');
    if !plain {
        let reason = format!("`{name}` is no file name inside the model folder");
        return Err(Error::format(folder.join("model.json"), reason));
    }
    let path = folder.join(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(Error::weights(
            &path,
            "the model folder lacks this weight file; restore it or train it with `one4d train`",
        ))
    }
}

/// Folder of the model that ships with the program.
///
/// Looked for in `ONE4D_ASSETS`, beside the program, above it (a build folder inside the
/// repository), and in the working folder.
///
/// # Errors
/// [`Error::Weights`] naming where it should be.
pub fn bundled_model() -> Result<PathBuf> {
    asset(BUNDLED, "model.json").ok_or_else(|| {
        Error::weights(
            Path::new("assets").join(BUNDLED),
            "the bundled model was not found; set ONE4D_ASSETS to the assets folder, \
             or choose a model with --model",
        )
    })
}

/// Path of a bundled asset, where it can be found; `probe` is a file that must lie in it.
pub fn asset(name: &str, probe: &str) -> Option<PathBuf> {
    let mut roots: Vec<PathBuf> = Vec::new();
    roots.extend(std::env::var_os("ONE4D_ASSETS").map(PathBuf::from));
    if let Ok(program) = std::env::current_exe() {
        roots.extend(
            program
                .ancestors()
                .skip(1)
                .map(|folder| folder.join("assets")),
        );
    }
    roots.push(PathBuf::from("assets"));
    roots.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets"));
    let found = roots.into_iter().map(|root| root.join(name));
    found.into_iter().find(|path| path.join(probe).is_file())
}

/// SHA-256 over the length, the first and the last mebibyte of each file: tells models apart
/// without reading tens of gigabytes.
#[derive(Default)]
struct WeightsHash(Sha256);

impl WeightsHash {
    const WINDOW_BYTES: u64 = 1 << 20;

    /// Counts in what a path stands for.
    fn add(&mut self, path: &Path) -> Result<()> {
        weight_paths(path)?
            .iter()
            .try_for_each(|path| self.add_file(path))
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let io = |error| Error::io(path, error);
        let mut file = std::fs::File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        self.0.update(length.to_le_bytes());
        let last = length
            .saturating_sub(Self::WINDOW_BYTES)
            .max(Self::WINDOW_BYTES);
        for start in [0, last].into_iter().filter(|&start| start < length) {
            file.seek(SeekFrom::Start(start)).map_err(io)?;
            let mut window = Vec::new();
            file.by_ref()
                .take(Self::WINDOW_BYTES)
                .read_to_end(&mut window)
                .map_err(io)?;
            self.0.update(&window);
        }
        Ok(())
    }

    fn hex(self) -> String {
        let digest = self.0.finalize();
        let first = digest.first_chunk().copied().unwrap_or_default();
        format!("{:016x}", u64::from_be_bytes(first))
    }
}
