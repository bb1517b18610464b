//! Sizes of a model's parts, from configurations and the headers of its files; no weight is read.

use candle_core::{DType, Device};
use serde::Serialize;

use crate::Result;
use crate::models::byte_text::TextSpec;
use crate::models::clip_vision::{ClipVision, ClipVisionConfig};
use crate::models::one4d::{AdapterConfig, Coupling, One4d};
use crate::models::umt5::{Umt5Config, Umt5Encoder};
use crate::models::wan::vae::{WanVae, WanVaeConfig};
use crate::models::wan::{WanConfig, WanDit, keys};
use crate::nn::{ShapeStore, WeightForm, Weights};

/// A network that is held whole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NetworkParts {
    /// Its parameters.
    pub values: u64,
}

impl NetworkParts {
    /// The tower of an image encoder.
    ///
    /// # Errors
    /// None but those of a broken configuration.
    pub fn clip_vision(cfg: &ClipVisionConfig) -> Result<Self> {
        let shapes = shapes_of(|weights| ClipVision::from_weights(cfg, weights))?;
        Ok(Self {
            values: total(&shapes),
        })
    }
}

/// The text encoder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TextParts {
    /// Its parameters.
    pub values: u64,
    /// Parameters of one layer.
    pub layer_values: u64,
    /// Longest text, tokens.
    pub len: usize,
    /// Width of its rows.
    pub width: usize,
    /// Feed-forward width.
    pub hidden: usize,
    /// Heads.
    pub heads: usize,
    /// It is read for a prompt, layer by layer, and dropped; otherwise it stays.
    pub on_demand: bool,
}

/// The codec.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CodecParts {
    /// Its parameters.
    pub values: u64,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Channels at full resolution, for a codec of convolutions.
    pub base_channels: Option<usize>,
}

/// The adapters and what else the branches have of their own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterParts {
    /// Rows of a batch for one row of text: two branches side by side, or one.
    pub branches: usize,
    /// Sequences that lie behind each other in one row.
    pub sequences: usize,
    /// Rank.
    pub rank: usize,
    /// Parameters of one block.
    pub block_values: u64,
    /// Parameters outside the blocks: links, entrance, exit.
    pub global_values: u64,
}

/// Sizes of the blocks' linear weights as their file has them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StoredParts {
    /// Of all blocks, held as stored.
    pub total_bytes: u64,
    /// Of the largest block.
    pub block_bytes: u64,
    /// Largest matrix, in the file.
    pub matrix_file_bytes: u64,
    /// A whole block in the file.
    pub block_file_bytes: u64,
    /// True if every block's weights are f32 in the file.
    pub is_wide: bool,
    /// True if nothing is rounded by holding them as stored; f16 becomes bf16, which has fewer bits.
    pub is_exact: bool,
    /// True if they are blocks of integers or 8-bit floats already.
    pub is_quantised: bool,
}

/// The denoiser.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DitParts {
    /// Shape of the base.
    pub config: WanConfig,
    /// Matrices of one block, `[O, I]`.
    pub linears: Vec<[usize; 2]>,
    /// Other parameters of one block.
    pub block_rest_values: u64,
    /// Parameters outside the blocks.
    pub global_values: u64,
    /// How the file has the blocks.
    pub stored: StoredParts,
    /// What lies on top.
    pub adapters: AdapterParts,
}

/// All parts of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelParts {
    /// Name for people.
    pub name: String,
    /// The text encoder.
    pub text: TextParts,
    /// The tower that sees the first image, read for it and dropped.
    pub image: Option<NetworkParts>,
    /// The codec.
    pub codec: CodecParts,
    /// The denoiser.
    pub dit: DitParts,
    /// Values of the LoRA files that go on it.
    pub lora_values: u64,
    /// How many such files there are.
    pub lora_files: usize,
}

/// Shapes that a network asks for.
fn shapes_of<T>(build: impl FnOnce(&Weights) -> Result<T>) -> Result<Vec<(String, Vec<usize>)>> {
    let shapes = ShapeStore::default();
    build(&Weights::dry(&shapes, DType::F32, &Device::Cpu))?;
    Ok(shapes.shapes().into_iter().collect())
}

fn count(shape: &[usize]) -> u64 {
    shape.iter().product::<usize>() as u64
}

