//! Between the widget and the window's renderer: what lives there from frame to frame, and the
//! callback that draws into own targets and composites them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use egui_wgpu::{CallbackResources, CallbackTrait, RenderState, ScreenDescriptor};

use super::bounds::SceneBounds;
use super::eye::Eye;
use super::headless::words_of;
use super::options::{Overlay, Palette, ViewOptions};
use super::passes::composite::{CompositeData, CompositePass};
use super::picking::Pick;
use super::renderer::{Picture, PictureEye, Renderer};
use super::scene_lines::{self, LineInput};
use super::shown::{Motion, ShownFrame};
use super::upload::{DEFAULT_BUDGET_BYTES, Uploads};
use super::view::View;

/// Pixels around the pointer in which a point is picked.
const PICK_REACH_PX: u32 = 4;

/// One view's targets and what they hold.
struct ViewSlot {
    view: View,
    composite: CompositeData,
    drawn: Option<PictureKey>,
    motion: Option<Motion>,
}

/// What a view showed last, and what was picked on it.
#[derive(Default)]
pub(super) struct ViewMemory {
    pub(super) shown: Option<ShownFrame>,
    pick: Option<PendingPick>,
}

struct PendingPick {
    staging: wgpu::Buffer,
    mapped: Arc<Mutex<Option<bool>>>,
    shown: ShownFrame,
    eye: Eye,
    near: f64,
    /// First column and row of the window that was copied, and the pointer.
    window: ([u32; 2], [u32; 2]),
    pointer_px: [u32; 2],
}

/// Everything the viewport keeps beside the window's renderer.
pub(super) struct ViewportResources {
    renderer: Renderer,
    composite: CompositePass,
    pub(super) uploads: Uploads,
    slots: HashMap<egui::Id, ViewSlot>,
    pub(super) memory: HashMap<egui::Id, ViewMemory>,
}

