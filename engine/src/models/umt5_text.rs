//! UMT5-XXL with its own tokenizer: loaded for a prompt, used, and dropped again.
//!
//! Wan-Video/Wan2.1 `wan/modules/{t5,tokenizers}.py`. Eleven gigabytes are too many to keep beside a
//! denoiser, so [`OnDemandText`] holds the paths and reads the encoder when it is asked, layer by layer:
//! a text passes each layer once, so nothing is gained by having two more than the one at work.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tokenizers::Tokenizer;

use super::TextEncoder;
use super::umt5::{Umt5Config, Umt5Encoder};
use crate::nn::Weights;
use crate::{Error, Result};

/// Id of `</s>`, which ends every text.
const END: u32 = 1;
/// Largest tokenizer that is read.
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;

/// Text to ids as the reference's tokenizer gives them.
pub struct Umt5Tokenizer {
    tokenizer: Tokenizer,
    max_len: usize,
}

impl Umt5Tokenizer {
    /// Reads a `tokenizer.json`; texts longer than `max_len` tokens are cut.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is no tokenizer.
    pub fn load(path: &Path, max_len: usize) -> Result<Self> {
        let bytes = std::fs::metadata(path)
            .map_err(|e| Error::io(path, e))?
            .len();
        if bytes > MAX_TOKENIZER_BYTES {
            return Err(Error::format(path, "is too large for a tokenizer"));
        }
        let text = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let mut tokenizer = Tokenizer::from_bytes(text)
            .map_err(|e| Error::format(path, format!("not a tokenizer: {e}")))?;
        // The length is ours to decide.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|e| Error::format(path, e.to_string()))?;
        Ok(Self {
            tokenizer,
            max_len: max_len.max(1),
        })
    }

    /// Ids of a text with `</s>` last, which is kept where the text is cut.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the tokenizer refuses the text.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .tokenizer
            .encode(clean(text), true)
            .map_err(|e| Error::invalid("prompt", e.to_string()))?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.last() != Some(&END) {
            ids.push(END);
        }
        if ids.len() > self.max_len {
            ids.truncate(self.max_len - 1);
            ids.push(END);
        }
        Ok(ids)
    }
}

/// What the reference does to a text before its tokenizer sees it: character references resolved
/// twice, runs of white space made one blank.
fn clean(text: &str) -> String {
    let once = unescape(text);
    let twice = unescape(&once);
    twice.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Resolves the character references that prompts from web pages hold.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.char_indices().take(12).find(|&(_, c)| c == ';');
        match end.and_then(|(end, _)| Some((end, character(&rest[1..end])?))) {
            Some((end, c)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "hellip" => '…',
        "ndash" => '–',
        "mdash" => '—',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        _ => return None,
    })
}

/// An encoder on disk.
pub struct OnDemandText {
    config: Umt5Config,
    weights: PathBuf,
    tokenizer: Umt5Tokenizer,
    dtype: DType,
    device: Device,
}

impl OnDemandText {
    /// Notes where the weights are, checks their names and shapes, and reads the tokenizer.
    ///
    /// # Errors
    /// Those of [`Umt5Tokenizer::load`] and of opening; [`Error::Weights`] naming what is missing or
    /// unexpected, so that a wrong file is told before anything is computed.
    pub fn new(
        config: Umt5Config,
        weights: &Path,
        (tokenizer, max_len): (&Path, usize),
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = Umt5Tokenizer::load(tokenizer, max_len)?;
        // A streamed encoder reads its layers when they are needed.
        let streamed = Weights::open(weights, dtype, device)?.streamed();
        Umt5Encoder::from_weights(&config, &streamed)?;
        streamed.finish()?;
        Ok(Self {
            config,
            weights: weights.to_owned(),
            tokenizer,
            dtype,
            device: device.clone(),
        })
    }
}

impl TextEncoder for OnDemandText {
    /// Encodes the true tokens only: with the mask of the reference, padding changes nothing but the
    /// cost. Rows past them are zero.
    fn encode(&self, prompt: &str) -> Result<Tensor> {
        let ids = self.tokenizer.ids(prompt)?;
        let weights = Weights::open(&self.weights, self.dtype, &self.device)?.streamed();
        let encoder = Umt5Encoder::from_weights(&self.config, &weights)?;
        weights.finish()?;
        let len = ids.len();
        let ids = Tensor::from_vec(ids, (1, len), &self.device)?;
        let mask = Tensor::ones((1, len), DType::F32, &self.device)?;
        let rows = encoder.encode_ids(&ids, &mask)?;
        Ok(rows.pad_with_zeros(1, 0, self.tokenizer.max_len - len)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_twice_and_blanks_collapsed() {
        assert_eq!(
            clean("  a &amp;lt; b\n\t&#38;&#x26; c&nbsp;d "),
            "a < b && c d"
        );
        assert_eq!(
            clean("R&D; & &unknown; &#xD800;"),
            "R&D; & &unknown; &#xD800;"
        );
        assert_eq!(clean("ä &"), "ä &");
        assert_eq!(
            clean("&日本語日本語日本語日本語;"),
            "&日本語日本語日本語日本語;"
        );
    }
}
