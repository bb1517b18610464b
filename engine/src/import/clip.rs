//! What an importer reads, and the scene made of it.

use std::path::Path;

use glam::DVec3;
use rayon::prelude::*;

use super::budget::{Budget, Reason};
use crate::geometry::{Camera, Intrinsics, WorldFromCamera};
use crate::job::JobCtx;
use crate::postopt::{FOCAL_PRIOR, PointmapClip, SolveOptions, mark_edges, solve};
use crate::scene::{Half, Plane, Points, ScaleTag, Scene4d, SceneMeta, SolverFlag, validity};
use crate::{Error, Result};

/// Relative depth step at which measured surfaces end, for a lens of 520 px.
const EDGE_STEP: f64 = 0.03;
/// Frames per second where a layout does not say.
const DEFAULT_FPS: f64 = 24.0;

/// What the pixels of a clip carry.
#[derive(Clone, Debug)]
pub(super) enum Geometry {
    /// `[T, H, W]` z-depth; not positive or not finite = none.
    Depth(Vec<f32>),
    /// `[T, H, W, 3]` in one world.
    WorldPoints(Vec<f32>),
    /// `[T, H, W, 3]`, each frame in its own camera.
    CameraPoints(Vec<f32>),
}

/// What the layout says about the cameras. Pixel centres at +0.5 in all lenses.
#[derive(Clone, Debug)]
pub(super) enum Cameras {
    /// `[T]`.
    Known(Vec<Camera>),
    /// Nothing: they are solved for from points, and assumed for depth.
    Unknown,
}

/// A clip as a tool left it, in the house's conventions.
#[derive(Clone, Debug)]
pub(super) struct Clip {
    /// The tool, where the files' contents tell it and not their names.
    pub(super) tool: Option<&'static str>,
    /// `T`.
    pub(super) frames: usize,
    /// `H`, pixels.
    pub(super) height: usize,
    /// `W`, pixels.
    pub(super) width: usize,
    /// `[T, H, W, 3]` sRGB; grey where the layout has no pictures.
    pub(super) rgb: Option<Vec<u8>>,
    /// The geometry.
    pub(super) geometry: Geometry,
    /// The cameras.
    pub(super) cameras: Cameras,
    /// `[T, H, W]`, >= 0, any scale.
    pub(super) confidence: Option<Vec<f32>>,
    /// `[T, H, W]`, 0 = do not use.
    pub(super) usable: Option<Vec<u8>>,
    /// `[T, H, W]`, 0..255.
    pub(super) dynamic: Option<Vec<u8>>,
    /// `[T - 1, H, W, 3]`, in the clip's world.
    pub(super) scene_flow: Option<Vec<f32>>,
    /// What a unit means.
    pub(super) scale: ScaleTag,
    /// Frames per second, where known.
    pub(super) fps: Option<f64>,
    /// What a reader of the scene should know.
    pub(super) notes: Vec<String>,
}

impl Clip {
    /// A clip of depth or points and nothing else yet.
    pub(super) fn new(size: (usize, usize, usize), geometry: Geometry) -> Self {
        Self {
            tool: None,
            frames: size.0,
            height: size.1,
            width: size.2,
            rgb: None,
            geometry,
            cameras: Cameras::Unknown,
            confidence: None,
            usable: None,
            dynamic: None,
            scene_flow: None,
            scale: ScaleTag::UpToScale,
            fps: None,
            notes: Vec::new(),
        }
    }

