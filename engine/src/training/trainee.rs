//! The networks of a stage, their trainable variables, and their outputs for a batch.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor, Var};

use super::batch::{Batch, Pair};
use super::config::TrainConfig;
use super::loss::noisy;
use crate::Result;
use crate::models::DenoiserInputs;
use crate::models::byte_text::ByteTextEncoder;
use crate::models::one4d::One4d;
use crate::models::wan::WanDit;
use crate::nn::{ParamStore, Weights};

/// Trained values by full name: `text.*`, `base.*`, `adapters.*`.
pub(super) type Named = BTreeMap<String, Tensor>;

enum Network {
    /// The base alone: RGB.
    Base(Box<WanDit>),
    /// Both branches.
    Both(Box<One4d>),
}

/// Networks under training.
pub(super) struct Trainee {
    text: ByteTextEncoder,
    network: Network,
    vars: BTreeMap<String, Var>,
    /// Values that do not learn in this stage.
    frozen: Named,
    text_learns: bool,
    device: Device,
}

/// Outputs for a batch, and the noisy latents they were made from.
pub(super) struct Outputs {
    /// Noisy latents.
    pub(super) noisy: Pair,
    /// `[B, C, T', H', W']`
    pub(super) rgb: Tensor,
    /// `[B, C, T', H', W']`; the base stage has none.
    pub(super) xyz: Option<Tensor>,
}

fn part(values: &Named, prefix: &str, device: &Device) -> Result<HashMap<String, Tensor>> {
    values
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value)))
        .map(|(name, value)| Ok((name, value.to_device(device)?)))
        .collect()
}

/// A store whose variables start at `values`.
fn store_of(values: HashMap<String, Tensor>) -> Result<ParamStore> {
    let store = ParamStore::default();
    for (name, value) in values {
        store.insert(name, Var::from_tensor(&value.copy()?)?);
    }
    Ok(store)
}

impl Trainee {
    /// Text encoder and base from nothing.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] if the shapes do not fit each other.
    pub(super) fn base(config: &TrainConfig, device: &Device) -> Result<Self> {
        let (text_store, base_store) = (ParamStore::default(), ParamStore::default());
        let fresh = |store: &ParamStore| Weights::fresh(store, config.seed, DType::F32, device);
        let text = ByteTextEncoder::from_weights(&config.text(), &fresh(&text_store))?;
        let base = WanDit::from_weights(&config.wan(), &fresh(&base_store))?;
        let mut vars = BTreeMap::new();
        for (prefix, store) in [("text", &text_store), ("base", &base_store)] {
            vars.extend(prefixed(prefix, store));
        }
        Ok(Self {
            text,
            network: Network::Base(Box::new(base)),
            vars,
            frozen: Named::new(),
            text_learns: true,
            device: device.clone(),
        })
    }

    /// Adapters on a trained base: `trained` holds `text.*` and `base.*`, and the `adapters.*` that
    /// learning goes on from; without these they are fresh.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] if `trained` lacks a tensor.
    pub(super) fn dlc(config: &TrainConfig, trained: &Named, device: &Device) -> Result<Self> {
        let origin = "the base stage's checkpoint";
        let source = |prefix: &str| -> Result<Weights> {
            let values = part(trained, prefix, device)?;
            Ok(Weights::from_tensors(values, origin, DType::F32, device))
        };
        let learns = config.dlc.train_base;
        let text_store = store_of(part(trained, "text.", device)?)?;
        let base_store = store_of(part(trained, "base.", device)?)?;
        let adapter_store = store_of(part(trained, "adapters.", device)?)?;
        let of = |store: &ParamStore, prefix: &str| -> Result<Weights> {
            if learns {
                Ok(Weights::fresh(store, config.seed, DType::F32, device))
            } else {
                source(prefix)
            }
        };
        let text_weights = of(&text_store, "text.")?;
        let text = ByteTextEncoder::from_weights(&config.text(), &text_weights)?;
        let base_weights = of(&base_store, "base.")?;
        let adapters = Weights::fresh(&adapter_store, config.seed, DType::F32, device);
        let model =
            One4d::from_weights(&config.wan(), &config.adapters(), &base_weights, &adapters)?;
        let mut vars: BTreeMap<String, Var> = prefixed("adapters", &adapter_store).collect();
        let mut frozen = trained.clone();
        frozen.retain(|name, _| !vars.contains_key(name));
        if learns {
            vars.extend(prefixed("text", &text_store));
            vars.extend(prefixed("base", &base_store));
            frozen.clear();
        } else {
            text_weights.finish()?;
            base_weights.finish()?;
        }
        Ok(Self {
            text,
            network: Network::Both(Box::new(model)),
            vars,
            frozen,
            text_learns: learns,
            device: device.clone(),
        })
    }