fn total(shapes: &[(String, Vec<usize>)]) -> u64 {
    shapes.iter().map(|(_, shape)| count(shape)).sum()
}

/// Parameters of the tensors whose name starts so.
fn below(shapes: &[(String, Vec<usize>)], prefix: &str) -> u64 {
    let part = shapes.iter().filter(|(name, _)| name.starts_with(prefix));
    part.map(|(_, shape)| count(shape)).sum()
}

impl TextParts {
    /// UMT5 with a tokenizer of its own.
    ///
    /// # Errors
    /// None but those of a broken configuration.
    pub fn umt5(cfg: &Umt5Config, len: usize) -> Result<Self> {
        let shapes = shapes_of(|weights| Umt5Encoder::from_weights(cfg, weights))?;
        Ok(Self {
            values: total(&shapes),
            layer_values: below(&shapes, "blocks.0."),
            len,
            width: cfg.dim,
            hidden: cfg.ffn_dim,
            heads: cfg.num_heads,
            on_demand: true,
        })
    }

    /// The encoder that a bundle names; `file_bytes` is asked for the size of a file that stays.
    ///
    /// # Errors
    /// Those of `file_bytes`.
    pub fn of_spec(spec: &TextSpec, file_bytes: impl FnOnce(&str) -> Result<u64>) -> Result<Self> {
        match spec {
            TextSpec::Umt5 {
                config, max_len, ..
            } => Self::umt5(config, *max_len),
            TextSpec::Umt5Bytes {
                file: name,
                dim,
                ffn_dim,
                layers,
                heads,
                max_len,
            } => {
                let values = file_bytes(name)? / 4;
                Ok(Self {
                    values,
                    layer_values: values / (*layers).max(1) as u64,
                    len: *max_len,
                    width: *dim,
                    hidden: *ffn_dim,
                    heads: *heads,
                    on_demand: false,
                })
            }
        }
    }
}

impl CodecParts {
    /// The Wan VAE.
    ///
    /// # Errors
    /// None but those of a broken configuration.
    pub fn wan(cfg: &WanVaeConfig) -> Result<Self> {
        let shapes = shapes_of(|weights| WanVae::new(cfg, weights))?;
        Ok(Self {
            values: total(&shapes),
            latent_channels: cfg.z_dim,
            base_channels: Some(cfg.decoder_base_dim.unwrap_or(0).max(cfg.base_dim)),
        })
    }
}

impl DitParts {
    /// Whether the blocks' linear weights lie in memory as bf16 when held in a form, on a machine
    /// whose networks take `value_bytes` a value.
    pub fn is_half(&self, form: WeightForm, value_bytes: u64) -> bool {
        match form {
            WeightForm::Bf16 => true,
            WeightForm::Stored => !self.stored.is_wide && !self.stored.is_quantised,
            WeightForm::Plain => value_bytes < 4,
            WeightForm::Q8_0 | WeightForm::Q4K => false,
        }
    }

    /// A denoiser by its configuration alone, with weights stored as `form` says.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for a configuration that is impossible.
    pub fn of_config(cfg: &WanConfig, adapters: &AdapterConfig, form: WeightForm) -> Result<Self> {
        let mut parts = Self::unstored(cfg, adapters)?;
        let file_bytes = |shape: &[usize; 2]| form.held_bytes(*shape, 4).unwrap_or(0);
        let block: u64 = parts.linears.iter().map(file_bytes).sum();
        parts.stored = StoredParts {
            total_bytes: block * cfg.num_layers as u64,
            block_bytes: block,
            matrix_file_bytes: parts.linears.iter().map(file_bytes).max().unwrap_or(0),
            block_file_bytes: block,
            is_wide: form == WeightForm::Plain,
            is_exact: true,
            is_quantised: matches!(form, WeightForm::Q8_0 | WeightForm::Q4K),
        };
        Ok(parts)
    }

