//! Positions as 16-bit codes around a frame's middle.
//!
//! Unit coordinates are `(point - centre) / scale`. Inside the unit cube they are kept as they are,
//! outside they are contracted to `(2 - 1/m) / m`, `m` the largest of the three magnitudes, after
//! Mip-NeRF 360 (arXiv 2111.12077, eq. 10) with the maximum norm. So near surfaces have a step of
//! `scale / 16383` and sky does not eat the range.

use glam::{DMat4, DVec3, Vec3};

use super::stats::quantile;

/// Code of the centre; codes run from 1 to 65533.
const CENTRE_CODE: f32 = 32767.0;
/// Codes per unit.
const CODES_PER_UNIT: f32 = 16383.5;
/// At most this many points are looked at to fit a quantiser.
const FIT_SAMPLES: usize = 4096;

/// Maps the world to unit coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiser {
    /// Median of the points, in the world.
    pub centre: DVec3,
    /// Distance within which nine tenths of the points lie, scene units; positive.
    pub scale: f64,
}

impl Quantiser {
    /// Fits centre and scale to `[N, 3]` points; those that are not finite do not count.
    pub fn fit(points: &[f32]) -> Self {
        let step = (points.len() / 3).div_ceil(FIT_SAMPLES).max(1);
        let sample: Vec<DVec3> = points
            .chunks_exact(3)
            .step_by(step)
            .map(|p| Vec3::new(p[0], p[1], p[2]).as_dvec3())
            .filter(|p| p.is_finite())
            .collect();
        let axis = |i: usize| quantile(sample.iter().map(|p| p[i]).collect(), 0.5).unwrap_or(0.0);
        let centre = DVec3::new(axis(0), axis(1), axis(2));
        let away = sample.iter().map(|p| (*p - centre).abs().max_element());
        let scale = quantile(away.collect(), 0.9).unwrap_or(1.0);
        Self {
            centre,
            scale: if scale > 1e-9 { scale } else { 1.0 },
        }
    }

    /// Codes of a point, which must be finite.
    pub fn encode(&self, point_in_world: Vec3) -> [u16; 3] {
        let unit = ((point_in_world.as_dvec3() - self.centre) / self.scale).as_vec3();
        let m = unit.abs().max_element();
        let contracted = if m <= 1.0 {
            unit
        } else {
            // Divided first: `unit * m` could overflow for points near the end of f32.
            unit / m * (2.0 - 1.0 / m)
        };
        contracted.to_array().map(|v| {
            (v * CODES_PER_UNIT + CENTRE_CODE)
                .round()
                .clamp(1.0, 65533.0) as u16
        })
    }

    /// Unit coordinates of codes, in the order of operations of `unit_from_words`.
    pub fn unit(codes: [u16; 3]) -> Vec3 {
        let contracted =
            Vec3::from_array(codes.map(|c| (f32::from(c) - CENTRE_CODE) * (1.0 / CODES_PER_UNIT)));
        let m = contracted.abs().max_element();
        if m <= 1.0 {
            contracted
        } else {
            contracted * (1.0 / (m * (2.0 - m)))
        }
    }

    /// The point of codes, in the world.
    pub fn decode(&self, codes: [u16; 3]) -> DVec3 {
        self.centre + Self::unit(codes).as_dvec3() * self.scale
    }

    /// Any place of the world in unit coordinates.
    pub fn unit_of(&self, point_in_world: DVec3) -> [f32; 3] {
        ((point_in_world - self.centre) / self.scale)
            .as_vec3()
            .to_array()
    }

    /// Unit coordinates to the world.
    pub fn world_from_unit(&self) -> DMat4 {
        DMat4::from_translation(self.centre) * DMat4::from_scale(DVec3::splat(self.scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_points_come_back_within_a_step_and_far_ones_within_a_share() {
        let quantiser = Quantiser {
            centre: DVec3::new(1.0, -2.0, 4.0),
            scale: 5.0,
        };
        for (point, tolerance) in [
            (Vec3::new(1.0, -2.0, 4.0), 1e-9),
            (Vec3::new(3.3, 1.7, 8.9), 5.0 / 16383.0),
            (Vec3::new(-3.9, -6.9, -0.9), 5.0 / 16383.0),
            (Vec3::new(20.0, 3.0, 40.0), 0.03),
            (Vec3::new(0.0, 0.0, 200.0), 1.0),
        ] {
            let error = (quantiser.decode(quantiser.encode(point)) - point.as_dvec3()).length();
            assert!(error <= tolerance, "{point}: {error}");
        }
    }

    #[test]
    fn the_ends_of_f32_stay_finite() {
        let quantiser = Quantiser {
            centre: DVec3::ZERO,
            scale: 1.0,
        };
        for point in [Vec3::splat(f32::MAX), Vec3::new(-f32::MAX, 0.0, 1.0)] {
            assert!(quantiser.decode(quantiser.encode(point)).is_finite());
        }
    }

    #[test]
    fn a_quantiser_ignores_what_is_not_finite() {
        let quantiser = Quantiser::fit(&[f32::NAN, 0.0, 0.0, f32::INFINITY, 1.0, 1.0]);
        assert_eq!(quantiser.centre, DVec3::ZERO);
        assert_eq!(quantiser.scale, 1.0);
        assert_eq!(Quantiser::fit(&[]).scale, 1.0);
    }
}
