//! Pointmaps to intrinsics, camera poses and depth: exact depth elimination, closed-form poses.
//!
//! A pointmap gives each pixel a point `X` of the world. A pinhole camera with rotation `R`, centre
//! `o` and lens `K` explains it if `Y = R (X - o)` lies on the pixel's ray `d = K^-1 (u, v, 1)`.
//! One4D (arXiv 2511.18922), eq. (11), fits depth `D`, `R`, `o` and `K` together:
//!
//! ```text
//! L_p = sum over frames and pixels of | R^T D d + o - X |
//! ```
//!
//! For fixed cameras each depth has the closed form `D* = <Y, d> / <d, d>`, and what remains is the
//! distance of the point from its ray, `e = (I - v v^T) Y` with `v = d / |d|`. So the unknowns are
//! six numbers a frame and one focal length, and `sum w |e|^2` is quadratic in `(R, o)`: one pass
//! over the pixels collects 60 moments, then a 3-variable Newton method finds `R` exactly.
//! A moving object does no harm: its point still lies on the ray of its own pixel and frame.
//!
//! ```text
//! samples     pixels on a grid, centred, checked for collapse
//! moments     accumulate w (I - v v^T) and its products with X        -> Omega
//! so3_newton  minimise r^T Omega r over rotations, warm or from all minima
//! frame_pose  the robust loop: Geman-McClure weights around so3_newton
//! focal       profile of the residual over ln f, golden section
//! lenses      one for all frames, or one a frame
//! trajectory  all frames: track, polish, interpolate what cannot be solved
//! quality     flags
//! every_pixel normal equations of a frame over all of its pixels, in one pass
//! polish      poses and focal length, moved to where all pixels want them
//! joint       the same with a motion prior over neighbouring frames
//! dense       every pixel: points, depth, residual, validity
//! posed       the same where the poses are known
//! join        windows of a long clip into one scene
//! reanchor    frames that were centred one by one, back in one world
//! ```
//!
//! A grid of pixels finds the solution (`samples` to `trajectory`), all of them decide where exactly it
//! lies (`polish`, the last steps of `joint`). Up to `polish` frames share the focal length at most;
//! `joint` couples neighbours and writes its poses back for `dense` to use.

mod banded;
mod dense;
mod elimination;
mod every_pixel;
mod focal;
mod frame_pose;
mod jitter;
mod join;
mod joint;
mod joint_problem;
mod lenses;
mod moments;
mod motion_prior;
mod normals;
mod pixel_sums;
mod polish;
mod posed;
mod quality;
pub mod reanchor;
mod refinement;
mod samples;
mod so3_newton;
mod trajectory;
mod validity_bits;

pub(crate) use dense::mark_edges;
pub use elimination::best_depth;
pub use focal::{FOCAL_PRIOR, FocalProfile, FocalSource};
pub use join::{JoinReport, Window, join_windows, window_spans};
pub use posed::solve_posed;
pub use refinement::{MotionPrior, PointNorm, Refinement};
pub use validity_bits::box_validity;

use every_pixel::EveryPixel;
use lenses::FoundLenses;

use crate::geometry::{Camera, CameraFromWorld, Intrinsics};
use crate::job::{JobCtx, Stage};
use crate::scene::SolverFlag;
use crate::{Error, Result};

/// World-frame pointmaps with arbitrary centre and scale, row-major, frame slowest.
#[derive(Clone, Copy, Debug)]
pub struct PointmapClip<'a> {
    /// `[T, H, W, 3]`; NaN = none.
    pub points: &'a [f32],
    /// `[T, H, W]` bits of [`crate::scene::validity`] that are known before solving: a pixel is
    /// used if all but `CONSISTENT` are set. `None`: every finite point is used.
    pub valid: Option<&'a [u8]>,
    /// `[T, H, W]`, >= 0, any scale: weight of each pixel.
    pub confidence: Option<&'a [f32]>,
    /// `T`.
    pub frames: usize,
    /// `H`, pixels.
    pub height: usize,
    /// `W`, pixels.
    pub width: usize,
}

impl PointmapClip<'_> {
    fn pixels_per_frame(&self) -> usize {
        self.height * self.width
    }

    fn check(&self) -> Result<()> {
        let pixels = self
            .height
            .checked_mul(self.width)
            .and_then(|n| n.checked_mul(self.frames))
            .filter(|&n| n > 0 && n.checked_mul(3).is_some())
            .ok_or_else(|| {
                let actual = (self.frames, self.height, self.width);
                Error::shape("pointmaps", "one frame of one pixel or more", actual)
            })?;
        let lengths = [
            ("pointmap points", Some(self.points.len()), pixels * 3),
            ("pointmap validity", self.valid.map(<[u8]>::len), pixels),
            (
                "pointmap confidence",
                self.confidence.map(<[f32]>::len),
                pixels,
            ),
        ];
        for (what, actual, required) in lengths {
            if let Some(actual) = actual.filter(|&n| n != required) {
                return Err(Error::shape(what, format!("{required} values"), actual));
            }
        }
        Ok(())
    }
}

