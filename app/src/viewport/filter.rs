//! Which points of a frame a view draws: the same rules for the raster, its CPU twin and the count
//! of what is hidden.

use bytemuck::Zeroable as _;
use glam::{DMat4, DVec3};
use one4d_engine::scene::validity;

use super::frame_data::FrameData;
use super::gpu_data::PointUniforms;
use super::options::{ClipBox, MaskMode, ViewOptions};
use super::quantiser::Quantiser;
use super::raster;

/// What a view hides, taken out of its options; equal filters hide the same points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointFilter {
    required_valid: u8,
    max_edge: u32,
    min_confidence: u8,
    mask: MaskMode,
    clip_box: Option<ClipBox>,
}

impl PointFilter {
    /// The filter of a view.
    pub fn of(options: &ViewOptions) -> Self {
        Self {
            required_valid: options.required_valid | validity::FINITE,
            max_edge: options.max_edge(),
            min_confidence: (options.min_confidence.clamp(0.0, 1.0) * 255.0).round() as u8,
            // A tint hides nothing.
            mask: match options.mask {
                MaskMode::Off | MaskMode::Tint => MaskMode::Off,
                only => only,
            },
            clip_box: options.clip_box,
        }
    }

    /// The same without the limit on edges, for surfaces, which are cut between their corners.
    pub(crate) fn without_edges(self) -> Self {
        Self {
            max_edge: u32::from(super::frame_data::MAX_EDGE_CODE),
            ..self
        }
    }

    /// Writes the filter into the uniforms of a frame. A frame without a mask has neither moving
    /// nor still points, so nothing of it is hidden by one.
    pub(crate) fn write(&self, uniforms: &mut PointUniforms, quantiser: &Quantiser, masked: bool) {
        uniforms.required_valid = u32::from(self.required_valid);
        uniforms.max_edge = self.max_edge;
        uniforms.min_confidence = u32::from(self.min_confidence);
        uniforms.mask = match self.mask {
            MaskMode::OnlyMoving if masked => 1,
            MaskMode::OnlyStill if masked => 2,
            _ => 0,
        };
        uniforms.has_box = u32::from(self.clip_box.is_some());
        if let Some(clip_box) = self.clip_box {
            let box_from_unit = box_from_world(&clip_box) * quantiser.world_from_unit();
            uniforms.box_from_unit = box_from_unit.as_mat4().to_cols_array_2d();
        }
    }

    /// `[H, W]`: whether the filter lets a pixel's point through.
    pub fn kept(&self, frame: &FrameData) -> Vec<bool> {
        let mut uniforms = PointUniforms::zeroed();
        uniforms.max_hash = u32::MAX;
        self.write(&mut uniforms, &frame.quantiser, frame.attributes.is_some());
        (0..frame.positions.len())
            .map(|pixel| raster::is_kept(frame, pixel, &uniforms))
            .collect()
    }

    /// Share of a frame's finite points that the filter hides, 0..1; 0 for a frame without points.
    pub fn hidden_share(&self, frame: &FrameData) -> f32 {
        let (mut finite, mut hidden) = (0_usize, 0_usize);
        for (words, kept) in frame.positions.iter().zip(self.kept(frame)) {
            if words[3] & u16::from(validity::FINITE) != 0 {
                finite += 1;
                hidden += usize::from(!kept);
            }
        }
        hidden as f32 / finite.max(1) as f32
    }
}

fn box_from_world(clip_box: &ClipBox) -> DMat4 {
    let half = DVec3::from_array(clip_box.half).max(DVec3::splat(1e-12));
    DMat4::from_scale(half.recip())
        * DMat4::from_rotation_y(-clip_box.yaw_rad)
        * DMat4::from_translation(-DVec3::from_array(clip_box.centre))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boxs_own_coordinates_agree_with_containment() {
        let clip_box = ClipBox {
            centre: [1.0, -0.5, 4.0],
            half: [0.5, 2.0, 1.0],
            yaw_rad: 0.7,
        };
        let matrix = box_from_world(&clip_box);
        let mut inside = 0;
        for i in 0..1000 {
            let at = DVec3::new(
                f64::from(i % 10) * 0.4 - 1.0,
                f64::from(i / 10 % 10) * 0.6 - 3.0,
                f64::from(i / 100) * 0.5 + 1.7,
            );
            let unit = matrix.transform_point3(at).abs();
            assert_eq!(clip_box.contains(at), unit.max_element() <= 1.0, "{at}");
            inside += usize::from(clip_box.contains(at));
        }
        assert!(inside > 20);
    }

    #[test]
    fn a_tint_is_no_filter() {
        let of = |mask| {
            PointFilter::of(&ViewOptions {
                mask,
                ..ViewOptions::default()
            })
        };
        assert_eq!(of(MaskMode::Off), of(MaskMode::Tint));
        assert_ne!(of(MaskMode::Off), of(MaskMode::OnlyMoving));
    }
}