impl ViewportResources {
    /// Those of a window; made when first asked for, which compiles the passes.
    pub(super) fn of<'a>(
        renderer: &'a mut egui_wgpu::Renderer,
        render_state: &RenderState,
        context: &egui::Context,
    ) -> std::io::Result<&'a mut Self> {
        let resources = &mut renderer.callback_resources;
        if !resources.contains::<Self>() {
            resources.insert(Self::new(render_state, context)?);
        }
        resources
            .get_mut()
            .ok_or_else(|| std::io::Error::other("the window keeps no resources"))
    }

    fn new(render_state: &RenderState, context: &egui::Context) -> std::io::Result<Self> {
        let (device, queue) = (&render_state.device, &render_state.queue);
        let context = context.clone();
        Ok(Self {
            renderer: Renderer::new(device, queue),
            composite: CompositePass::new(device, render_state.target_format),
            uploads: Uploads::start(device, queue, DEFAULT_BUDGET_BYTES, move || {
                context.request_repaint();
            })?,
            slots: HashMap::new(),
            memory: HashMap::new(),
        })
    }

    /// What a view showed last.
    pub(super) fn shown(&self, view_id: egui::Id) -> Option<ShownFrame> {
        self.memory.get(&view_id)?.shown.clone()
    }

    /// The size nearest to the wanted one that the device can draw.
    pub(super) fn fitting_size(&self, wanted_px: [u32; 2]) -> [u32; 2] {
        self.renderer.fitting_size(wanted_px)
    }

    fn record(
        &mut self,
        device: &wgpu::Device,
        callback: &ViewportCallback,
    ) -> Option<wgpu::CommandBuffer> {
        let key = callback.key();
        let slot = self.slots.entry(callback.view_id);
        let fresh = |renderer: &Renderer, composite: &CompositePass| {
            let view = renderer.view(callback.size_px);
            ViewSlot {
                composite: composite.data(device, &view.picture_target),
                view,
                drawn: None,
                motion: None,
            }
        };
        let slot = slot.or_insert_with(|| fresh(&self.renderer, &self.composite));
        if slot.view.size_px != callback.size_px {
            *slot = fresh(&self.renderer, &self.composite);
        }
        if slot.drawn.as_ref() == Some(&key) {
            return None;
        }
        slot.drawn = Some(key);
        let mut segments = scene_lines::segments(&callback.line_input());
        if let Some(shown) = &callback.shown {
            let overlays = callback.options.overlays;
            let motion = slot
                .motion
                .take()
                .filter(|motion| motion.is_of(shown, overlays))
                .unwrap_or_else(|| Motion::of(shown, overlays));
            segments.extend(&motion.segments);
            slot.motion = Some(motion);
        }
        let frames = callback
            .shown
            .as_ref()
            .map_or(Vec::new(), ShownFrame::drawn);
        let stats = callback.shown.as_ref().map(|s| s.stats.ranges);
        let picture = Picture {
            eye: callback.eye,
            options: &callback.options,
            palette: &callback.palette,
            ranges: &stats.unwrap_or_default(),
            frames: &frames,
            segments: &segments,
            image_plane: callback.image_plane(),
        };
        Some(self.renderer.record(&mut slot.view, &picture))
    }

    /// Copies the ids around the pointer out of a view, to be looked at when they arrive.
    pub(super) fn start_pick(
        &mut self,
        render_state: &RenderState,
        view_id: egui::Id,
        pointer_px: [u32; 2],
        near: f64,
    ) {
        let (Some(slot), Some(memory)) = (self.slots.get(&view_id), self.memory.get_mut(&view_id))
        else {
            return;
        };
        let (Some(shown), Some(drawn)) = (memory.shown.clone(), &slot.drawn) else {
            return;
        };
        let size = slot.view.size_px;
        let first = [0, 1].map(|i| pointer_px[i].min(size[i] - 1).saturating_sub(PICK_REACH_PX));
        let count = [0, 1].map(|i| (2 * PICK_REACH_PX + 1).min(size[i] - first[i]));
        let row_bytes = u64::from(count[0]) * 8;
        let device = &render_state.device;
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ViewportResources::pick"),
            size: row_bytes * u64::from(count[1]),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for row in 0..count[1] {
            let at = u64::from(first[1] + row) * u64::from(size[0]) + u64::from(first[0]);
            let to = u64::from(row) * row_bytes;
            encoder.copy_buffer_to_buffer(&slot.view.visibility, at * 8, &staging, to, row_bytes);
        }
        render_state.queue.submit([encoder.finish()]);
        let mapped = Arc::new(Mutex::new(None));
        let done = Arc::clone(&mapped);
        staging
            .slice(..)
            .map_async(wgpu::MapMode::Read, move |result| {
                *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.is_ok());
            });
        memory.pick = Some(PendingPick {
            staging,
            mapped,
            shown,
            eye: drawn.eye.eye,
            near,
            window: (first, count),
            pointer_px,
        });
    }

    /// Whether a pick is under way.
    pub(super) fn is_picking(&self, view_id: egui::Id) -> bool {
        self.memory.get(&view_id).is_some_and(|m| m.pick.is_some())
    }

    /// The point that was picked, once the copy has arrived.
    pub(super) fn finish_pick(&mut self, view_id: egui::Id) -> Option<(Pick, ShownFrame)> {
        let memory = self.memory.get_mut(&view_id)?;
        let pending = memory.pick.as_ref()?;
        let arrived = (*pending
            .mapped
            .lock()
            .unwrap_or_else(PoisonError::into_inner))?;
        let pending = memory.pick.take()?;
        if !arrived {
            return None;
        }
        let bytes = pending.staging.slice(..).get_mapped_range().ok()?.to_vec();
        nearest_point(&words_of(&bytes), &pending).map(|pick| (pick, pending.shown))
    }
}