    /// A denoiser as its file has it.
    ///
    /// # Errors
    /// As [`Self::of_config`]. What the file lacks counts as f32; loading will name it.
    pub fn of_file(cfg: &WanConfig, adapters: &AdapterConfig, base: &Weights) -> Result<Self> {
        let mut parts = Self::unstored(cfg, adapters)?;
        let base = keys::official_names(base);
        let names = shapes_of(|weights| WanDit::from_weights(cfg, weights))?;
        let mut stored = StoredParts {
            is_wide: true,
            is_exact: true,
            ..parts.stored
        };
        for index in 0..cfg.num_layers {
            let prefix = format!("blocks.{index}.");
            let (mut held, mut file) = (0, 0);
            for (name, shape) in names.iter().filter(|(name, _)| name.starts_with(&prefix)) {
                let values = count(shape);
                let found = base.stored_bytes(name);
                let (in_file, in_memory) = match found {
                    Some(bytes) => (bytes.file, bytes.held),
                    None => (4 * values, 4 * values),
                };
                file += in_file;
                if shape.len() == 2 {
                    held += in_memory;
                    stored.is_wide &= in_file >= 4 * values;
                    stored.is_exact &= found.is_none_or(|bytes| bytes.is_exact);
                    stored.is_quantised |= in_file < 2 * values;
                    stored.matrix_file_bytes = stored.matrix_file_bytes.max(in_file);
                }
            }
            stored.total_bytes += held;
            stored.block_bytes = stored.block_bytes.max(held);
            stored.block_file_bytes = stored.block_file_bytes.max(file);
        }
        parts.stored = stored;
        Ok(parts)
    }

    fn unstored(cfg: &WanConfig, adapters: &AdapterConfig) -> Result<Self> {
        adapters.validate(cfg)?;
        let base = shapes_of(|weights| WanDit::from_weights(cfg, weights))?;
        let one_block = below(&base, "blocks.0.");
        let linears: Vec<[usize; 2]> = base
            .iter()
            .filter(|(name, _)| name.starts_with("blocks.0."))
            .filter_map(|(_, shape)| {
                Some([*shape.first()?, *shape.get(1)?]).filter(|_| shape.len() == 2)
            })
            .collect();
        let linear_values: u64 = linears.iter().map(|shape| count(shape)).sum();
        let of_blocks = below(&base, "blocks.");
        let on_top = shapes_of(|weights| {
            let dry = Weights::dry(&ShapeStore::default(), DType::F32, &Device::Cpu);
            One4d::from_weights(cfg, adapters, &dry, weights)
        })?;
        let in_blocks = below(&on_top, "blocks.");
        let (branches, sequences) = match adapters.coupling {
            Coupling::Decoupled => (2, 1),
            Coupling::Channel => (1, 1),
            Coupling::Spatial => (1, 2),
        };
        Ok(Self {
            config: cfg.clone(),
            linears,
            block_rest_values: one_block - linear_values,
            global_values: total(&base) - of_blocks,
            stored: StoredParts {
                total_bytes: 0,
                block_bytes: 0,
                matrix_file_bytes: 0,
                block_file_bytes: 0,
                is_wide: false,
                is_exact: false,
                is_quantised: false,
            },
            adapters: AdapterParts {
                branches,
                sequences,
                rank: adapters.rank,
                block_values: below(&on_top, "blocks.0."),
                global_values: total(&on_top) - in_blocks,
            },
        })
    }

    /// Parameters of the linear layers of a block.
    pub fn linear_values(&self) -> u64 {
        self.linears.iter().map(|shape| count(shape)).sum()
    }

    /// All parameters of the base.
    pub fn values(&self) -> u64 {
        let block = self.linear_values() + self.block_rest_values;
        block * self.config.num_layers as u64 + self.global_values
    }
}

impl ModelParts {
    /// The public Wan 2.1 models under One4D's adapters, stored in a form.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] for a configuration that is impossible.
    pub fn of_wan(name: &str, cfg: &WanConfig, form: WeightForm) -> Result<Self> {
        let adapters = AdapterConfig::new(Coupling::Decoupled, 64, cfg.num_layers);
        let image = match cfg.image_dim {
            Some(_) => Some(NetworkParts::clip_vision(&ClipVisionConfig::default())?),
            None => None,
        };
        Ok(Self {
            name: name.to_owned(),
            text: TextParts::umt5(&Umt5Config::xxl(), cfg.text_len)?,
            image,
            codec: CodecParts::wan(&WanVaeConfig::wan21())?,
            dit: DitParts::of_config(cfg, &adapters, form)?,
            lora_values: 0,
            lora_files: 0,
        })
    }
}
