//! The point pass at the size of a real clip, beside an instanced-quad draw of the same points in
//! the same run: `cargo bench --bench viewport`.

#![expect(
    clippy::print_stdout,
    reason = "the table is what the benchmark is for"
)]

use std::time::{Duration, Instant};

use glam::DVec3;
use one4d_studio::viewport::bounds::SceneBounds;
use one4d_studio::viewport::frame_data::FrameData;
use one4d_studio::viewport::gpu_data::PointUniforms;
use one4d_studio::viewport::orbit::Orbit;
use one4d_studio::viewport::passes::points::RasterPath;
use one4d_studio::viewport::renderer::{self, FrameGpu, Picture, PictureEye, Renderer};
use one4d_studio::viewport::scene_lines::{self, Fade, LineInput};
use one4d_studio::viewport::wgsl;
use one4d_studio::viewport::{Overlays, Palette, ViewOptions, headless_device};
use one4d_tests::scenes::room;
use wgpu::util::DeviceExt as _;

const FRAME: [usize; 2] = [480, 832];
const SIZE: [u32; 2] = [1280, 720];
const ROUNDS: usize = 12;

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

fn main() {
    let Some((device, queue)) = headless_device().expect("the adapter gives a device") else {
        println!("skipped: no graphics adapter, not even a software one");
        return;
    };
    let gpu = Gpu { device, queue };
    let scene = room(9, FRAME[0], FRAME[1]);
    let data = FrameData::encode(&scene, 4);
    let bounds = SceneBounds::of(&scene);
    let mut orbit = Orbit::fit(&bounds, DVec3::ZERO);
    // Near enough that no point is left out: the opening view needs every second only.
    orbit.distance *= 0.6;
    let eye = PictureEye {
        eye: orbit.eye(),
        near: bounds.near(),
        fade: Fade::under(orbit.target, orbit.distance, bounds.floor_y),
    };
    let bare = ViewOptions {
        overlays: Overlays::NONE,
        edge_threshold: None,
        ..ViewOptions::default()
    };
    let full = ViewOptions {
        overlays: Overlays::ALL,
        ..bare
    };
    let frame = FrameGpu::upload(&gpu.device, &gpu.queue, &data).expect("the frame fits");
    let uniforms = renderer::point_uniforms(&frame, &eye, &bare, SIZE);
    assert_eq!(uniforms.stride, 1, "every point is drawn");
    let lines = scene_lines::segments(&LineInput {
        scene: Some(&scene),
        bounds,
        frame_idx: 4,
        current_frustum: true,
        options: &full,
        palette: &Palette::DARK,
        fade: eye.fade,
    });
    let picture = |options, segments| Picture {
        eye,
        options,
        palette: &Palette::DARK,
        frame: Some(&frame),
        segments,
        image_plane: None,
    };
    let (points, everything) = (picture(&bare, &[]), picture(&full, &lines));
    let quads = Quads::new(&gpu, &data, &uniforms);
    let mut contenders: Vec<Contender<'_>> =
        vec![("instanced quads", Box::new(|| quads.draw(&gpu)))];
    let paths = [
        ("compute, 2 x 32 bit", RasterPath::TwoPass32),
        ("compute, 64 bit", RasterPath::Atomic64),
    ];
    for (name, path) in paths {
        if path == RasterPath::Atomic64 && RasterPath::best(gpu.device.features()) != path {
            println!("skipped: 64-bit atomics, which this device lacks");
            continue;
        }
        contenders.push((name, passes(&gpu, path, &points)));
    }
    let best = RasterPath::best(gpu.device.features());
    contenders.push(("best + lines and grid", passes(&gpu, best, &everything)));

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
        let start = Instant::now();
        let commands = renderer.record(&mut view, picture);
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
        "{:<24} {:>9} {:>9} {:>14}",
        "", "best ms", "median ms", "x of quads"
    );
    let mut quads_ms = f64::NAN;
    for ((name, _), times) in contenders.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[times.len() / 2]);
        if quads_ms.is_nan() {
            quads_ms = best;
        }
        println!(
            "{name:<24} {best:>9.1} {median:>9.1} {:>14.1}",
            quads_ms / best
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
