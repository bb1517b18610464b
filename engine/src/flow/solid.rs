//! What points and cameras tell of motion without any flow: whether a still surface is where it was.

use rayon::prelude::*;

use super::scene_flow::point_at;
use crate::geometry::Camera;
use crate::geometry::robust::{MAD_TO_SIGMA, median};
use crate::scene::{Scene4d, validity};

/// Share of the depth by which what lies behind must be farther to show that something has gone, and
/// up to which two depths belong to one surface.
const STEP: f64 = 0.05;
/// Deviations beyond which a difference of depths is no noise.
const SIGMAS: f64 = 3.0;

/// By how much each pixel's surface has come nearer or gone away in another frame, in sizes of a
/// pixel at its depth.
///
/// The point is projected into the other frame, and its depth there compared with what is seen: in
/// inverse depth, in which planes are linear, so that grazing floors differ by nothing. A surface
/// that slides along itself shows none. NaN where nothing can be told: out of the picture, at edges,
/// behind something nearer; infinite where the other frame sees through the place of the pixel.
///
/// # Shapes
/// Returns `[H, W]` of `from`.
pub(super) fn depth_evidence(
    scene: &Scene4d,
    (from, to): (usize, usize),
    cameras: [&Camera; 2],
) -> Vec<f32> {
    let camera_from_world = cameras[1].world_from_camera.inverse();
    let points = scene.frame_points(from);
    let valid = scene.frame_valid(from);
    let own = scene.frame_depth(from).unwrap_or_default();
    let seen = Seen {
        depth: scene.frame_depth(to).unwrap_or_default(),
        valid: scene.frame_valid(to),
        height: scene.height as isize,
        width: scene.width as isize,
    };
    let changes: Vec<Option<Change>> = (0..valid.len())
        .into_par_iter()
        .map(|i| {
            let point = camera_from_world.transform(point_at(&points, i));
            let at = cameras[1].intrinsics.project(point)?;
            let is_good = valid[i] & validity::GOOD == validity::GOOD;
            let change = is_good.then(|| seen.change((at.x, at.y), point.z))??;
            // What is thinner than a pixel comes and goes without moving.
            let counts = matches!(change, Change::Moved(_)) || is_broad(own, i, scene.width);
            counts.then_some(change)
        })
        .collect();
    let mut usual: Vec<f64> = changes
        .iter()
        .filter_map(|c| match c {
            Some(Change::Moved(share)) => Some(*share),
            _ => None,
        })
        .collect();
    let limit = STEP.max(SIGMAS * MAD_TO_SIGMA * median(&mut usual).unwrap_or(0.0));
    let focal_px = cameras[0].intrinsics.fx_px;
    changes
        .iter()
        .map(|change| match change {
            Some(Change::Moved(share)) => (share * focal_px) as f32,
            Some(Change::Gone(share)) if *share > limit => f32::INFINITY,
            Some(Change::Gone(_)) | None => f32::NAN,
        })
        .collect()
}

/// True if the four neighbours of a pixel lie at about its depth.
fn is_broad(depth: &[f32], i: usize, width: usize) -> bool {
    let around = [
        i.checked_sub(1),
        Some(i + 1),
        i.checked_sub(width),
        Some(i + width),
    ];
    around.into_iter().flatten().all(|j| {
        let ratio = depth.get(j).map_or(1.0, |d| f64::from(d / depth[i]));
        (ratio - 1.0).abs() < STEP
    })
}

/// What another frame shows at a point's place, as shares of the point's depth.
enum Change {
    /// The same surface, so much nearer or farther.
    Moved(f64),
    /// Something farther by so much.
    Gone(f64),
}

/// The frame that is looked at.
struct Seen<'a> {
    depth: &'a [f32],
    valid: &'a [u8],
    height: isize,
    width: isize,
}

