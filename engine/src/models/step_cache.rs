//! Reuse of most of a denoiser between steps that ask it nearly the same.
//!
//! First-block cache: the first block runs at every step. Where what it adds to its input has hardly
//! changed since the last whole step, the other blocks are not run; what they added then is added
//! again. The rule is ParaAttention's (github.com/chengzeyi/ParaAttention, `first_block_cache`), the
//! observation that outputs follow cheap early signals TeaCache's (arXiv 2411.19108). All rows, which
//! are branches and guidance halves, are reused or computed together: the row that changed most decides.
//!
//! What it costs is measured: at every whole step the outputs that reuse would have given are compared
//! with the computed ones, for one more pass through the head.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::Velocities;
use crate::Result;

/// The signal is taken of every so many tokens: its mean needs no more, and it is kept between steps.
const TOKENS_APART: usize = 8;

/// What a run reused, and how wrong that was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepCacheReport {
    /// Relative change of the first block's residual below which a step is reused.
    pub threshold: f64,
    /// Steps that ran all blocks.
    pub computed: usize,
    /// Steps that ran the first block alone.
    pub reused: usize,
    /// Largest change at which a step was reused.
    pub largest_change: f64,
    /// Whole steps at which the reused outputs were compared with the computed ones.
    pub checks: usize,
    /// Mean over the checks of `|reused - computed| / |computed|` of both branches' outputs.
    pub mean_error: f64,
    /// The largest of them. Checks stand where the change was above the threshold or at the last
    /// step, so steps that were reused are likely to lie below.
    pub largest_error: f64,
}

impl StepCacheReport {
    /// This run and another, such as the next window of a long clip.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let checks = self.checks + other.checks;
        let sum = self.mean_error * self.checks as f64 + other.mean_error * other.checks as f64;
        Self {
            threshold: self.threshold,
            computed: self.computed + other.computed,
            reused: self.reused + other.reused,
            largest_change: self.largest_change.max(other.largest_change),
            checks,
            mean_error: if checks == 0 {
                0.0
            } else {
                sum / checks as f64
            },
            largest_error: self.largest_error.max(other.largest_error),
        }
    }
}

/// What is kept of the last whole step.
struct Kept {
    /// Part of the first block's residual, `[R, N / TOKENS_APART, E]` in f32.
    signal: Tensor,
    /// What the other blocks added, `[R, N, E]`.
    rest: Tensor,
}

/// The cache of one run.
pub struct StepCache {
    kept: Option<Kept>,
    may_reuse: bool,
    report: StepCacheReport,
}

impl StepCache {
    /// An empty cache.
    pub fn new(threshold: f64) -> Self {
        Self {
            kept: None,
            may_reuse: false,
            report: StepCacheReport {
                threshold,
                ..StepCacheReport::default()
            },
        }
    }

    /// Begins a step, which is computed whole unless it `may_reuse`.
    pub fn begin(&mut self, may_reuse: bool) {
        self.may_reuse = may_reuse;
    }

    /// What was done so far.
    pub fn report(&self) -> StepCacheReport {
        self.report
    }

    /// Notes a step of a network that keeps nothing.
    pub fn note_whole(&mut self) {
        self.report.computed += 1;
    }

    /// Runs a step: `first` are the tokens after the first block, `before` those it was given.
    ///
    /// `rest` runs the other blocks and `exit` turns tokens into outputs.
    ///
    /// # Shapes
    /// - `before`, `first`: `[R, N, E]`
    pub fn step(
        &mut self,
        before: Tensor,
        first: Tensor,
        rest: impl FnOnce(Tensor) -> Result<Tensor>,
        exit: impl Fn(&Tensor) -> Result<Velocities>,
    ) -> Result<Velocities> {
        let signal = residual_sample(&before, &first)?;
        drop(before);
        let known = self.kept.take();
        let reused = match &known {
            Some(kept) => Some((
                largest_change(&signal, &kept.signal)?,
                exit(&(&first + &kept.rest)?)?,
            )),
            None => None,
        };
        if let Some((change, velocities)) = &reused
            && self.may_reuse
            && *change < self.report.threshold
        {
            self.kept = known;
            self.report.reused += 1;
            self.report.largest_change = self.report.largest_change.max(*change);
            return Ok(velocities.clone());
        }
        drop(known);
        let last = rest(first.clone())?;
        let velocities = exit(&last)?;
        self.kept = Some(Kept {
            signal,
            rest: (last - first)?,
        });
        self.report.computed += 1;
        if let Some((_, reused)) = reused {
            self.check(&reused, &velocities)?;
        }
        Ok(velocities)
    }

    /// Notes how far outputs would have been off.
    fn check(&mut self, reused: &Velocities, computed: &Velocities) -> Result<()> {
        let pairs = [(&reused.rgb, &computed.rgb), (&reused.xyz, &computed.xyz)];
        let (mut off, mut all) = (0.0, 0.0);
        for (reused, computed) in pairs {
            off += sum_of_squares(&(reused - computed)?)?;
            all += sum_of_squares(computed)?;
        }
        let error = (off / all.max(f64::MIN_POSITIVE)).sqrt();
        let count = self.report.checks as f64;
        self.report.mean_error = (self.report.mean_error * count + error) / (count + 1.0);
        self.report.largest_error = self.report.largest_error.max(error);
        self.report.checks += 1;
        Ok(())
    }
}

/// `first - before` at every [`TOKENS_APART`]th token, in f32.
fn residual_sample(before: &Tensor, first: &Tensor) -> Result<Tensor> {
    let (_rows, tokens, _width) = first.dims3()?;
    let count = tokens.div_ceil(TOKENS_APART) as u32;
    let apart = TOKENS_APART as u32;
    let at = Tensor::arange_step(0, count * apart, apart, first.device())?;
    let of = |x: &Tensor| x.index_select(&at, 1)?.to_dtype(DType::F32);
    Ok((of(first)? - of(before)?)?) // [R, N / TOKENS_APART, E]
}

/// `sum |now - then| / sum |then|` of the row where it is largest.
fn largest_change(now: &Tensor, then: &Tensor) -> Result<f64> {
    let sums = |x: &Tensor| x.abs()?.flatten_from(1)?.sum(1)?.to_vec1::<f32>();
    let (off, all) = (sums(&(now - then)?)?, sums(then)?);
    let changes = off.iter().zip(&all).map(|(off, all)| f64::from(off / all));
    // What is not a number counts as a change without bound.
    Ok(changes.fold(
        0.0,
        |most, change| if change <= most { most } else { change },
    ))
}

fn sum_of_squares(x: &Tensor) -> Result<f64> {
    let x = x.to_dtype(DType::F32)?;
    Ok(f64::from(x.sqr()?.sum_all()?.to_scalar::<f32>()?))
}
