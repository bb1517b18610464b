//! The point pass at the size of a real clip, beside an instanced-quad draw of the same points in
//! the same run: `cargo bench --bench viewport`.

#![expect(
    clippy::print_stdout,
    reason = "the table is what the benchmark is for"
)]

use std::time::{Duration, Instant};

use glam::DVec3;
use one4d_engine::scene::Scene4d;
use one4d_studio::viewport::bounds::SceneBounds;
use one4d_studio::viewport::frame_data::FrameData;
use one4d_studio::viewport::frame_gpu::FrameGpu;
use one4d_studio::viewport::gpu_data::{PointUniforms, Segment};
use one4d_studio::viewport::orbit::Orbit;
use one4d_studio::viewport::passes::points::RasterPath;
use one4d_studio::viewport::renderer::{DrawnFrame, Picture, PictureEye, Renderer};
use one4d_studio::viewport::scene_lines::{self, Fade, LineInput};
use one4d_studio::viewport::uniforms::point_uniforms;
use one4d_studio::viewport::wgsl;
use one4d_studio::viewport::{
    ColourMode, DrawMode, EyeDome, Overlays, Palette, SceneRanges, ViewOptions, headless_device,
};
use one4d_tests::scenes::room;
use wgpu::util::DeviceExt as _;

const FRAME: [usize; 2] = [480, 832];
const SIZE: [u32; 2] = [1280, 720];
const ROUNDS: usize = 12;
/// Index of the frame that is shown.
const SHOWN: usize = 4;
/// Pictures of so many frames at once: the time a point must not grow.
const GROWTH: [&str; 4] = ["1 frame", "2 frames", "4 frames", "8 frames"];

struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl Gpu {
    /// Submits and waits until the device is done.
    fn finish(&self, commands: wgpu::CommandBuffer) -> Duration {
        let start = Instant::now();
        self.queue.submit([commands]);
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .expect("the device answers");
        start.elapsed()
    }
}

/// One thing that is measured: a name and a closure that draws once.
type Contender<'a> = (&'static str, Box<dyn FnMut() -> Duration + 'a>);

/// What is looked at: a room, near enough that no point is left out.
struct Subject {
    scene: Scene4d,
    eye: PictureEye,
    frames: Vec<FrameGpu>,
    ranges: SceneRanges,
    lines: Vec<Segment>,
}

impl Subject {
    fn new(gpu: &Gpu) -> Self {
        let scene = room(9, FRAME[0], FRAME[1]);
        let bounds = SceneBounds::of(&scene);
        let mut orbit = Orbit::fit(&bounds, DVec3::ZERO);
        // The opening view needs every second point only.
        orbit.distance *= 0.6;
        let eye = PictureEye {
            eye: orbit.eye(),
            near: bounds.near(),
            fade: Fade::under(orbit.target, orbit.distance, bounds.floor_y),
        };
        let lines = scene_lines::segments(&LineInput {
            scene: Some(&scene),
            bounds,
            frame_idx: SHOWN,
            current_frustum: true,
            options: &ViewOptions::default(),
            palette: &Palette::DARK,
            fade: eye.fade,
        });
        // The shown frame first.
        let frames = (0..8).map(|ahead| {
            let data = FrameData::encode(&scene, (SHOWN + ahead) % 9);
            FrameGpu::upload(&gpu.device, &gpu.queue, &data).expect("the frame fits")
        });
        Self {
            eye,
            frames: frames.collect(),
            ranges: SceneRanges::of(&scene),
            lines,
            scene,
        }
    }

    fn picture<'a>(
        &'a self,
        options: &'a ViewOptions,
        frames: &'a [DrawnFrame<'a>],
        segments: &'a [Segment],
    ) -> Picture<'a> {
        Picture {
            eye: self.eye,
            options,
            palette: &Palette::DARK,
            ranges: &self.ranges,
            frames,
            segments,
            image_plane: None,
        }
    }
}

