//! Video depth as published evaluations measure it: which pixels, which fit, which mean.
//!
//! The same prediction scores differently under each, so a preset is named with every number.
//!
//! | preset | resize | valid truth | fit, one a sequence | clip |
//! |---|---|---|---|---|
//! | `monst3r` | cubic | `0 < g < max` | depth scale and shift, Adam 1e-4, 1000 steps | set's own |
//! | `geo4d` | cubic | same | same with 1e-2, 5000 steps, on valid predictions (KITTI as `monst3r`) | set's own |
//! | `cut3r-scale` | cubic | same | depth scale, Weiszfeld | Sintel |
//! | `cut3r-shift` | cubic | same | as `monst3r` | Sintel |
//! | `depthcrafter` | bilinear | `1e-3 < g < max` | disparity scale and shift, least squares | to max |
//! | `worldreel` | cubic | `0 < g` | depth scale, median of log ratios; plain mean over clips | none |
//! | `exact-l1` | cubic | as `geo4d` | depth scale and shift, exact L1 minimum | as `geo4d` |
//!
//! Sources: Junyi42/monst3r @ 574cc77, jzr99/Geo4D @ 2e57abc, CUT3R/CUT3R @ 8bc15dc (their
//! depth_eval), Tencent/DepthCrafter benchmark/eval. WorldReel's paper does not state its alignment:
//! `worldreel` is this project's reading, and its truth is ViPE's estimate, so it says how far a
//! prediction agrees with ViPE.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::aligner::{Lad2, lad2, least_squares_line, log_scale, weiszfeld_scale};
use super::depth::{DepthErrors, exact_l1_line};
use super::depth_map::{DepthMap, ResizeFilter};
use crate::job::JobCtx;
use crate::{Error, Result};

/// Least disparity that is inverted.
const MIN_DISPARITY: f64 = 1e-3;
/// Share of a resized validity mask above which a prediction takes part in the fit.
const MASK_SHARE: f32 = 0.8;

/// A published way to measure video depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DepthPreset {
    /// MonST3R: its optimiser hardly leaves median scaling.
    Monst3r,
    /// Geo4D: the same fit, converged. One4D says that it follows it.
    Geo4d,
    /// CUT3R with scale only.
    Cut3rScale,
    /// CUT3R with scale and shift.
    Cut3rShift,
    /// DepthCrafter: predictions are disparity.
    Depthcrafter,
    /// WorldReel's agreement with ViPE: one scale a clip in log space.
    Worldreel,
    /// Nobody's, and independent of any optimiser: the exact L1 minimum.
    ExactL1,
}

/// Data sets whose rules differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DepthSet {
    /// MPI Sintel.
    Sintel,
    /// Bonn RGB-D dynamic.
    Bonn,
    /// KITTI depth.
    Kitti,
    /// ScanNet.
    Scannet,
    /// None of them: no limits but those that were given.
    #[default]
    Other,
}

/// Limits of a data set under a preset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DepthLimits {
    /// Truth from here on is not measured.
    pub max_depth: Option<f64>,
    /// Aligned predictions are clipped to this.
    pub clip: Option<f64>,
}

impl DepthPreset {
    /// All presets.
    pub const ALL: [Self; 7] = [
        Self::Monst3r,
        Self::Geo4d,
        Self::Cut3rScale,
        Self::Cut3rShift,
        Self::Depthcrafter,
        Self::Worldreel,
        Self::ExactL1,
    ];

    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Monst3r => "monst3r",
            Self::Geo4d => "geo4d",
            Self::Cut3rScale => "cut3r-scale",
            Self::Cut3rShift => "cut3r-shift",
            Self::Depthcrafter => "depthcrafter",
            Self::Worldreel => "worldreel",
            Self::ExactL1 => "exact-l1",
        }
    }

    /// What is fitted, for people.
    pub fn aligner(self, set: DepthSet) -> &'static str {
        match self {
            Self::Geo4d if set != DepthSet::Kitti => {
                "scale and shift in depth, Adam 1e-2, at most 5000 steps"
            }
            Self::Monst3r | Self::Geo4d | Self::Cut3rShift => {
                "scale and shift in depth, Adam 1e-4, at most 1000 steps"
            }
            Self::Cut3rScale => "scale in depth, 10 Weiszfeld steps",
            Self::Depthcrafter => "scale and shift in disparity, least squares",
            Self::Worldreel => "scale in depth, median of log ratios",
            Self::ExactL1 => "scale and shift in depth, exact L1",
        }
    }

    /// The limits that the preset sets for a data set.
    pub fn limits(self, set: DepthSet) -> DepthLimits {
        let limits = |max_depth, clip| DepthLimits { max_depth, clip };
        match (self, set) {
            (Self::Worldreel, _) => limits(None, None),
            (_, DepthSet::Sintel) | (Self::Geo4d | Self::ExactL1, DepthSet::Bonn) => {
                limits(Some(70.0), Some(70.0))
            }
            (Self::Depthcrafter, DepthSet::Bonn | DepthSet::Scannet) => {
                limits(Some(10.0), Some(10.0))
            }
            (Self::Depthcrafter, DepthSet::Kitti) => limits(Some(80.0), Some(80.0)),
            (_, DepthSet::Bonn) => limits(Some(70.0), None),
            (_, DepthSet::Kitti | DepthSet::Scannet | DepthSet::Other) => limits(None, None),
        }
    }

    fn filter(self) -> ResizeFilter {
        match self {
            Self::Depthcrafter => ResizeFilter::Bilinear,
            _ => ResizeFilter::Cubic,
        }
    }

    fn least_truth(self) -> f64 {
        match self {
            Self::Depthcrafter => 1e-3,
            _ => 0.0,
        }
    }
}

