//! A small UMT5 encoder over bytes: no vocabulary file, any language, trained with its denoiser.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::TextEncoder;
use super::umt5::{Umt5Config, Umt5Encoder};
use crate::nn::Weights;
use crate::{Error, Result};

/// Which text encoder, and its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TextSpec {
    /// UMT5 over bytes.
    Umt5Bytes {
        /// File name inside the bundle.
        file: String,
        /// Width.
        dim: usize,
        /// Feed-forward width.
        ffn_dim: usize,
        /// Layers.
        layers: usize,
        /// Heads.
        heads: usize,
        /// Length of the padded sequence, bytes.
        max_len: usize,
    },
    /// UMT5 with a tokenizer of its own, read for each prompt and dropped again.
    Umt5 {
        /// Weights inside the bundle: a file, an index of shards, or a folder.
        weights: String,
        /// Its `tokenizer.json` inside the bundle.
        tokenizer: String,
        /// Shape of the encoder.
        config: Umt5Config,
        /// Length of the padded sequence, tokens.
        max_len: usize,
    },
}

impl TextSpec {
    /// File or folder of the weights inside the bundle.
    pub fn weights(&self) -> &str {
        match self {
            Self::Umt5Bytes { file, .. } => file,
            Self::Umt5 { weights, .. } => weights,
        }
    }
}

/// Padding.
const PAD: u32 = 0;
/// End of the text.
const END: u32 = 1;
/// Ids below this are special: padding, end, and one in reserve.
const FIRST_BYTE: u32 = 3;
/// Ids of the byte encoder.
const BYTE_VOCABULARY: usize = 256 + FIRST_BYTE as usize;

/// A UMT5 encoder whose tokens are the prompt's bytes: no vocabulary file, any language.
pub struct ByteTextEncoder {
    encoder: Umt5Encoder,
    max_len: usize,
}

/// Token ids of several prompts, padded to the longest.
#[derive(Clone, Debug)]
pub struct TokenIds {
    /// `[R, S]`, u32.
    pub ids: Tensor,
    /// `[R, S]`, f32, 1 = a token.
    pub mask: Tensor,
}

impl ByteTextEncoder {
    /// Reads the encoder that `spec` describes, or starts a fresh one; the caller ends loading with
    /// [`Weights::finish`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for another kind of encoder, a length of 0 or heads that do not divide the width.
    pub fn from_weights(spec: &TextSpec, weights: &Weights) -> Result<Self> {
        let TextSpec::Umt5Bytes {
            dim,
            ffn_dim,
            layers,
            heads,
            max_len,
            ..
        } = spec
        else {
            let reason = "the model's text encoder has a tokenizer of its own";
            return Err(Error::invalid("byte text encoder", reason));
        };
        if *heads == 0 || dim % heads != 0 {
            let reason = format!("{heads} heads do not divide the width {dim}");
            return Err(Error::invalid("byte text encoder", reason));
        }
        let config = Umt5Config {
            vocab_size: BYTE_VOCABULARY,
            dim: *dim,
            ffn_dim: *ffn_dim,
            num_heads: *heads,
            head_dim: dim / heads,
            num_layers: *layers,
            ..Umt5Config::xxl()
        };
        Self::new(Umt5Encoder::from_weights(&config, weights)?, *max_len)
    }

    /// Reads the encoder from its file, whole.
    ///
    /// # Errors
    /// Those of [`Self::from_weights`]; [`Error::Weights`] naming what is missing or unexpected.
    pub fn load(spec: &TextSpec, path: &Path, device: &Device) -> Result<Self> {
        let weights = Weights::from_files(&[path], DType::F32, device)?;
        let encoder = Self::from_weights(spec, &weights)?;
        weights.finish()?;
        Ok(encoder)
    }

    fn new(encoder: Umt5Encoder, max_len: usize) -> Result<Self> {
        if max_len == 0 {
            return Err(Error::invalid(
                "byte text encoder",
                "max_len must be positive",
            ));
        }
        Ok(Self { encoder, max_len })
    }

    /// Length `S` of the padded text.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// The encoder behind the bytes.
    pub fn encoder(&self) -> &Umt5Encoder {
        &self.encoder
    }

    /// Ids of one prompt: its bytes, cut to fit, then the end mark. The empty prompt is the mark alone.
    pub fn tokenize(&self, prompt: &str) -> Vec<u32> {
        let bytes = prompt.trim().bytes().take(self.max_len - 1);
        bytes
            .map(|byte| u32::from(byte) + FIRST_BYTE)
            .chain([END])
            .collect()
    }

    /// Ids of several prompts.
    pub fn batch<P: AsRef<str>>(&self, prompts: &[P]) -> Result<TokenIds> {
        let rows: Vec<Vec<u32>> = prompts.iter().map(|p| self.tokenize(p.as_ref())).collect();
        let len = rows.iter().map(Vec::len).max().unwrap_or(0);
        let padded = |row: &Vec<u32>| -> Vec<u32> {
            let fill = std::iter::repeat_n(PAD, len - row.len());
            row.iter().copied().chain(fill).collect()
        };
        let ids: Vec<u32> = rows.iter().flat_map(padded).collect();
        let mask: Vec<f32> = ids
            .iter()
            .map(|id| f32::from(u8::from(*id != PAD)))
            .collect();
        let (shape, device) = ((rows.len(), len), self.encoder.device());
        Ok(TokenIds {
            ids: Tensor::from_vec(ids, shape, device)?,
            mask: Tensor::from_vec(mask, shape, device)?,
        })
    }

    /// Encodes ids; rows past the true length are zero.
    ///
    /// # Shapes
    /// - `ids`: `[R, S]`, u32; `mask`: `[R, S]`; returns `[R, S, E]`
    pub fn encode_ids(&self, ids: &Tensor, mask: &Tensor) -> Result<Tensor> {
        self.encoder.encode_ids(ids, mask)
    }

    /// Encodes several prompts; rows past each one's length are zero. Has a gradient.
    ///
    /// # Shapes
    /// - returns `[R, max_len, E]`
    pub fn encode_batch<P: AsRef<str>>(&self, prompts: &[P]) -> Result<Tensor> {
        let TokenIds { ids, mask } = self.batch(prompts)?;
        let encoded = self.encode_ids(&ids, &mask)?;
        let (_rows, len, _width) = encoded.dims3()?;
        Ok(encoded.pad_with_zeros(1, 0, self.max_len - len)?) // [R, max_len, E]
    }
}

impl TextEncoder for ByteTextEncoder {
    fn encode(&self, prompt: &str) -> Result<Tensor> {
        self.encode_batch(&[prompt])
    }
}
