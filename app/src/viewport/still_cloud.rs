//! The still parts of a whole clip as one cloud, thinned to one point a voxel, so that what a frame
//! hides or leaves out stays on the picture.

use std::collections::HashMap;

use glam::{DVec3, Vec3};
use one4d_engine::scene::{Scene4d, validity};

use super::bounds::SceneBounds;
use super::frame_data::{FrameData, camera_of, edge_code, pack_attributes, unpack_flags};
use super::quantiser::Quantiser;

/// Points that are kept at most.
const MAX_POINTS: usize = 1_500_000;
/// Points that are looked at at most; longer clips are looked at every few frames.
const MAX_VISITED: usize = 12_000_000;
/// Points of one chunk: as many as an id of an ordinary frame can hold.
const CHUNK_POINTS: usize = 1 << 19;
/// Columns of a chunk.
const CHUNK_COLUMNS: usize = 1024;
/// Points whose depth steps by more than this share are flying pixels and stay out.
const MAX_STEP: f32 = 0.1;
/// Probability of motion from which a point counts as moving, of 255.
const MOVING: u8 = 128;
/// Neighbouring voxels hold points up to two voxels apart.
const SPACING_PER_VOXEL: f64 = 1.3;

/// Which pixel of which frame a point was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointSource {
    /// Index in the clip.
    pub frame_idx: u32,
    /// Row-major pixel.
    pub pixel: u32,
}

/// A part of the cloud that is drawn like a frame.
pub struct StillChunk {
    /// Its points; `is_grid` is false.
    pub data: FrameData,
    /// `[points]`, in the order of the data; what the data has beyond is padding.
    pub sources: Vec<PointSource>,
}

#[derive(Clone, Copy)]
struct Point {
    position: Vec3,
    colour: [u8; 4],
    flags: u16,
    normal: u32,
    source: PointSource,
}

/// Collects the cloud; `None` if `goes_on` says no before it is whole. Empty for a clip without a
/// mask, where nothing is known to be still.
pub fn still_cloud(scene: &Scene4d, goes_on: &dyn Fn() -> bool) -> Option<Vec<StillChunk>> {
    if scene.dynamic.is_none() {
        return Some(Vec::new());
    }
    let (_, intrinsics) = camera_of(scene, 0);
    let bounds = SceneBounds::of(scene);
    let mut voxels = Voxels {
        size: bounds.depth / intrinsics.fx_px.max(intrinsics.fy_px),
        origin: bounds.centre,
        points: HashMap::new(),
    };
    let frame_step = (scene.num_frames * scene.pixels_per_frame()).div_ceil(MAX_VISITED);
    for frame_idx in (0..scene.num_frames).step_by(frame_step.max(1)) {
        if !goes_on() {
            return None;
        }
        voxels.add_frame(scene, frame_idx);
    }
    let spacing = voxels.size * SPACING_PER_VOXEL;
    let mut points: Vec<Point> = voxels.points.into_values().collect();
    // The order of a hash map is another in every run.
    points.sort_unstable_by_key(|p| (p.source.frame_idx, p.source.pixel));
    let chunks = points.chunks(CHUNK_POINTS);
    Some(chunks.map(|c| chunk(c, scene, spacing)).collect())
}

struct Voxels {
    size: f64,
    origin: DVec3,
    points: HashMap<[i32; 3], Point>,
}

impl Voxels {
    fn key(&self, position: Vec3) -> Option<[i32; 3]> {
        let at = ((position.as_dvec3() - self.origin) / self.size).floor();
        let reach = f64::from(i32::MAX);
        (at.abs().max_element() < reach).then(|| at.as_ivec3().to_array())
    }