    /// Checks that every plane has the length that the size asks for.
    pub(super) fn check(&self) -> Reason<()> {
        let pixels = [self.frames, self.height, self.width]
            .into_iter()
            .try_fold(1_usize, usize::checked_mul)
            .filter(|n| *n > 0 && n.checked_mul(12).is_some())
            .ok_or_else(|| {
                format!(
                    "{} frames of {} x {} pixels",
                    self.frames, self.height, self.width
                )
            })?;
        let (what, length, required) = match &self.geometry {
            Geometry::Depth(d) => ("depth", d.len(), pixels),
            Geometry::WorldPoints(p) | Geometry::CameraPoints(p) => ("points", p.len(), pixels * 3),
        };
        let cameras = match &self.cameras {
            Cameras::Known(cameras) => Some(cameras.len()),
            Cameras::Unknown => None,
        };
        let flow = (self.frames - 1) * self.height * self.width * 3;
        let planes = [
            (what, Some(length), required),
            ("colours", self.rgb.as_ref().map(Vec::len), pixels * 3),
            ("confidence", self.confidence.as_ref().map(Vec::len), pixels),
            ("masks", self.usable.as_ref().map(Vec::len), pixels),
            ("motion masks", self.dynamic.as_ref().map(Vec::len), pixels),
            ("scene flow", self.scene_flow.as_ref().map(Vec::len), flow),
            ("cameras", cameras, self.frames),
        ];
        for (what, found, required) in planes {
            if let Some(found) = found.filter(|n| *n != required) {
                return Err(format!(
                    "{what}: {found} values for {} frames of {} x {} pixels, {required} required",
                    self.frames, self.height, self.width
                ));
            }
        }
        if let Cameras::Known(cameras) = &self.cameras
            && let Some(at) = cameras.iter().position(|c| !is_usable(c))
        {
            return Err(format!(
                "the camera of frame {at} is none: {:?}",
                cameras[at]
            ));
        }
        Ok(())
    }

    /// The scene: world = camera of frame 0.
    pub(super) fn into_scene(
        mut self,
        path: &Path,
        tool: &str,
        budget: &Budget,
        ctx: &JobCtx,
    ) -> Result<Scene4d> {
        self.check()
            .and_then(|()| budget.take("the scene", self.frames * self.pixels(), 40))
            .map_err(|reason| Error::format(path, reason))?;
        let built = self.build(ctx)?;
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(built.notes);
        let pixels = self.frames * self.pixels();
        let first = built.cameras[0].world_from_camera;
        let scene = Scene4d {
            num_frames: self.frames,
            height: self.height,
            width: self.width,
            rgb: Plane::new(self.rgb.unwrap_or_else(|| vec![128; pixels * 3])),
            points: Points::F32(Plane::new(built.points)),
            valid: Plane::new(built.valid),
            confidence: self.confidence.map(|c| Plane::new(unit_range(&c))),
            depth: Some(Plane::new(built.depth)),
            cameras: Some(
                built
                    .cameras
                    .iter()
                    .map(|camera| Camera {
                        world_from_camera: camera.world_from_camera.relative_to(first),
                        ..*camera
                    })
                    .collect(),
            ),
            scene_flow: self.scene_flow.map(|flow| {
                let turn = first.inverse().rotation;
                Plane::new(
                    flow.as_chunks::<3>()
                        .0
                        .iter()
                        .flat_map(|v| (turn * DVec3::from(v.map(f64::from))).as_vec3().to_array())
                        .map(Half::from_f32)
                        .collect(),
                )
            }),
            dynamic: self.dynamic.map(Plane::new),
            meta: SceneMeta {
                title: path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                fps: self.fps.unwrap_or(DEFAULT_FPS),
                scale: self.scale,
                model: Some(tool.to_owned()),
                settings: serde_json::json!({ "imported_from": tool, "notes": notes }),
                flags: built.flags,
                observed: (0..self.frames).collect(),
                ..SceneMeta::default()
            },
        };
        scene.check()?;
        Ok(scene)
    }

    fn pixels(&self) -> usize {
        self.height * self.width
    }

