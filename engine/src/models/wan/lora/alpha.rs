//! The factor before a module's product, where a file tells it beside its tensors: PEFT's settings.
//!
//! diffusers writes them into the file's metadata, PEFT into an `adapter_config.json` beside an
//! `adapter_model.safetensors` (huggingface/peft `tuners/lora/config.py`, `utils/other.py`).

use std::path::Path;

use regex::Regex;
use serde_json::{Map, Value};

use crate::weight_files::string_metadata;
use crate::{Error, Result};

/// Key of the settings in a file's metadata.
const META_KEY: &str = "lora_adapter_metadata";
/// The file that PEFT writes, and its settings beside it.
const PEFT_FILES: (&str, &str) = ("adapter_model.safetensors", "adapter_config.json");
/// The largest settings that are read.
const MAX_SETTINGS: u64 = 1 << 20;

/// A number for all modules, and others for some.
#[derive(Debug, Default)]
struct Setting {
    general: Option<f64>,
    /// For modules whose names end so; the first that fits counts.
    patterns: Vec<(Regex, f64)>,
}

impl Setting {
    fn of(&self, module: &str) -> Option<f64> {
        let mut patterns = self.patterns.iter();
        let pattern = patterns.find(|(ending, _)| ending.is_match(module));
        pattern.map(|(_, value)| *value).or(self.general)
    }
}

/// What a file's settings say of its factors.
#[derive(Debug, Default)]
pub(super) struct AlphaSettings {
    alpha: Setting,
    /// Of products whose tensors do not show it: a LoKr of two whole factors.
    rank: Setting,
    /// Whether alpha is over the root of the rank (rsLoRA, arXiv 2312.03732).
    is_over_root: bool,
}

impl AlphaSettings {
    /// Reads what stands in or beside a file; without settings, nothing is known.
    ///
    /// # Errors
    /// [`Error::Format`] for settings that cannot be read.
    pub(super) fn of_file(path: &Path) -> Result<Self> {
        if let Some(text) = string_metadata(path)?.get(META_KEY) {
            return Self::parse(path, text);
        }
        if path.file_name().is_none_or(|name| name != PEFT_FILES.0) {
            return Ok(Self::default());
        }
        let settings = path.with_file_name(PEFT_FILES.1);
        match std::fs::metadata(&settings) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io(&settings, error)),
            Ok(found) if !found.is_file() || found.len() > MAX_SETTINGS => Err(Error::format(
                &settings,
                "is too large for settings, or no file",
            )),
            Ok(_) => {
                let text = std::fs::read_to_string(&settings);
                Self::parse(
                    &settings,
                    &text.map_err(|error| Error::io(&settings, error))?,
                )
            }
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let unreadable =
            |why: String| Error::format(path, format!("unreadable settings of its LoRA: {why}"));
        let settings: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| unreadable(e.to_string()))?;
        // diffusers writes several networks' settings into one map.
        let of = |key: &str| {
            let below = settings.get(&format!("transformer.{key}"));
            below.or_else(|| settings.get(key))
        };
        let number = |key: &str, value: &Value| -> Result<f64> {
            let number = value.as_f64().filter(|number| number.is_finite());
            number.ok_or_else(|| unreadable(format!("{key} must be a number, is {value}")))
        };
        let setting = |keys: &[&str], pattern_key: &str| -> Result<Setting> {
            let found = keys.iter().find_map(|key| Some((*key, of(key)?)));
            let general = found.filter(|(_, value)| !value.is_null());
            let general = general.map(|(key, value)| number(key, value));
            let mut patterns = Vec::new();
            let listed = of(pattern_key).and_then(Value::as_object);
            for (key, value) in listed.into_iter().flatten() {
                let ending = Regex::new(&format!(r"^(?:.*\.)?(?:{key})$"));
                let ending = ending.map_err(|e| unreadable(format!("{pattern_key}: {e}")))?;
                patterns.push((ending, number(pattern_key, value)?));
            }
            Ok(Setting {
                general: general.transpose()?,
                patterns,
            })
        };
        let rank = setting(&["r"], "rank_pattern")?;
        let mut ranks = rank
            .patterns
            .iter()
            .map(|(_, rank)| rank)
            .chain(&rank.general);
        if let Some(bad) = ranks.find(|rank| **rank <= 0.0) {
            return Err(unreadable(format!("r must be above 0, is {bad}")));
        }
        Ok(Self {
            // LoHa and LoKr have no "lora_" before it.
            alpha: setting(&["lora_alpha", "alpha"], "alpha_pattern")?,
            rank,
            is_over_root: of("use_rslora").and_then(Value::as_bool) == Some(true),
        })
    }

    /// The factor before the product of a module, which has `own` alpha in the file or none. Without
    /// any alpha it is 1, as for every reader of such files.
    ///
    /// `module` is the name as the file has it; `rank` is what its tensors show.
    pub(super) fn factor(&self, module: &str, own: Option<f64>, rank: Option<usize>) -> f64 {
        let shown = rank.map(|rank| rank as f64);
        let described = || Some((self.alpha.of(module)?, shown.or(self.rank.of(module))?));
        match (own, shown) {
            // An alpha of its own comes from programs that divide by the rank, and that ignore it
            // where there is none.
            (Some(alpha), Some(rank)) => alpha / rank,
            (Some(_), None) => 1.0,
            (None, _) => match described() {
                Some((alpha, rank)) if self.is_over_root => alpha / rank.sqrt(),
                Some((alpha, rank)) => alpha / rank,
                None => 1.0,
            },
        }
    }
}
