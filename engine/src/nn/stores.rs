//! What a network made or asked for: variables by name with their first values, or shapes alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Var;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal, Uniform};

/// How a tensor starts when it is trained from nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All values equal.
    Const(f64),
    /// Normal with mean 0 and this deviation.
    Normal(f64),
    /// Uniform in `+-sqrt(6 / (fan_in + fan_out))`; the first axis is the output.
    Xavier,
    /// Uniform in `+-sqrt(1 / fan_in)`: Kaiming with `a = sqrt(5)`, LoRA's A.
    Kaiming,
}

impl Init {
    /// First values of a tensor of `count` values; the same for the same seed.
    pub(super) fn values(self, shape: &[usize], count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let fan_out = shape.first().copied().unwrap_or(1).max(1);
        let fan_in = (count / fan_out).max(1);
        let mut uniform = |bound: f64| -> Vec<f32> {
            match Uniform::new_inclusive(-bound, bound) {
                Ok(range) => (0..count).map(|_| range.sample(&mut rng) as f32).collect(),
                Err(_) => vec![0.0; count],
            }
        };
        match self {
            Self::Const(value) => vec![value as f32; count],
            Self::Xavier => uniform((6.0 / (fan_in + fan_out) as f64).sqrt()),
            Self::Kaiming => uniform((1.0 / fan_in as f64).sqrt()),
            Self::Normal(deviation) => match Normal::new(0.0, deviation) {
                Ok(normal) => (0..count).map(|_| normal.sample(&mut rng) as f32).collect(),
                Err(_) => vec![0.0; count],
            },
        }
    }
}

/// Named trainable tensors, in name order, with the seed of their initialisation.
#[derive(Clone, Debug, Default)]
pub struct ParamStore {
    pub(super) vars: Arc<Mutex<BTreeMap<String, Var>>>,
}

impl ParamStore {
    /// All variables by name.
    pub fn vars(&self) -> BTreeMap<String, Var> {
        self.vars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Number of scalars.
    pub fn num_scalars(&self) -> usize {
        self.vars().values().map(|var| var.elem_count()).sum()
    }

    /// Adds or replaces a variable.
    pub fn insert(&self, name: impl Into<String>, var: Var) {
        self.vars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.into(), var);
    }
}

/// Names and shapes that a network asked for, without a single value in memory.
#[derive(Clone, Debug, Default)]
pub struct ShapeStore {
    pub(super) shapes: Arc<Mutex<BTreeMap<String, Vec<usize>>>>,
}

impl ShapeStore {
    /// All shapes by name.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.shapes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Number of scalars.
    pub fn num_scalars(&self) -> usize {
        let count = |shape: &Vec<usize>| shape.iter().product::<usize>();
        self.shapes().values().map(count).sum()
    }
}

/// FNV-1a, so that a tensor's start does not depend on the order of construction.
pub(super) fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
