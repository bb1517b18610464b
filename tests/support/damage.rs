//! Damaged copies of a file, the same in every run.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Copies with changed bytes, before those that are cut off.
const MUTATIONS: usize = 200;
/// Copies that are cut off, from nothing to nearly all.
const TRUNCATIONS: usize = 64;
/// Damaged copies that a reader is given.
pub const COPIES: usize = MUTATIONS + TRUNCATIONS;

/// Copy `case` of [`COPIES`].
///
/// Most of the changed bytes lie among the first `head`, where a file declares its sizes.
///
/// # Panics
/// If the file is empty or `case` is not below [`COPIES`].
pub fn damaged(bytes: &[u8], case: usize, head: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    if case >= MUTATIONS {
        return bytes[..bytes.len() * (case - MUTATIONS) / TRUNCATIONS].to_vec();
    }
    let mut damaged = bytes.to_vec();
    for _ in 0..rng.random_range(1..8) {
        let is_head = rng.random::<f64>() < 0.7;
        let reach = if is_head {
            head.min(bytes.len())
        } else {
            bytes.len()
        };
        let at = rng.random_range(0..reach);
        damaged[at] = rng.random();
    }
    damaged
}