impl Seen<'_> {
    /// Inverse depth at a pixel; 0 for sky, `None` outside or where there is nothing.
    fn inverse(&self, column: isize, row: isize) -> Option<f64> {
        let inside = (0..self.width).contains(&column) && (0..self.height).contains(&row);
        let i = inside.then(|| (row * self.width + column) as usize)?;
        if self.valid[i] & validity::FINITE == 0 {
            return Some(0.0);
        }
        (self.depth[i] > 0.0).then(|| 1.0 / f64::from(self.depth[i]))
    }

    /// Compares a point at image position `at` and depth `z` with what is seen there.
    fn change(&self, at: (f64, f64), z: f64) -> Option<Change> {
        let (c, r) = (at.0 - 0.5, at.1 - 0.5);
        let (c0, r0) = (c.floor(), r.floor());
        let (a, b) = (c - c0, r - r0);
        let (c0, r0) = (c0 as isize, r0 as isize);
        // The four corners and the ring around them.
        let mut near = [[0.0; 4]; 4];
        for (y, line) in near.iter_mut().enumerate() {
            for (x, value) in line.iter_mut().enumerate() {
                *value = self.inverse(c0 + x as isize - 1, r0 + y as isize - 1)?;
            }
        }
        let all = near.iter().flatten();
        let (low, high) = all.fold((f64::INFINITY, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
        if high * z < 1.0 / (1.0 + STEP) {
            let share = 1.0 / (high * z).max(1e-9) - 1.0;
            return Some(Change::Gone(share));
        }
        if low <= 0.0 || high > low * (1.0 + STEP).powi(2) {
            return None;
        }
        let mixed = (1.0 - b) * ((1.0 - a) * near[1][1] + a * near[1][2])
            + b * ((1.0 - a) * near[2][1] + a * near[2][2]);
        // Bilinear mixing is off by a quarter of the second differences where a surface is smooth;
        // creases and shapes finer than the grid are allowed all of them.
        let bend = |p: f64, q: f64, s: f64| (p - 2.0 * q + s).abs();
        let mut curved = 0.0_f64;
        let columns = [0, 1, 2, 3].map(|k| near.map(|line| line[k]));
        for [p, q, s, t] in near.into_iter().chain(columns) {
            curved = curved.max(bend(p, q, s)).max(bend(q, s, t));
        }
        let share = ((mixed * z - 1.0).abs() - curved * z).max(0.0);
        (share < STEP).then_some(Change::Moved(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plane `1/z = 0.2 + 0.003 c + 0.0015 r`, with a nearer block at its right.
    fn seen<'a>(depth: &'a mut Vec<f32>, valid: &'a mut Vec<u8>) -> Seen<'a> {
        let (height, width) = (12, 16);
        *valid = vec![validity::GOOD; height * width];
        *depth = (0..height * width)
            .map(|i| {
                let (c, r) = ((i % width) as f32, (i / width) as f32);
                let inverse = if c > 11.0 {
                    1.0
                } else {
                    0.2 + 0.003 * c + 0.0015 * r
                };
                1.0 / inverse
            })
            .collect();
        Seen {
            depth,
            valid,
            height: height as isize,
            width: width as isize,
        }
    }

    #[test]
    fn a_still_plane_has_not_changed_and_a_pushed_one_has() {
        let (mut depth, mut valid) = (Vec::new(), Vec::new());
        let seen = seen(&mut depth, &mut valid);
        let (c, r) = (4.3, 5.6);
        let z = 1.0 / (0.2 + 0.003 * c + 0.0015 * r);
        let at = (c + 0.5, r + 0.5);
        let Some(Change::Moved(still)) = seen.change(at, z) else {
            panic!("not seen");
        };
        let Some(Change::Moved(pushed)) = seen.change(at, z * 1.01) else {
            panic!("not seen");
        };
        assert!(
            still < 1e-6 && (pushed - 0.01).abs() < 1e-4,
            "{still} {pushed}"
        );
    }

    #[test]
    fn what_was_nearer_has_gone_and_what_is_hidden_says_nothing() {
        let (mut depth, mut valid) = (Vec::new(), Vec::new());
        let seen = seen(&mut depth, &mut valid);
        assert!(matches!(
            seen.change((5.0, 5.0), 1.0),
            Some(Change::Gone(_))
        ));
        assert!(seen.change((14.0, 5.0), 4.0).is_none());
        assert!(seen.change((0.5, 0.5), 4.0).is_none());
    }
}
