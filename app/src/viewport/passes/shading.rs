//! Pipelines that are compiled for one way of shading each, when it is first asked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::specialised_pipeline;
use crate::viewport::options::{ColourMode, DrawMode, MaskMode, ViewOptions};

/// What is fixed when a pipeline is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shading {
    colour_mode: u32,
    tint: bool,
    dome: bool,
    smoothed: bool,
}

impl Shading {
    /// How a view shades.
    pub fn of(options: &ViewOptions) -> Self {
        Self {
            colour_mode: options.colour.code(),
            tint: options.mask == MaskMode::Tint,
            dome: options.eye_dome.is_some_and(|dome| dome.strength > 0.0),
            smoothed: options.draw == DrawMode::Smooth,
        }
    }

    pub(super) fn is_smoothed(self) -> bool {
        self.smoothed
    }

    /// How sums of blended points are resolved: no attribute is looked at.
    pub(super) fn of_sums(self) -> Self {
        Self {
            colour_mode: ColourMode::Rgb.code(),
            tint: false,
            ..self
        }
    }

    /// How colours are blended: nothing is lit yet.
    pub(super) fn of_points(self) -> Self {
        Self {
            dome: false,
            smoothed: false,
            ..self
        }
    }
}

/// One shader for every way of shading.
pub(super) struct ShadingPipelines {
    label: &'static str,
    entry_point: &'static str,
    layout: wgpu::PipelineLayout,
    module: wgpu::ShaderModule,
    /// Whether the shader lights and resolves sums, or only colours.
    resolves: bool,
    compiled: Mutex<HashMap<Shading, wgpu::ComputePipeline>>,
}

impl ShadingPipelines {
    pub(super) fn new(
        label: &'static str,
        layout: wgpu::PipelineLayout,
        (module, entry_point): (wgpu::ShaderModule, &'static str),
        resolves: bool,
    ) -> Self {
        Self {
            label,
            entry_point,
            layout,
            module,
            resolves,
            compiled: Mutex::default(),
        }
    }

    pub(super) fn get(&self, device: &wgpu::Device, shading: Shading) -> wgpu::ComputePipeline {
        let flag = |on| f64::from(u8::from(on));
        let constants = [
            ("COLOUR_MODE", f64::from(shading.colour_mode)),
            ("TINT", flag(shading.tint)),
            ("DOME", flag(shading.dome)),
            ("SMOOTHED", flag(shading.smoothed)),
        ];
        let constants = &constants[..if self.resolves { 4 } else { 2 }];
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled
            .entry(shading)
            .or_insert_with(|| {
                let shader = (&self.module, self.entry_point, constants);
                specialised_pipeline(device, self.label, &self.layout, shader)
            })
            .clone()
    }
}