/// How to solve; the default suits generated clips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SolveOptions {
    /// The lens, if known, in the clip's own pixel grid; skips the focal search.
    pub known_intrinsics: Option<Intrinsics>,
    /// Where in its square a pixel's ray passes: column `j` looks through `u = j + pixel_centre`.
    /// 0.5 here and in COLMAP; 0 in clips of the DUSt3R family.
    pub pixel_centre: f64,
    /// Use every n-th pixel of every n-th row to find the solution; `None` aims at 12,000 pixels a
    /// frame. Its last refinement, depth, residual and validity look at every pixel all the same.
    pub stride: Option<usize>,
    /// Relative depth step to a 4-neighbour above which both are flying pixels, for a lens of
    /// 520 px focal length; scaled with the pixel's angle so that slopes count alike at any size.
    /// 0.05 for generated, 0.03 for measured clips.
    pub edge_step: f64,
    /// Whether the lens may change from frame to frame.
    pub focal: FocalMode,
    /// Joint refinement of poses and focal length; `None` leaves each frame by itself.
    pub refinement: Option<Refinement>,
    /// Which depth is reported.
    pub depth: DepthSource,
}

/// Whether the lens may change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FocalMode {
    /// One lens for all frames.
    #[default]
    Shared,
    /// A lens a frame, smooth over time: zooms.
    PerFrame,
}

/// Which depth a pixel gets at its final camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DepthSource {
    /// That of the point's projection onto its ray.
    #[default]
    Ray,
    /// That which is closest by the sum of components in the world.
    RayL1,
    /// The z of the point itself, which need not lie on the ray.
    RawZ,
}

impl SolveOptions {
    /// As One4D's paper writes it: component distances and the path prior. It draws the trajectory
    /// together; the default does not.
    pub fn paper() -> Self {
        Self {
            refinement: Some(Refinement::PAPER),
            depth: DepthSource::RayL1,
            ..Self::default()
        }
    }
}

impl Default for SolveOptions {
    fn default() -> Self {
        Self {
            known_intrinsics: None,
            pixel_centre: 0.5,
            stride: None,
            edge_step: 0.05,
            focal: FocalMode::Shared,
            refinement: Some(Refinement::OURS),
            depth: DepthSource::Ray,
        }
    }
}

/// One standard deviation of a frame's pose by the curvature of its cost.
///
/// Formal: it assumes independent noise a pixel and the right focal length.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoseSigma {
    /// Of the rotation, radians, root sum square of the three axes.
    pub rotation_rad: f64,
    /// Of the camera centre, scene units, root sum square of the three axes.
    pub centre: f64,
}

/// How well one frame was solved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FrameQuality {
    /// False if the pose was interpolated.
    pub solved: bool,
    /// Median distance of a point from its ray, scene units.
    pub residual: f64,
    /// Uncertainty of the pose.
    pub sigma: PoseSigma,
}

/// What [`solve`] finds. All lengths are in the clip's own unit.
#[derive(Clone, Debug)]
pub struct Solution {
    /// `[T]`; camera 0 is the world's origin; one lens for all unless each was asked for.
    pub cameras: Vec<Camera>,
    /// `[T, H, W, 3]` points in the world of camera 0; NaN = none.
    pub points: Vec<f32>,
    /// `[T, H, W]` z-depth of the point's projection onto its ray; NaN where there is no point in
    /// front of the camera.
    pub depth: Vec<f32>,
    /// `[T, H, W]` distance of the point from its ray; NaN = none.
    pub residual: Vec<f32>,
    /// `[T, H, W]` bits of [`crate::scene::validity`].
    pub valid: Vec<u8>,
    /// Flags with the frame they concern; `None` concerns the clip.
    pub flags: Vec<(Option<usize>, SolverFlag)>,
    /// `[T]`.
    pub quality: Vec<FrameQuality>,
    /// How the focal length was found.
    pub focal: FocalProfile,
    /// Takes the clip's own coordinates to the world of camera 0, before [`Self::scale`].
    pub world_from_clip: CameraFromWorld,
    /// Units of the world in a unit of the clip; 1 unless poses were given.
    pub scale: f64,
    /// Median depth over the solved frames; 0 if none was solved.
    pub median_depth: f64,
}

