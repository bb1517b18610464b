//! Blended points: colours of all points near a pixel's front, summed for the resolve pass.

use wgpu::ShaderStages;

use super::points::PointsData;
use super::shading::{Shading, ShadingPipelines};
use super::{FrameBindings, bind_group, bind_group_layout, pipeline_layout};
use super::{storage, storage_mut, uniform};
use crate::viewport::wgsl;

/// What the pass reads and writes of a view.
#[derive(Clone, Copy)]
pub struct SmoothTargets<'a> {
    /// Ids and depths of the front.
    pub visibility: &'a wgpu::Buffer,
    /// Uniforms that all frames share.
    pub look: &'a wgpu::Buffer,
    /// Red, green, blue, weight a pixel, cleared before.
    pub sums: &'a wgpu::Buffer,
}

/// Pipelines of the smooth pass.
pub struct SmoothPass {
    points_layout: wgpu::BindGroupLayout,
    look_layout: wgpu::BindGroupLayout,
    pipelines: ShadingPipelines,
}

impl SmoothPass {
    /// Compiles the pipeline.
    pub fn new(device: &wgpu::Device) -> Self {
        let points_layout = bind_group_layout(
            device,
            "SmoothPass::points_layout",
            &[
                uniform(0, ShaderStages::COMPUTE),
                storage(1, ShaderStages::COMPUTE),
                storage(2, ShaderStages::COMPUTE),
                storage(3, ShaderStages::COMPUTE),
                storage(4, ShaderStages::COMPUTE),
            ],
        );
        let look_layout = bind_group_layout(
            device,
            "SmoothPass::look_layout",
            &[
                uniform(0, ShaderStages::COMPUTE),
                uniform(1, ShaderStages::COMPUTE),
                storage_mut(2, ShaderStages::COMPUTE),
            ],
        );
        let layout = pipeline_layout(
            device,
            "SmoothPass::pipeline_layout",
            &[&points_layout, &look_layout],
        );
        let module = wgsl::module(device, "smooth.wgsl");
        Self {
            pipelines: ShadingPipelines::new(
                "SmoothPass::pipeline",
                layout,
                (module, "blend"),
                false,
            ),
            points_layout,
            look_layout,
        }
    }

    /// Adds one frame's points.
    pub fn draw(
        &self,
        device: &wgpu::Device,
        pass: &mut wgpu::ComputePass<'_>,
        (targets, shading): (SmoothTargets<'_>, Shading),
        (data, look, frame): (&PointsData, &wgpu::Buffer, FrameBindings<'_>),
    ) {
        let points_group = bind_group(
            device,
            "SmoothPass::points_group",
            &self.points_layout,
            &[
                data.uniforms.as_entire_binding(),
                frame.positions.as_entire_binding(),
                frame.colours.as_entire_binding(),
                frame.attributes.as_entire_binding(),
                targets.visibility.as_entire_binding(),
            ],
        );
        let look_group = bind_group(
            device,
            "SmoothPass::look_group",
            &self.look_layout,
            &[
                targets.look.as_entire_binding(),
                look.as_entire_binding(),
                targets.sums.as_entire_binding(),
            ],
        );
        pass.set_pipeline(&self.pipelines.get(device, shading.of_points()));
        pass.set_bind_group(0, &points_group, &[]);
        pass.set_bind_group(1, &look_group, &[]);
        pass.dispatch_workgroups(data.cells[0].div_ceil(64), data.cells[1], 1);
    }
}