impl FromStr for DepthPreset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|preset| preset.name() == name)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|p| p.name()).collect();
                Error::invalid(
                    "preset",
                    format!("`{name}` is none of {}", names.join(", ")),
                )
            })
    }
}

/// Errors of one sequence under a preset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresetScores {
    /// The preset.
    pub preset: DepthPreset,
    /// Fitted scale, of depth or of disparity.
    pub scale: f64,
    /// Fitted shift.
    pub shift: f64,
    /// The errors.
    pub errors: DepthErrors,
    /// Measured share of the pixels with valid truth; 0..1.
    pub coverage: f64,
}

/// Frames of one sequence, collected to be measured together.
#[derive(Clone, Debug)]
pub struct DepthSequence {
    preset: DepthPreset,
    set: DepthSet,
    limits: DepthLimits,
    /// Predicted, truth; 8 bytes a pixel, for a sequence has tens of millions.
    pixels: Vec<(f32, f32)>,
    /// Which of them take part in the fit; `None` while all do.
    fitted: Option<Vec<bool>>,
    /// End of each frame in `pixels`.
    ends: Vec<usize>,
    with_truth: usize,
}

impl DepthSequence {
    /// An empty sequence.
    pub fn new(preset: DepthPreset, set: DepthSet, limits: DepthLimits) -> Self {
        Self {
            preset,
            set,
            limits,
            pixels: Vec::new(),
            fitted: None,
            ends: Vec::new(),
            with_truth: 0,
        }
    }

    /// Adds a frame: the prediction is resized to the truth.
    ///
    /// # Errors
    /// [`Error::Shape`] for a map without pixels or of another number of values than its size says.
    pub fn add(&mut self, predicted: &DepthMap, truth: &DepthMap) -> Result<()> {
        for (what, map) in [("predicted depth", predicted), ("true depth", truth)] {
            if map.values.is_empty() || map.values.len() != map.height * map.width {
                return Err(Error::shape(
                    what,
                    "one value a pixel and a pixel at least",
                    (map.height, map.width, map.values.len()),
                ));
            }
        }
        let (height, width) = (truth.height, truth.width);
        let mask = self.fit_mask(predicted).map(|mask| {
            mask.resized(height, width, ResizeFilter::Cubic)
                .values
                .iter()
                .map(|share| *share > MASK_SHARE)
                .collect::<Vec<bool>>()
        });
        let resized = predicted.resized(height, width, self.preset.filter());
        let max = self.limits.max_depth.unwrap_or(f64::INFINITY);
        if mask.is_some() && self.fitted.is_none() {
            self.fitted = Some(vec![true; self.pixels.len()]);
        }
        for (i, (&p, &g)) in resized.values.iter().zip(&truth.values).enumerate() {
            let depth = f64::from(g);
            if !(depth > self.preset.least_truth() && depth < max && depth.is_finite()) {
                continue;
            }
            self.with_truth += 1;
            if p.is_finite() {
                self.pixels.push((p, g));
                if let Some(fitted) = &mut self.fitted {
                    fitted.push(mask.as_ref().is_none_or(|mask| mask[i]));
                }
            }
        }
        self.ends.push(self.pixels.len());
        Ok(())
    }