/// The drawn pixel nearest to the pointer.
fn nearest_point(words: &[u64], pending: &PendingPick) -> Option<Pick> {
    let (first, count) = pending.window;
    let away = |i: usize| {
        let at = [
            first[0] + i as u32 % count[0],
            first[1] + i as u32 / count[0],
        ];
        let [x, y] = [0, 1].map(|axis| at[axis].abs_diff(pending.pointer_px[axis]));
        x * x + y * y
    };
    let (_, word) = words
        .iter()
        .enumerate()
        .filter(|(_, word)| **word != 0)
        .min_by_key(|(i, _)| away(*i))?;
    let frame = &pending.shown.frame.gpu;
    let id = frame.id_layout().unpack(*word as u32);
    let width = frame.grid[0] as usize;
    let (frame_idx, pixel) = pending.shown.source(id)?;
    Some(Pick {
        frame_idx,
        column: pixel % width,
        row: pixel / width,
        distance: pending
            .eye
            .distance_of((*word >> 32) as u32, pending.near)?,
    })
}

/// Everything a picture depends on; while it stays the same nothing is drawn anew.
#[derive(Clone, Debug, PartialEq)]
struct PictureKey {
    eye: PictureEye,
    options: ViewOptions,
    palette: Palette,
    frames: Vec<(u64, f32)>,
    frame_idx: usize,
    through_camera: bool,
}

/// One view in one frame of the window.
pub(super) struct ViewportCallback {
    pub(super) view_id: egui::Id,
    pub(super) size_px: [u32; 2],
    pub(super) eye: PictureEye,
    pub(super) options: ViewOptions,
    pub(super) palette: Palette,
    pub(super) bounds: SceneBounds,
    pub(super) shown: Option<ShownFrame>,
    pub(super) through_camera: bool,
}

impl ViewportCallback {
    fn key(&self) -> PictureKey {
        PictureKey {
            eye: self.eye,
            options: self.options,
            palette: self.palette,
            frames: self.shown.as_ref().map_or(Vec::new(), ShownFrame::serials),
            frame_idx: self.shown.as_ref().map_or(0, |s| s.frame_idx),
            through_camera: self.through_camera,
        }
    }

    fn line_input(&self) -> LineInput<'_> {
        LineInput {
            scene: self.shown.as_ref().map(|s| s.scene.as_ref()),
            bounds: self.bounds,
            frame_idx: self.shown.as_ref().map_or(0, |s| s.frame_idx),
            current_frustum: !self.through_camera,
            options: &self.options,
            palette: &self.palette,
            fade: self.eye.fade,
        }
    }

    fn image_plane(&self) -> Option<[glam::DVec3; 4]> {
        let shown = self.shown.as_ref()?;
        let camera = shown.scene.cameras.as_ref()?.get(shown.frame_idx)?;
        let visible = self.options.overlays.has(Overlay::ImagePlane) && !self.through_camera;
        let length = scene_lines::frustum_length(&self.bounds);
        visible.then(|| scene_lines::image_corners(&shown.scene, camera, length))
    }
}

impl CallbackTrait for ViewportCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        _queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        resources
            .get_mut::<ViewportResources>()
            .and_then(|r| r.record(device, self))
            .into_iter()
            .collect()
    }

    fn paint(
        &self,
        info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        let Some(resources) = resources.get::<ViewportResources>() else {
            return;
        };
        let Some(slot) = resources.slots.get(&self.view_id) else {
            return;
        };
        let scale = info.pixels_per_point;
        let place = |rect: egui::Rect| {
            [rect.min.x, rect.min.y, rect.max.x, rect.max.y].map(|v| (v * scale).round())
        };
        let [left, top, right, bottom] = place(info.viewport);
        let clip = place(info.clip_rect.intersect(info.viewport));
        let screen = info.screen_size_px.map(|n| n as f32);
        let limit = [screen[0], screen[1], screen[0], screen[1]];
        let [x0, y0, x1, y1] = std::array::from_fn(|i| clip[i].clamp(0.0, limit[i]) as u32);
        if right <= left || bottom <= top || x1 <= x0 || y1 <= y0 {
            return;
        }
        // The toolkit clamps the viewport to the window, which would squeeze the picture.
        pass.set_viewport(left, top, right - left, bottom - top, 0.0, 1.0);
        pass.set_scissor_rect(x0, y0, x1 - x0, y1 - y0);
        resources.composite.draw(pass, &slot.composite);
    }
}