    fn build(&self, ctx: &JobCtx) -> Result<Built> {
        match (&self.geometry, &self.cameras) {
            (Geometry::Depth(depth), Cameras::Known(cameras)) => {
                Ok(self.lifted(depth, cameras, Vec::new()))
            }
            (Geometry::Depth(depth), Cameras::Unknown) => {
                let longer = self.height.max(self.width) as f64;
                let lens = Intrinsics::centred(FOCAL_PRIOR * longer, self.width, self.height);
                let standing = Camera {
                    intrinsics: lens,
                    world_from_camera: WorldFromCamera::IDENTITY,
                };
                let mut built = self.lifted(
                    depth,
                    &vec![standing; self.frames],
                    vec![
                        (None, SolverFlag::FocalUnobservable),
                        (None, SolverFlag::StaticCamera),
                    ],
                );
                built.notes.push(
                    "the files hold depth alone: every frame is shown from one place, through a \
                     lens that was assumed"
                        .to_owned(),
                );
                Ok(built)
            }
            (Geometry::WorldPoints(points), Cameras::Known(cameras)) => {
                Ok(self.placed(points, cameras))
            }
            (Geometry::WorldPoints(points), Cameras::Unknown) => self.solved(points, ctx),
            (Geometry::CameraPoints(points), Cameras::Known(cameras)) => {
                Ok(self.placed(&self.to_world(points, cameras), cameras))
            }
            (Geometry::CameraPoints(points), Cameras::Unknown) => {
                let mut built = self.solved(points, ctx)?;
                for camera in &mut built.cameras {
                    camera.world_from_camera = WorldFromCamera::IDENTITY;
                }
                let lens = built.cameras[0].intrinsics;
                let standing = Camera {
                    intrinsics: lens,
                    world_from_camera: WorldFromCamera::IDENTITY,
                };
                let placed = self.placed(points, &vec![standing; self.frames]);
                built.notes.push(
                    "the files hold each frame in its own camera and no poses: every frame is \
                     shown from one place"
                        .to_owned(),
                );
                built.flags.retain(|(frame, _)| frame.is_none());
                if !built.flags.contains(&(None, SolverFlag::StaticCamera)) {
                    built.flags.push((None, SolverFlag::StaticCamera));
                }
                Ok(Built {
                    points: placed.points,
                    depth: placed.depth,
                    valid: placed.valid,
                    ..built
                })
            }
        }
    }

    /// Depth along the rays of known cameras, in the world of the first.
    fn lifted(
        &self,
        depth: &[f32],
        cameras: &[Camera],
        flags: Vec<(Option<usize>, SolverFlag)>,
    ) -> Built {
        let n = self.pixels();
        let first = cameras[0].world_from_camera.inverse();
        let points: Vec<f32> = depth
            .par_chunks_exact(n)
            .zip(cameras)
            .flat_map_iter(|(frame, camera)| {
                frame.iter().enumerate().flat_map(move |(i, &d)| {
                    let ray = camera.intrinsics.ray(i % self.width, i / self.width);
                    let seen = ray * f64::from(d);
                    let world = first.transform(camera.world_from_camera.transform(seen));
                    let there = d > 0.0 && world.is_finite();
                    (if there { world } else { DVec3::NAN })
                        .as_vec3()
                        .to_array()
                })
            })
            .collect();
        let depth: Vec<f32> = depth
            .iter()
            .map(|&d| {
                if d > 0.0 && d.is_finite() {
                    d
                } else {
                    f32::NAN
                }
            })
            .collect();
        let valid = self.validity(&points, &depth, cameras[0].intrinsics);
        Built {
            points,
            depth,
            valid,
            cameras: cameras.to_vec(),
            flags,
            notes: Vec::new(),
        }
    }