    /// Where the prediction itself is valid; only the presets that look at it ask.
    fn fit_mask(&self, predicted: &DepthMap) -> Option<DepthMap> {
        let looks = matches!(self.preset, DepthPreset::Geo4d | DepthPreset::ExactL1)
            && self.set != DepthSet::Kitti;
        let is_valid = |p: &f32| p.is_finite() && *p > 0.0;
        (looks && !predicted.values.iter().all(is_valid)).then(|| DepthMap {
            values: predicted
                .values
                .iter()
                .map(|p| f32::from(u8::from(is_valid(p))))
                .collect(),
            ..*predicted
        })
    }

    /// Errors after the fit; `None` if no pixel is left or the fit has no answer.
    ///
    /// # Errors
    /// [`Error::Cancelled`] between the steps of the fit.
    pub fn scores(&self, ctx: &JobCtx) -> Result<Option<PresetScores>> {
        Ok(self.fit(ctx)?.and_then(|line| self.measure(line)))
    }

    fn measure(&self, (scale, shift): (f64, f64)) -> Option<PresetScores> {
        let aligned = |&(p, g): &(f32, f32)| {
            let (p, g) = (f64::from(p), f64::from(g));
            let value = scale * p + shift;
            let depth = match self.preset {
                DepthPreset::Depthcrafter => 1.0 / value.max(MIN_DISPARITY),
                _ => value,
            };
            (depth.min(self.limits.clip.unwrap_or(f64::INFINITY)), g)
        };
        let errors = match self.preset {
            DepthPreset::Depthcrafter => {
                let starts = std::iter::once(0).chain(self.ends.iter().copied());
                let frames: Vec<(DepthErrors, f64)> = starts
                    .zip(&self.ends)
                    .filter_map(|(start, end)| {
                        DepthErrors::of(self.pixels[start..*end].iter().map(aligned))
                    })
                    .map(|errors| (errors, 1.0))
                    .collect();
                DepthErrors::mean(&frames)?
            }
            _ => DepthErrors::of(self.pixels.iter().map(aligned))?,
        };
        Some(PresetScores {
            preset: self.preset,
            scale,
            shift,
            errors,
            coverage: self.pixels.len() as f64 / self.with_truth as f64,
        })
    }

    fn fit(&self, ctx: &JobCtx) -> Result<Option<(f64, f64)>> {
        let slow = Lad2 {
            rate: 1e-4,
            steps: 1000,
        };
        let fast = Lad2 {
            rate: 1e-2,
            steps: 5000,
        };
        let pairs = self.fitted_pixels();
        let go_on = || ctx.check();
        Ok(match self.preset {
            DepthPreset::Geo4d if self.set != DepthSet::Kitti => lad2(&pairs, fast, go_on)?,
            DepthPreset::Monst3r | DepthPreset::Geo4d | DepthPreset::Cut3rShift => {
                lad2(&pairs, slow, go_on)?
            }
            DepthPreset::Cut3rScale => weiszfeld_scale(&pairs).map(|scale| (scale, 0.0)),
            DepthPreset::Depthcrafter => {
                let disparity: Vec<(f64, f64)> = pairs
                    .iter()
                    .map(|&(p, g)| (f64::from(p), 1.0 / f64::from(g)))
                    .collect();
                least_squares_line(&disparity)
            }
            DepthPreset::Worldreel => log_scale(&pairs).map(|scale| (scale, 0.0)),
            DepthPreset::ExactL1 => exact_l1_line(&pairs),
        })
    }

    fn fitted_pixels(&self) -> Cow<'_, [(f32, f32)]> {
        match &self.fitted {
            None => Cow::Borrowed(&self.pixels),
            Some(fitted) => self
                .pixels
                .iter()
                .zip(fitted)
                .filter(|(_, fitted)| **fitted)
                .map(|(pair, _)| *pair)
                .collect(),
        }
    }
}

/// Mean over sequences: by measured pixels, but plain for DepthCrafter and WorldReel. `None` without sequences.
pub fn mean_over_sequences(preset: DepthPreset, sequences: &[DepthErrors]) -> Option<DepthErrors> {
    let weighted: Vec<(DepthErrors, f64)> = sequences
        .iter()
        .map(|errors| match preset {
            DepthPreset::Depthcrafter | DepthPreset::Worldreel => (*errors, 1.0),
            _ => (*errors, errors.pixels as f64),
        })
        .collect();
    DepthErrors::mean(&weighted)
}