/// Recovers lens, camera poses, depth and quality of a clip.
///
/// Multi-threaded; the result does not depend on the number of threads. A degenerate clip yields a
/// finite solution and the flags that say what it is worth, never an error.
///
/// # Errors
/// [`Error::Shape`] if a plane has the wrong length, [`Error::Invalid`] for unusable options,
/// [`Error::Cancelled`].
pub fn solve(clip: &PointmapClip<'_>, options: &SolveOptions, ctx: &JobCtx) -> Result<Solution> {
    clip.check()?;
    check_options(options)?;
    let total = clip.frames + 3;
    ctx.step(Stage::Optimise, 0, total)?;
    let frames = samples::collect(clip, options);
    ctx.step(Stage::Optimise, 1, total)?;
    let mut focal = find_lenses(clip, &frames, options, ctx)?;
    ctx.step(Stage::Optimise, 2, total)?;
    let mut path = trajectory::solve(&frames, &focal.lenses, ctx)?;
    if let Some(every) = EveryPixel::new(clip, options, &path) {
        polish::polish(&every, &frames, &mut focal, &mut path, true, ctx)?;
    }
    if let Some(refinement) = options.refinement {
        let freedom = joint::Freedom {
            poses: true,
            focal: focal.is_shared_and_free(),
        };
        let data = joint::Data {
            clip,
            options,
            frames: &frames,
        };
        joint::refine(
            &data,
            &mut focal.lenses,
            &mut path,
            refinement,
            freedom,
            ctx,
        )?;
    }
    focal.renew_profile();
    ctx.step(Stage::Optimise, 3, total)?;
    finish(
        clip,
        options,
        Found {
            frames,
            focal,
            path,
        },
        ctx,
    )
}

fn find_lenses(
    clip: &PointmapClip<'_>,
    frames: &[samples::FrameSamples],
    options: &SolveOptions,
    ctx: &JobCtx,
) -> Result<FoundLenses> {
    if options.focal == FocalMode::PerFrame && options.known_intrinsics.is_none() {
        return lenses::search_each(clip, frames, ctx);
    }
    let found = focal::search(clip, frames, options.known_intrinsics, ctx)?;
    Ok(FoundLenses::shared(found, frames.len()))
}

/// All that the pixels gave.
struct Found {
    frames: Vec<samples::FrameSamples>,
    focal: FoundLenses,
    path: trajectory::Trajectory,
}

/// Flags and full planes of what was found.
fn finish(
    clip: &PointmapClip<'_>,
    options: &SolveOptions,
    found: Found,
    ctx: &JobCtx,
) -> Result<Solution> {
    let Found {
        frames,
        focal,
        path,
    } = found;
    let side = clip.width.max(clip.height);
    let flags = quality::flags(&frames, &focal.profile, &path, side);
    let planes = dense::evaluate(clip, options, &focal.lenses, &path, ctx)?;
    // Cameras in scenes look through pixel centres at +0.5, whatever the clip's own grid.
    let shift_px = 0.5 - options.pixel_centre;
    let first = path.poses[0].inverse();
    let cameras = path
        .poses
        .iter()
        .zip(&focal.lenses)
        .map(|(pose, lens)| Camera {
            intrinsics: Intrinsics {
                cx_px: lens.cx_px + shift_px,
                cy_px: lens.cy_px + shift_px,
                ..*lens
            },
            world_from_camera: pose.inverse().relative_to(first),
        })
        .collect();
    Ok(Solution {
        cameras,
        points: planes.points,
        depth: planes.depth,
        residual: planes.residual,
        valid: planes.valid,
        flags,
        quality: path.quality(),
        focal: focal.profile,
        world_from_clip: path.poses[0],
        scale: 1.0,
        median_depth: path.median_depth,
    })
}

fn check_options(options: &SolveOptions) -> Result<()> {
    if options.stride == Some(0) {
        return Err(Error::invalid("solver stride", "must be 1 or more, got 0"));
    }
    if !(options.edge_step > 0.0 && options.pixel_centre.is_finite()) {
        return Err(Error::invalid(
            "solver options",
            format!(
                "edge step must be positive and pixel centre finite, got {} and {}",
                options.edge_step, options.pixel_centre
            ),
        ));
    }
    if let Some(refinement) = options.refinement
        && !(refinement.weight >= 0.0 && refinement.weight.is_finite())
    {
        return Err(Error::invalid(
            "motion prior",
            format!("its weight must be 0 or more, got {}", refinement.weight),
        ));
    }
    match options.known_intrinsics {
        Some(k)
            if !(k.fx_px > 0.0 && k.fy_px > 0.0 && k.cx_px.is_finite() && k.cy_px.is_finite()) =>
        {
            Err(Error::invalid(
                "known intrinsics",
                format!("focal lengths must be positive and the principal point finite, got {k:?}"),
            ))
        }
        _ => Ok(()),
    }
}