    /// World points seen by known cameras, in the world of the first.
    fn placed(&self, points: &[f32], cameras: &[Camera]) -> Built {
        let n = self.pixels();
        let first = cameras[0].world_from_camera.inverse();
        let (points, depth): (Vec<[f32; 3]>, Vec<f32>) = points
            .par_chunks_exact(n * 3)
            .zip(cameras)
            .flat_map_iter(|(frame, camera)| {
                let camera_from_world = camera.world_from_camera.inverse();
                frame.as_chunks::<3>().0.iter().map(move |p| {
                    let p = DVec3::from(p.map(f64::from));
                    let z = camera_from_world.transform(p).z;
                    let world = first.transform(p);
                    if world.is_finite() {
                        let depth = if z > 0.0 { z as f32 } else { f32::NAN };
                        (world.as_vec3().to_array(), depth)
                    } else {
                        ([f32::NAN; 3], f32::NAN)
                    }
                })
            })
            .unzip();
        let points = points.into_flattened();
        let valid = self.validity(&points, &depth, cameras[0].intrinsics);
        Built {
            points,
            depth,
            valid,
            cameras: cameras.to_vec(),
            flags: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn to_world(&self, points: &[f32], cameras: &[Camera]) -> Vec<f32> {
        let n = self.pixels();
        points
            .par_chunks_exact(n * 3)
            .zip(cameras)
            .flat_map_iter(|(frame, camera)| {
                frame.as_chunks::<3>().0.iter().flat_map(move |p| {
                    let p = DVec3::from(p.map(f64::from));
                    camera.world_from_camera.transform(p).as_vec3().to_array()
                })
            })
            .collect()
    }

    /// World points whose cameras the solver finds.
    fn solved(&self, points: &[f32], ctx: &JobCtx) -> Result<Built> {
        let before = validity::GOOD & !validity::CONSISTENT;
        let usable: Option<Vec<u8>> = self
            .usable
            .as_ref()
            .map(|u| u.iter().map(|&u| if u == 0 { 0 } else { before }).collect());
        let clip = PointmapClip {
            points,
            valid: usable.as_deref(),
            confidence: self.confidence.as_deref(),
            frames: self.frames,
            height: self.height,
            width: self.width,
        };
        let solution = solve(&clip, &SolveOptions::default(), ctx)?;
        Ok(Built {
            points: solution.points,
            depth: solution.depth,
            valid: solution.valid,
            cameras: solution.cameras,
            flags: solution.flags,
            notes: vec!["the files hold no cameras: they were solved for".to_owned()],
        })
    }

    fn validity(&self, points: &[f32], depth: &[f32], lens: Intrinsics) -> Vec<u8> {
        let mut valid: Vec<u8> = points
            .as_chunks::<3>()
            .0
            .iter()
            .zip(depth)
            .map(|(p, d)| match (p.iter().all(|x| x.is_finite()), *d > 0.0) {
                (true, true) => validity::GOOD,
                (true, false) => validity::GOOD & !validity::CONSISTENT,
                (false, _) => 0,
            })
            .collect();
        let step = (EDGE_STEP * 520.0 / lens.fx_px).clamp(0.02, 0.25) as f32;
        let n = self.pixels();
        valid
            .par_chunks_exact_mut(n)
            .zip(depth.par_chunks_exact(n))
            .for_each(|(valid, depth)| mark_edges(depth, self.width, step, valid));
        if let Some(usable) = &self.usable {
            for (bits, &u) in valid.iter_mut().zip(usable) {
                if u == 0 {
                    *bits &= !(validity::NOT_SKY | validity::CONSISTENT);
                }
            }
        }
        valid
    }
}

struct Built {
    points: Vec<f32>,
    depth: Vec<f32>,
    valid: Vec<u8>,
    cameras: Vec<Camera>,
    flags: Vec<(Option<usize>, SolverFlag)>,
    notes: Vec<String>,
}

fn is_usable(camera: &Camera) -> bool {
    let k = camera.intrinsics;
    let pose = camera.world_from_camera;
    k.fx_px > 0.0
        && k.fy_px > 0.0
        && [k.fx_px, k.fy_px, k.cx_px, k.cy_px]
            .iter()
            .all(|x| x.is_finite())
        && pose.rotation.is_finite()
        && pose.translation.is_finite()
        && (pose.rotation.determinant() - 1.0).abs() < 0.05
}

/// Confidence of any scale to 0..1, by its 99th percentile.
fn unit_range(confidence: &[f32]) -> Vec<Half> {
    let step = (confidence.len() / 200_000).max(1);
    let mut sample: Vec<f32> = confidence
        .iter()
        .step_by(step)
        .copied()
        .filter(|c| c.is_finite())
        .collect();
    sample.sort_by(f32::total_cmp);
    let top = sample
        .get(sample.len().saturating_sub(1) * 99 / 100)
        .copied()
        .filter(|top| *top > 0.0)
        .unwrap_or(1.0);
    confidence
        .iter()
        .map(|c| {
            Half::from_f32(if c.is_finite() {
                (c / top).clamp(0.0, 1.0)
            } else {
                0.0
            })
        })
        .collect()
}
