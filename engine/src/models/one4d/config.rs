//! What is put on a base network: ranks, links, and how the branches are coupled.

use serde::{Deserialize, Serialize};

use super::prediction::Prediction;
use crate::models::limits::Sizes;
use crate::models::wan::{AdapterTargets, WanConfig};
use crate::{Error, Result};

/// How the RGB and XYZ branches are coupled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coupling {
    /// Two branches with their own adapters and control links (One4D).
    #[default]
    Decoupled,
    /// Latents concatenated on channels (WVD).
    Channel,
    /// Latents side by side in width (4DNeX).
    Spatial,
}

impl Coupling {
    /// Names of branches of every coupling.
    pub(super) const BRANCHES: [&str; 3] = ["rgb", "xyz", "joint"];

    /// In a few words: "two branches with control links".
    pub fn label(self) -> &'static str {
        match self {
            Self::Decoupled => "two branches with control links",
            Self::Channel => "channels side by side",
            Self::Spatial => "frames and points side by side in width",
        }
    }

    /// Names of the branches that have adapters, in the order of their rows.
    pub fn branches(self) -> &'static [&'static str] {
        match self {
            Self::Decoupled => &["rgb", "xyz"],
            Self::Channel | Self::Spatial => &["joint"],
        }
    }
}

/// What a denoiser is told of the observed frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditioningKind {
    /// One scheme for text, images, sparse frames and video (One4D).
    #[default]
    Unified,
    /// The first image beside a slope map (4DNeX).
    SideBySide,
}

/// The denoiser and its adapters, as a model bundle lists them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenoiserSpec {
    /// Shape of the base network.
    pub config: WanConfig,
    /// File of the base weights.
    pub base: String,
    /// File of the adapters, links and XYZ patch embedding.
    pub adapters: String,
    /// Coupling of the branches.
    pub coupling: Coupling,
    /// What the network's output means.
    #[serde(default)]
    pub prediction: Prediction,
    /// What it is told of the observed frames.
    #[serde(default)]
    pub conditioning: ConditioningKind,
    /// Factor before the adapters, for files that carry no alpha: 0.5 for 4DNeX as published, which
    /// was fused so and whose file does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_scale: Option<f64>,
}

/// How XYZ latents enter the network. Two readings fit the paper's parameter count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XyzInput {
    /// A patch embedding of its own with the base's channels; mask and condition are zeros.
    #[default]
    ZeroPadded,
    /// A patch embedding over the latent's channels alone, and a head of its own.
    OwnHead,
    /// The base's patch embedding, for files that bring none.
    Shared,
}

/// Shape of the adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdapterConfig {
    /// Coupling of the branches.
    pub coupling: Coupling,
    /// Rank of every low-rank pair.
    pub rank: usize,
    /// Alpha: low-rank parts are scaled by alpha / rank.
    pub alpha: f64,
    /// Blocks after which the branches exchange features, counted from 0, ascending.
    pub linked_blocks: Vec<usize>,
    /// Entrance of the XYZ branch.
    pub xyz_input: XyzInput,
    /// Which layers carry them.
    pub targets: AdapterTargets,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self::new(Coupling::Decoupled, 64, 40)
    }
}

impl AdapterConfig {
    /// Adapters of a rank for a network of `num_layers` blocks, scale 1, five links.
    pub fn new(coupling: Coupling, rank: usize, num_layers: usize) -> Self {
        Self {
            coupling,
            rank,
            alpha: rank as f64,
            linked_blocks: match coupling {
                Coupling::Decoupled => default_links(num_layers),
                Coupling::Channel | Coupling::Spatial => Vec::new(),
            },
            xyz_input: XyzInput::default(),
            targets: AdapterTargets::default(),
        }
    }

    /// Factor before `B A`.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank.max(1) as f64
    }

    /// Checks the adapters against the base network.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the rule that is broken.
    pub fn validate(&self, base: &WanConfig) -> Result<()> {
        let refuse = |reason: String| Err(Error::invalid("adapters", reason));
        Sizes {
            network: "adapters'",
            sizes: &[("rank", self.rank)],
            layers: &[("linked_blocks", self.linked_blocks.len())],
            factors: &[],
        }
        .check()?;
        if self.rank == 0 || !self.alpha.is_finite() {
            return refuse(format!(
                "rank {} and alpha {} are no scale",
                self.rank, self.alpha
            ));
        }
        if let Some(block) = self.linked_blocks.iter().find(|b| **b >= base.num_layers) {
            return refuse(format!("link after block {block} of {}", base.num_layers));
        }
        if base.conditioned_channels().is_none() {
            return refuse(format!(
                "the base takes {} channels and gives {}; it must take noisy latents, 4 of the \
                 mask and condition latents",
                base.in_dim, base.out_dim
            ));
        }
        Ok(())
    }
}

/// Five blocks in even spacing, the last included: `[7, 15, 23, 31, 39]` of 40. The paper gives
/// their number only.
pub fn default_links(num_layers: usize) -> Vec<usize> {
    let count = num_layers.min(5);
    (1..=count).map(|i| i * num_layers / count - 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_spread_evenly() {
        assert_eq!(default_links(40), [7, 15, 23, 31, 39]);
        assert_eq!(default_links(8), [0, 2, 3, 5, 7]);
        assert_eq!(default_links(2), [0, 1]);
        assert!(default_links(0).is_empty());
    }
}
