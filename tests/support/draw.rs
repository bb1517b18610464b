//! Random tensors that are the same in every run, so that no verdict of a test hangs on chance.

use std::cell::RefCell;

use candle_core::{Device, Tensor};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};

thread_local! {
    // The harness gives each test a thread of its own, and with it its own sequence.
    static DICE: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(2511));
}

/// Normal values with mean 0 and this deviation, f32, on the CPU.
pub fn normal(deviation: f32, shape: &[usize]) -> Tensor {
    draw(
        Normal::new(0.0, deviation).expect("a finite deviation"),
        shape,
    )
}

/// Uniform values between `-1` and `1`, f32, on the CPU.
pub fn uniform(shape: &[usize]) -> Tensor {
    draw(
        Uniform::new_inclusive(-1.0, 1.0).expect("a finite range"),
        shape,
    )
}

fn draw(values: impl Distribution<f32>, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f32> =
        DICE.with_borrow_mut(|dice| values.sample_iter(dice).take(count).collect());
    Tensor::from_vec(values, shape, &Device::Cpu).expect("as many values as the shape has")
}