    fn add_frame(&mut self, scene: &Scene4d, frame_idx: usize) {
        let data = FrameData::encode(scene, frame_idx);
        let points = scene.frame_points(frame_idx);
        let dynamic = scene.frame_dynamic(frame_idx);
        let needed = validity::FINITE | validity::NOT_EDGE | validity::NOT_CLIPPED;
        for (pixel, words) in data.positions.iter().enumerate() {
            let [valid, _, edge] = unpack_flags(words[3]);
            let moving = dynamic.is_some_and(|d| d[pixel] >= MOVING);
            if valid & needed != needed || edge > edge_code(MAX_STEP) || moving {
                continue;
            }
            let position = Vec3::from_slice(&points[pixel * 3..pixel * 3 + 3]);
            let Some(key) = self.key(position) else {
                continue;
            };
            self.points.entry(key).or_insert_with(|| Point {
                position,
                colour: data.colours[pixel],
                // A voxel has no slope: the spacing is the same all around.
                flags: words[3] & !(15 << 5),
                normal: pack_attributes(0, normal(&points, scene.width, pixel, &data)),
                source: PointSource {
                    frame_idx: frame_idx as u32,
                    pixel: pixel as u32,
                },
            });
        }
        while self.points.len() > MAX_POINTS {
            self.coarsen();
        }
    }

    /// Doubles the voxels; of the points in one, the earliest stays.
    fn coarsen(&mut self) {
        self.size *= 2.0;
        let points = std::mem::take(&mut self.points);
        for point in points.into_values() {
            if let Some(key) = self.key(point.position) {
                let order = |p: &Point| (p.source.frame_idx, p.source.pixel);
                self.points
                    .entry(key)
                    .and_modify(|held| {
                        if order(&point) < order(held) {
                            *held = point;
                        }
                    })
                    .or_insert(point);
            }
        }
    }
}

/// Unit normal towards the camera from the steps to the next column and row, zero at the border.
fn normal(points: &[f32], width: usize, pixel: usize, data: &FrameData) -> Vec3 {
    let at = |pixel: usize| {
        points
            .get(pixel * 3..pixel * 3 + 3)
            .map(Vec3::from_slice)
            .filter(|p| p.is_finite())
    };
    let (Some(own), Some(right), Some(down)) = (at(pixel), at(pixel + 1), at(pixel + width)) else {
        return Vec3::ZERO;
    };
    let normal = (right - own).cross(down - own).normalize_or_zero();
    let to_camera = data.camera_centre.as_vec3() - own;
    if normal.dot(to_camera) < 0.0 {
        -normal
    } else {
        normal
    }
}

fn chunk(points: &[Point], scene: &Scene4d, spacing: f64) -> StillChunk {
    let flat: Vec<f32> = points.iter().flat_map(|p| p.position.to_array()).collect();
    let quantiser = Quantiser::fit(&flat);
    let width = CHUNK_COLUMNS.min(points.len());
    let height = points.len().div_ceil(width);
    let padded = |len: usize| width * height - len;
    let mut positions: Vec<[u16; 4]> = points
        .iter()
        .map(|p| {
            let [x, y, z] = quantiser.encode(p.position);
            [x, y, z, p.flags]
        })
        .collect();
    positions.extend(std::iter::repeat_n([0; 4], padded(points.len())));
    let mut colours: Vec<[u8; 4]> = points.iter().map(|p| p.colour).collect();
    colours.extend(std::iter::repeat_n([0; 4], padded(points.len())));
    let mut attributes: Vec<u32> = points.iter().map(|p| p.normal).collect();
    attributes.extend(std::iter::repeat_n(0, padded(points.len())));
    let (camera_from_world, intrinsics) = camera_of(scene, 0);
    StillChunk {
        sources: points.iter().map(|p| p.source).collect(),
        data: FrameData {
            width,
            height,
            quantiser,
            positions,
            colours,
            attributes: Some(attributes),
            flow_scale: 1.0,
            is_grid: false,
            spacing_from_world: (DVec3::ZERO, spacing),
            depth_from_world: (
                camera_from_world.rotation.row(2),
                camera_from_world.translation.z,
            ),
            camera_centre: camera_from_world.inverse().centre(),
            focal_px: intrinsics.fx_px as f32,
        },
    }
}