fn main() {
    let Some((device, queue)) = headless_device().expect("the adapter gives a device") else {
        println!("skipped: no graphics adapter, not even a software one");
        return;
    };
    let gpu = Gpu { device, queue };
    let subject = Subject::new(&gpu);
    let bare = ViewOptions {
        overlays: Overlays::NONE,
        edge_threshold: None,
        eye_dome: None,
        ..ViewOptions::default()
    };
    let lit = ViewOptions {
        eye_dome: Some(EyeDome::default()),
        ..bare
    };
    let [surface, smooth] = [DrawMode::Surface, DrawMode::Smooth].map(|draw| ViewOptions {
        draw,
        edge_threshold: Some(0.1),
        ..bare
    });
    let drawn: Vec<DrawnFrame<'_>> = subject.frames.iter().map(DrawnFrame::whole).collect();
    let uniforms = point_uniforms(&drawn[0], 0, &subject.eye, &bare, SIZE);
    assert_eq!(uniforms.stride, 1, "every point is drawn");
    let points = subject.picture(&bare, &drawn[..1], &[]);
    let of_options =
        [&lit, &surface, &smooth].map(|options| subject.picture(options, &drawn[..1], &[]));
    let lined = subject.picture(&bare, &drawn[..1], &subject.lines);
    let accumulated = [1, 2, 4, 8].map(|count| subject.picture(&bare, &drawn[..count], &[]));

    let best = RasterPath::best(gpu.device.features());
    let data = FrameData::encode(&subject.scene, SHOWN);
    let quads = Quads::new(&gpu, &data, &uniforms);
    let mut contenders: Vec<Contender<'_>> =
        vec![("instanced quads", Box::new(|| quads.draw(&gpu)))];
    let fallback = RasterPath::TwoPass32;
    contenders.push(("points, 2 x 32 bit", passes(&gpu, fallback, &points)));
    if best == RasterPath::Atomic64 {
        contenders.push(("points, 64 bit", passes(&gpu, best, &points)));
    } else {
        println!("skipped: 64-bit atomics, which this device lacks");
    }
    let names = ["points + lighting", "surface", "smooth"];
    for (name, picture) in names.into_iter().zip(&of_options) {
        contenders.push((name, passes(&gpu, best, picture)));
    }
    contenders.push(("points + lines and grid", passes(&gpu, best, &lined)));
    contenders.push(("another colour mode", recolouring(&gpu, best, &points)));
    for (name, picture) in GROWTH.iter().zip(&accumulated) {
        contenders.push((name, passes(&gpu, best, picture)));
    }
    let info = gpu.device.adapter_info();
    println!(
        "{} points, {} x {} pixels, on {} ({})",
        FRAME[0] * FRAME[1],
        SIZE[0],
        SIZE[1],
        info.name,
        info.driver_info
    );
    report(&mut contenders);
}

fn passes<'a>(
    gpu: &'a Gpu,
    path: RasterPath,
    picture: &'a Picture<'a>,
) -> Box<dyn FnMut() -> Duration + 'a> {
    let renderer = Renderer::with_path(&gpu.device, &gpu.queue, path);
    let mut view = renderer.view(SIZE);
    Box::new(move || {
        view.forget();
        let start = Instant::now();
        let commands = renderer.record(&mut view, picture);
        start.elapsed() + gpu.finish(commands)
    })
}

/// The picture again in another colour mode, which needs no raster.
fn recolouring<'a>(
    gpu: &'a Gpu,
    path: RasterPath,
    picture: &'a Picture<'a>,
) -> Box<dyn FnMut() -> Duration + 'a> {
    let renderer = Renderer::with_path(&gpu.device, &gpu.queue, path);
    let mut view = renderer.view(SIZE);
    let modes = [ColourMode::Depth, ColourMode::Height].map(|colour| ViewOptions {
        colour,
        ..*picture.options
    });
    let mut turn = 0;
    Box::new(move || {
        turn += 1;
        let start = Instant::now();
        let picture = Picture {
            options: &modes[turn % 2],
            ..*picture
        };
        let commands = renderer.record(&mut view, &picture);
        start.elapsed() + gpu.finish(commands)
    })
}

