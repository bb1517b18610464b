//! Between the widget and the window's renderer: what lives there from frame to frame, and the
//! callback that draws into own targets and composites them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use egui_wgpu::{CallbackResources, CallbackTrait, RenderState, ScreenDescriptor};
use glam::DVec3;
use one4d_engine::scene::Scene4d;

use super::bounds::SceneBounds;
use super::eye::Eye;
use super::headless::words_of;
use super::options::{Overlay, Palette, ViewOptions};
use super::pace::{Detail, Pace};
use super::passes::composite::{CompositeData, CompositePass};
use super::picking::{Pick, PickWindow};
use super::renderer::{Picture, PictureEye, Renderer};
use super::scene_lines::{self, LineInput};
use super::shown::{Motion, ShownFrame};
use super::stopwatch::Stopwatch;
use super::upload::{DEFAULT_BUDGET_BYTES, Uploads};
use super::view::View;

/// One view's targets and what they hold.
struct ViewSlot {
    view: View,
    composite: CompositeData,
    drawn: Option<PictureKey>,
    motion: Option<Motion>,
    stopwatch: Option<Stopwatch>,
}

/// What a view showed last, and what was picked on it.
#[derive(Default)]
pub(super) struct ViewMemory {
    pub(super) shown: Option<ShownFrame>,
    pub(super) pace: Pace,
    /// The scene, up and height of the floor that was looked for last.
    floor: Option<(Weak<Scene4d>, DVec3, f64)>,
    pick: Option<PendingPick>,
}

struct PendingPick {
    staging: wgpu::Buffer,
    mapped: Arc<Mutex<Option<bool>>>,
    shown: ShownFrame,
    eye: Eye,
    near: f64,
    /// The part of the picture that was copied.
    window: PickWindow,
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

    /// Height along `up` of the floor under what a view shows, above the world's origin.
    pub(super) fn floor_height(&mut self, view_id: egui::Id, up: DVec3, floor_y: f64) -> f64 {
        let Some(memory) = self.memory.get_mut(&view_id) else {
            return -floor_y;
        };
        let scene = match &memory.shown {
            Some(shown) if up != DVec3::NEG_Y => &shown.scene,
            _ => return -floor_y,
        };
        match &memory.floor {
            Some((of, along, height)) if *along == up && of.as_ptr() == Arc::as_ptr(scene) => {
                *height
            }
            _ => {
                let height = SceneBounds::floor_along(scene, up);
                memory.floor = Some((Arc::downgrade(scene), up, height));
                height
            }
        }
    }

    /// What a view showed last.
    pub(super) fn shown(&self, view_id: egui::Id) -> Option<ShownFrame> {
        self.memory.get(&view_id)?.shown.clone()
    }

    /// Takes what the last measured picture of a view took.
    pub(super) fn measure(&mut self, view_id: egui::Id) {
        let stopwatch = self
            .slots
            .get_mut(&view_id)
            .and_then(|s| s.stopwatch.as_mut());
        let measured = stopwatch.and_then(Stopwatch::take);
        if let (Some((detail, secs)), Some(memory)) = (measured, self.memory.get_mut(&view_id)) {
            memory.pace.measured(detail, secs);
        }
    }

    /// Bytes of the device's memory that frames and views take, and those that frames may take.
    pub(super) fn memory_bytes(&self) -> [u64; 2] {
        let [frames, budget] = self.uploads.memory_bytes();
        let views: u64 = self.slots.values().map(|slot| slot.view.bytes()).sum();
        [frames + views, budget]
    }

    /// The size nearest to the wanted one that the device can draw.
    pub(super) fn fitting_size(&self, wanted_px: [u32; 2]) -> [u32; 2] {
        self.renderer.fitting_size(wanted_px)
    }

    fn record(
        &mut self,
        (device, queue): (&wgpu::Device, &wgpu::Queue),
        callback: &ViewportCallback,
    ) -> Vec<wgpu::CommandBuffer> {
        let key = callback.key();
        let slot = self.slots.entry(callback.view_id);
        let fresh = |renderer: &Renderer, composite: &CompositePass| {
            let view = renderer.view(callback.size_px);
            ViewSlot {
                composite: composite.data(device, &view.picture_target),
                view,
                drawn: None,
                motion: None,
                stopwatch: Stopwatch::new(device, queue),
            }
        };
        let slot = slot.or_insert_with(|| fresh(&self.renderer, &self.composite));
        if slot.view.size_px != callback.size_px {
            *slot = fresh(&self.renderer, &self.composite);
        }
        if slot.drawn.as_ref() == Some(&key) {
            return Vec::new();
        }
        let options = key.options;
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
            .map_or(Vec::new(), |shown| shown.drawn(callback.detail.thinning));
        let stats = callback.shown.as_ref().map(|s| s.stats.ranges);
        let picture = Picture {
            eye: callback.eye,
            options: &options,
            palette: &callback.palette,
            ranges: &stats.unwrap_or_default(),
            frames: &frames,
            segments: &segments,
            image_plane: callback.image_plane(),
        };
        let commands = self.renderer.record(&mut slot.view, &picture);
        match &mut slot.stopwatch {
            Some(stopwatch) => stopwatch.around(device, commands, callback.detail),
            None => vec![commands],
        }
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
        let window = PickWindow::around(pointer_px, size);
        let row_bytes = u64::from(window.count[0]) * 8;
        let device = &render_state.device;
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ViewportResources::pick"),
            size: row_bytes * u64::from(window.count[1]),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for row in 0..window.count[1] {
            let [column, first_row] = window.first.map(u64::from);
            let at = (first_row + u64::from(row)) * u64::from(size[0]) + column;
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
            window,
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
        picked_point(&words_of(&bytes), &pending).map(|pick| (pick, pending.shown))
    }
}

/// The point that the words around the pointer stand for.
fn picked_point(words: &[u64], pending: &PendingPick) -> Option<Pick> {
    let word = pending.window.choose(words)?;
    let frame = &pending.shown.frame.gpu;
    let id = frame.id_layout().unpack(word as u32);
    let width = frame.grid[0] as usize;
    let (frame_idx, pixel) = pending.shown.source(id)?;
    Some(Pick {
        frame_idx,
        column: pixel % width,
        row: pixel / width,
        distance: pending.eye.distance_of((word >> 32) as u32, pending.near)?,
    })
}

/// Everything a picture depends on; while it stays the same nothing is drawn anew.
#[derive(Clone, Debug, PartialEq)]
struct PictureKey {
    eye: PictureEye,
    options: ViewOptions,
    palette: Palette,
    frames: Vec<(u64, f32)>,
    thinning: u32,
    frame_idx: usize,
    through_camera: bool,
}

/// One view in one frame of the window.
pub(super) struct ViewportCallback {
    pub(super) view_id: egui::Id,
    pub(super) size_px: [u32; 2],
    pub(super) eye: PictureEye,
    pub(super) options: ViewOptions,
    pub(super) detail: Detail,
    pub(super) palette: Palette,
    pub(super) bounds: SceneBounds,
    pub(super) shown: Option<ShownFrame>,
    pub(super) through_camera: bool,
}

impl ViewportCallback {
    fn key(&self) -> PictureKey {
        PictureKey {
            eye: self.eye,
            options: ViewOptions {
                eye_dome: self.options.eye_dome.filter(|_| self.detail.is_lit),
                ..self.options
            },
            palette: self.palette,
            thinning: self.detail.thinning,
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
        queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        resources
            .get_mut::<ViewportResources>()
            .map_or(Vec::new(), |r| r.record((device, queue), self))
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
