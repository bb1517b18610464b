//! Validity that is known before solving.

use rayon::prelude::*;

use crate::scene::validity;

/// Validity of points that a decoder returns in its normalisation box `[-1, 1]^3`.
///
/// `FINITE` where all three are finite; `NOT_CLIPPED` where all lie within `limit` (0.98 in
/// general): points on the box lie on its wall, not on their rays. `NOT_EDGE` and `NOT_SKY` are
/// set: a decoder does not say.
///
/// # Shapes
/// `points`: `[T, H, W, 3]`; returns `[T, H, W]`
pub fn box_validity(points: &[f32], limit: f32) -> Vec<u8> {
    points
        .par_chunks_exact(3)
        .map(|p| {
            let mut bits = validity::NOT_EDGE | validity::NOT_SKY;
            if p.iter().all(|x| x.is_finite()) {
                bits |= validity::FINITE;
            }
            if p.iter().all(|x| x.abs() < limit) {
                bits |= validity::NOT_CLIPPED;
            }
            bits
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walls_and_holes_lose_their_bits() {
        let points = [0.0, 0.5, -0.9, 1.0, 0.0, 0.0, f32::NAN, 0.0, 0.0];
        let bits = box_validity(&points, 0.98);
        let before_solving = validity::GOOD & !validity::CONSISTENT;
        assert_eq!(bits[0], before_solving);
        assert_eq!(bits[1], before_solving & !validity::NOT_CLIPPED);
        assert_eq!(bits[2] & (validity::FINITE | validity::NOT_CLIPPED), 0);
    }
}