/// Rounds go through all contenders, so that a busy moment hits each of them.
fn report(contenders: &mut [Contender<'_>]) {
    let mut times = vec![Vec::new(); contenders.len()];
    for round in 0..=ROUNDS {
        for ((_, draw), times) in contenders.iter_mut().zip(&mut times) {
            let elapsed = draw();
            // The first round compiles.
            if round > 0 {
                times.push(elapsed.as_secs_f64() * 1e3);
            }
        }
    }
    println!(
        "{:<24} {:>9} {:>9} {:>14} {:>12}",
        "", "best ms", "median ms", "x of quads", "ns a point"
    );
    let mut quads_ms = f64::NAN;
    for ((name, _), times) in contenders.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[times.len() / 2]);
        if quads_ms.is_nan() {
            quads_ms = best;
        }
        let frames = GROWTH.iter().position(|n| n == name);
        let points = (FRAME[0] * FRAME[1]) << frames.unwrap_or(0);
        println!(
            "{name:<24} {best:>9.1} {median:>9.1} {:>14.1} {:>12.1}",
            quads_ms / best,
            best * 1e6 / points as f64
        );
    }
}

/// The usual way: a quad an instance, six vertices, depth test, from the same buffers.
struct Quads {
    pipeline: wgpu::RenderPipeline,
    group: wgpu::BindGroup,
    colour: wgpu::TextureView,
    depth: wgpu::TextureView,
    count: u32,
}

impl Quads {
    fn new(gpu: &Gpu, data: &FrameData, uniforms: &PointUniforms) -> Self {
        let device = &gpu.device;
        let buffer = |contents: &[u8], usage| {
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: None,
                contents,
                usage,
            })
        };
        let buffers = [
            buffer(bytemuck::bytes_of(uniforms), wgpu::BufferUsages::UNIFORM),
            buffer(
                bytemuck::cast_slice(&data.positions),
                wgpu::BufferUsages::STORAGE,
            ),
            buffer(
                bytemuck::cast_slice(&data.colours),
                wgpu::BufferUsages::STORAGE,
            ),
            buffer(&[0; 16], wgpu::BufferUsages::STORAGE),
        ];
        let source = wgsl::with_imports(include_str!("quads.wgsl")).expect("the include exists");
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("quads"),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let target = |format| {
            device
                .create_texture(&wgpu::TextureDescriptor {
                    label: None,
                    size: wgpu::Extent3d {
                        width: SIZE[0],
                        height: SIZE[1],
                        depth_or_array_layers: 1,
                    },
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgpu::TextureDimension::D2,
                    format,
                    usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
                    view_formats: &[],
                })
                .create_view(&wgpu::TextureViewDescriptor::default())
        };
        let pipeline = quad_pipeline(device, &module);
        let entries: Vec<wgpu::BindGroupEntry<'_>> = buffers
            .iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        Self {
            group: device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            }),
            pipeline,
            colour: target(wgpu::TextureFormat::Rgba8Unorm),
            depth: target(wgpu::TextureFormat::Depth32Float),
            // The same points: thinned by the same stride.
            count: uniforms
                .grid
                .map(|n| n.div_ceil(uniforms.stride))
                .iter()
                .product(),
        }
    }

    fn draw(&self, gpu: &Gpu) -> Duration {
        let start = Instant::now();
        let mut encoder = gpu
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: &self.colour,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations {
                        load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                        store: wgpu::StoreOp::Store,
                    },
                })],
                depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                    view: &self.depth,
                    depth_ops: Some(wgpu::Operations {
                        load: wgpu::LoadOp::Clear(0.0),
                        store: wgpu::StoreOp::Store,
                    }),
                    stencil_ops: None,
                }),
                ..Default::default()
            });
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            pass.draw(0..6, 0..self.count);
        }
        let commands = encoder.finish();
        start.elapsed() + gpu.finish(commands)
    }
}

fn quad_pipeline(device: &wgpu::Device, module: &wgpu::ShaderModule) -> wgpu::RenderPipeline {
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("quads"),
        layout: None,
        vertex: wgpu::VertexState {
            module,
            entry_point: Some("expand"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: Some(wgpu::DepthStencilState {
            format: wgpu::TextureFormat::Depth32Float,
            depth_write_enabled: Some(true),
            depth_compare: Some(wgpu::CompareFunction::Greater),
            stencil: wgpu::StencilState::default(),
            bias: wgpu::DepthBiasState::default(),
        }),
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module,
            entry_point: Some("shade"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::TextureFormat::Rgba8Unorm.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}