    /// The same networks with other values, for validation with running averages.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] if `values` lacks a tensor.
    pub(super) fn with_values(
        config: &TrainConfig,
        values: &Named,
        both: bool,
        device: &Device,
    ) -> Result<Self> {
        let source = |prefix: &str| -> Result<Weights> {
            let part = part(values, prefix, device)?;
            Ok(Weights::from_tensors(
                part,
                "running averages",
                DType::F32,
                device,
            ))
        };
        let text_weights = source("text.")?;
        let text = ByteTextEncoder::from_weights(&config.text(), &text_weights)?;
        text_weights.finish()?;
        let base = source("base.")?;
        let network = if both {
            let adapters = source("adapters.")?;
            let model = One4d::from_weights(&config.wan(), &config.adapters(), &base, &adapters)?;
            adapters.finish()?;
            Network::Both(Box::new(model))
        } else {
            Network::Base(Box::new(WanDit::from_weights(&config.wan(), &base)?))
        };
        base.finish()?;
        Ok(Self {
            text,
            network,
            vars: BTreeMap::new(),
            frozen: Named::new(),
            text_learns: false,
            device: device.clone(),
        })
    }

    /// Trainable variables by full name.
    pub(super) fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// Values of the stage that do not learn.
    pub(super) fn frozen(&self) -> &Named {
        &self.frozen
    }

    /// Device of the networks.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The network's outputs for a batch.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the batch does not fit the networks.
    pub(super) fn outputs(&self, batch: &Batch) -> Result<Outputs> {
        let text = self.text.encode_batch(&batch.captions)?; // [B, S, E]
        let text = if self.text_learns {
            text
        } else {
            text.detach()
        };
        let noisy = Pair {
            rgb: noisy(&batch.clean.rgb, &batch.noise.rgb, &batch.sigmas)?,
            xyz: noisy(&batch.clean.xyz, &batch.noise.xyz, &batch.sigmas)?,
        };
        let (rgb, xyz) = match &self.network {
            Network::Base(base) => {
                let input = Tensor::cat(&[&noisy.rgb, &batch.mask, &batch.condition], 1)?;
                let times: Vec<f64> = batch.sigmas.iter().map(|sigma| 1000.0 * sigma).collect();
                (base.forward(&input, &times, &text, None)?, None)
            }
            Network::Both(model) => {
                let inputs = DenoiserInputs {
                    text,
                    mask: batch.mask.clone(),
                    condition: batch.condition.clone(),
                    image: None,
                    xyz: None,
                };
                let outputs = model.forward(&noisy.rgb, &noisy.xyz, &batch.sigmas, &inputs)?;
                (outputs.rgb, Some(outputs.xyz))
            }
        };
        Ok(Outputs { noisy, rgb, xyz })
    }
}

fn prefixed(prefix: &str, store: &ParamStore) -> impl Iterator<Item = (String, Var)> {
    let named = move |(name, var): (String, Var)| (format!("{prefix}.{name}"), var);
    store
        .vars()
        .into_iter()
        .map(named)
        .collect::<Vec<_>>()
        .into_iter()
}
