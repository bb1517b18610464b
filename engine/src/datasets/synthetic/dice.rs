//! Seeded draws in the form that scene building reads best.

use glam::Vec3A;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A portable stream of random choices; the same seed gives the same stream everywhere.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// An independent stream, so that drawing more of one thing does not change the others.
    pub(super) fn fork(&mut self) -> Self {
        Self::new(self.0.next_u64())
    }

    /// Uniform in `low..high`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.0.random::<f32>()
    }

    /// Uniform in `low..high` with a random sign.
    pub(super) fn signed(&mut self, low: f32, high: f32) -> f32 {
        let value = self.range(low, high);
        if self.chance(0.5) { value } else { -value }
    }

    /// Uniform in `low..=high`.
    pub(super) fn count(&mut self, low: usize, high: usize) -> usize {
        self.0.random_range(low..=high)
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.0.random::<f32>() < probability
    }

    /// One of several; `options` must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.0.random_range(0..options.len())]
    }

    /// Each component uniform in `low..high`.
    pub(super) fn vec3(&mut self, low: f32, high: f32) -> Vec3A {
        Vec3A::new(
            self.range(low, high),
            self.range(low, high),
            self.range(low, high),
        )
    }
}
