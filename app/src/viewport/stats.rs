//! What is known of a frame's points besides their picture.

use glam::{DVec3, Vec3};
use one4d_engine::scene::{Scene4d, validity};

use super::bounds::SceneBounds;
use super::frame_data::{FrameData, MAX_EDGE_CODE, camera_of, unpack_flags};

/// Steps of the histogram of confidence.
const CONFIDENCE_STEPS: usize = 64;
/// Points of a frame that are looked at for percentiles.
const SAMPLES: usize = 8192;
/// Shares between which a scale of colours runs, so that stray points do not stretch it.
const LOW: f64 = 0.02;
const HIGH: f64 = 0.98;

/// Figures of one frame, made where it is encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameStats {
    /// Pixels with a finite point.
    pub points: usize,
    /// Points by edge code; see [`super::frame_data::edge_code`].
    pub edges: Vec<u32>,
    /// Points by confidence in 64 equal steps of 0..1; empty where the scene has none.
    pub confidences: Vec<u32>,
    /// Of the whole clip: what scales of colours use where no range is chosen.
    pub ranges: SceneRanges,
}

/// Ranges of attributes over a clip, so that a colour means the same in every frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SceneRanges {
    /// 2nd and 98th percentile of z-depth, scene units.
    pub depth: [f32; 2],
    /// 2nd and 98th percentile of the height above the floor, scene units.
    pub height: [f32; 2],
    /// 98th percentile of the length of the scene flow, scene units a frame; 0 without flow.
    pub flow: f32,
    /// World y (down) of the floor.
    pub floor_y: f32,
}

impl SceneRanges {
    /// Looks at the first, middle and last frame.
    pub fn of(scene: &Scene4d) -> Self {
        let floor_y = SceneBounds::of(scene).floor_y;
        let last = scene.num_frames - 1;
        let mut frames = vec![0, last / 2, last.saturating_sub(1)];
        frames.dedup();
        let mut sample = Sample::default();
        for frame_idx in frames {
            sample.add(scene, frame_idx, floor_y);
        }
        let [depth, height, flow] = sample.percentiles();
        Self {
            depth,
            height,
            flow: flow[1],
            floor_y: floor_y as f32,
        }
    }
}

impl FrameStats {
    /// Counts an encoded frame of a scene.
    pub fn of(scene: &Scene4d, data: &FrameData, ranges: SceneRanges) -> Self {
        let mut edges = vec![0; usize::from(MAX_EDGE_CODE) + 1];
        let mut confidences = vec![0; CONFIDENCE_STEPS];
        let mut points = 0;
        for (words, colour) in data.positions.iter().zip(&data.colours) {
            let [valid, _, edge] = unpack_flags(words[3]);
            if valid & validity::FINITE != 0 {
                points += 1;
                edges[usize::from(edge)] += 1;
                confidences[usize::from(colour[3]) * CONFIDENCE_STEPS / 256] += 1;
            }
        }
        if scene.confidence.is_none() {
            confidences.clear();
        }
        Self {
            points,
            edges,
            confidences,
            ranges,
        }
    }
}

/// Attributes of some points.
#[derive(Default)]
struct Sample {
    depths: Vec<f64>,
    heights: Vec<f64>,
    flows: Vec<f64>,
}

impl Sample {
    fn add(&mut self, scene: &Scene4d, frame_idx: usize, floor_y: f64) {
        let step = scene.pixels_per_frame().div_ceil(SAMPLES).max(1);
        let (camera_from_world, _) = camera_of(scene, frame_idx);
        let points = scene.frame_points(frame_idx);
        for p in points.chunks_exact(3).step_by(step) {
            let point = Vec3::new(p[0], p[1], p[2]).as_dvec3();
            if point.is_finite() {
                self.depths.push(camera_from_world.transform(point).z);
                self.heights.push(floor_y - point.y);
            }
        }
        if let Some(flow) = frame_flow(scene, frame_idx) {
            let lengths = flow
                .chunks_exact(3)
                .step_by(step)
                .map(|f| DVec3::new(f[0].to_f64(), f[1].to_f64(), f[2].to_f64()).length())
                .filter(|length| length.is_finite());
            self.flows.extend(lengths);
        }
    }

    /// Of depth, height and flow.
    fn percentiles(self) -> [[f32; 2]; 3] {
        [self.depths, self.heights, self.flows].map(|values| {
            [LOW, HIGH].map(|share| quantile(values.clone(), share).unwrap_or(0.0) as f32)
        })
    }
}

/// `[H, W, 3]` scene flow from a frame to the next, where there is one.
pub(crate) fn frame_flow(
    scene: &Scene4d,
    frame_idx: usize,
) -> Option<&[one4d_engine::scene::Half]> {
    let count = scene.pixels_per_frame() * 3;
    let flow = scene.scene_flow.as_ref()?.as_slice();
    flow.get(frame_idx * count..(frame_idx + 1) * count)
}

/// The value below which a share of the values lies.
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let rank = ((values.len() - 1) as f64 * share).round() as usize;
    Some(*values.select_nth_unstable_by(rank, f64::total_cmp).1)
}
