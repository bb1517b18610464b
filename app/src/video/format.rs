//! The videos as formats of an export.

use std::path::PathBuf;
use std::sync::Arc;

use one4d_engine::export::{BroughtFormat, DEFAULT_FPS};
use one4d_engine::job::{JobCtx, Stage};
use one4d_engine::scene::Scene4d;
use one4d_engine::worker::ExportRequest;
use one4d_engine::{Error, Result};

use super::encoder::H264Encoder;
use super::mp4::{self, Track};
use super::pictures::{self, Draughtsman, ORBIT_PX, Swing};
use crate::viewport::headless::Look;
use crate::viewport::orbit::Orbit;

/// Bits of a coded pixel, roughly; rendered points have more edges than photographs.
const BITS_A_PIXEL: [u64; 2] = [1, 2];

/// What a video shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoKind {
    /// The frames as the camera took them.
    Frames,
    /// Their depth, in colours.
    Depth,
    /// The points, while the eye swings around them.
    Orbit,
}

impl VideoKind {
    /// All kinds, in the order of a list.
    pub const ALL: [Self; 3] = [Self::Frames, Self::Depth, Self::Orbit];

    /// Name for people: "MP4 of the frames".
    pub fn label(self) -> &'static str {
        match self {
            Self::Frames => "MP4 of the frames",
            Self::Depth => "MP4 of the depth",
            Self::Orbit => "MP4 around the scene",
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Frames => "frames.mp4",
            Self::Depth => "depth.mp4",
            Self::Orbit => "orbit.mp4",
        }
    }
}

/// What draws a video around a scene, and how it looks.
#[derive(Clone, Debug)]
pub struct OrbitShot {
    /// The device.
    pub gpu: (wgpu::Device, wgpu::Queue),
    /// The scene as the view has it: an export may take it without some points, or in metres.
    pub scene: Arc<Scene4d>,
    /// The orbit in the middle of the swing; `None` is the one in which a scene opens.
    pub orbit: Option<Orbit>,
    /// Columns and rows, even.
    pub size_px: [u32; 2],
    /// What is drawn and how; its eye is the swing's.
    pub look: Look,
}

/// A video of a scene.
#[derive(Clone, Debug)]
pub enum VideoFormat {
    /// [`VideoKind::Frames`].
    Frames,
    /// [`VideoKind::Depth`].
    Depth,
    /// [`VideoKind::Orbit`].
    Orbit(Box<OrbitShot>),
}

/// One picture after the other, by its number.
type Pictures<'a> = Box<dyn Fn(usize) -> Result<Vec<u8>> + 'a>;

impl VideoFormat {
    /// A video of a kind, drawn by what there is to draw with.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a video around the scene where nothing can draw it.
    pub fn new(kind: VideoKind, shot: Option<OrbitShot>) -> Result<Self> {
        match (kind, shot) {
            (VideoKind::Frames, _) => Ok(Self::Frames),
            (VideoKind::Depth, _) => Ok(Self::Depth),
            (VideoKind::Orbit, Some(shot)) => Ok(Self::Orbit(Box::new(shot))),
            (VideoKind::Orbit, None) => Err(no_device()),
        }
    }

    fn kind(&self) -> VideoKind {
        match self {
            Self::Frames => VideoKind::Frames,
            Self::Depth => VideoKind::Depth,
            Self::Orbit(_) => VideoKind::Orbit,
        }
    }

    /// Columns and rows, pictures a second, and what draws them.
    fn pictures<'a>(&'a self, request: &'a ExportRequest) -> ([usize; 2], f64, Pictures<'a>) {
        let (scene, first) = (&*request.scene, request.first);
        let size = pictures::even_size(scene);
        match self {
            Self::Frames => {
                let draw = move |picture| Ok(pictures::colours(scene, first + picture));
                (size, fps(request), Box::new(draw))
            }
            Self::Depth => {
                let range = pictures::depth_range(scene);
                let draw = move |picture| Ok(pictures::depth(scene, first + picture, range));
                (size, fps(request), Box::new(draw))
            }
            Self::Orbit(shot) => {
                let (swing, draughtsman) = (swing(request), Draughtsman::new(shot));
                let draw = move |picture| draughtsman.draw(first, (swing, picture));
                let size = shot.size_px.map(|side| side as usize);
                (size, swing.fps(fps(request)), Box::new(draw))
            }
        }
    }
}

/// About how many bytes a video has, from its pixels.
pub fn estimate_bytes(kind: VideoKind, size_px: [u64; 2], frames: u64, fps: f64) -> u64 {
    let [width, height] = size_px;
    match kind {
        VideoKind::Frames | VideoKind::Depth => width * height * frames * BITS_A_PIXEL[0] / 8,
        VideoKind::Orbit => {
            let pictures = Swing::new(frames as usize, fps).num_pictures() as u64;
            u64::from(ORBIT_PX[0] * ORBIT_PX[1]) * pictures * BITS_A_PIXEL[1] / 8
        }
    }
}

/// The scene's frame rate, or the one that is assumed.
pub fn frame_rate(told_fps: f64) -> f64 {
    if told_fps.is_finite() && told_fps > 0.0 {
        told_fps.clamp(0.1, 1000.0)
    } else {
        DEFAULT_FPS
    }
}

fn fps(request: &ExportRequest) -> f64 {
    frame_rate(request.scene.meta.fps)
}

fn swing(request: &ExportRequest) -> Swing {
    Swing::new(request.end - request.first, fps(request))
}

impl BroughtFormat for VideoFormat {
    fn num_steps(&self, request: &ExportRequest) -> usize {
        match self {
            Self::Frames | Self::Depth => request.end - request.first,
            Self::Orbit(_) => swing(request).num_pictures(),
        }
    }

    fn estimate_bytes(&self, request: &ExportRequest) -> u64 {
        let size = [request.scene.width as u64, request.scene.height as u64];
        let frames = (request.end - request.first) as u64;
        estimate_bytes(self.kind(), size, frames, fps(request))
    }

    fn write(
        &self,
        request: &ExportRequest,
        ctx: &JobCtx,
        advance: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<PathBuf>> {
        let scene = &request.scene;
        let ([width, height], rate, draw) = self.pictures(request);
        let is_cut = [width, height] != [scene.width, scene.height];
        if is_cut && self.kind() != VideoKind::Orbit {
            let words = format!(
                "H.264 takes even sides only: {} has {width} x {height} of the scene's {} x {} pixels",
                self.kind().file_name(),
                scene.width,
                scene.height
            );
            ctx.warn(Stage::Export, words);
        }
        let mut encoder = H264Encoder::new(width, height, rate)?;
        let mut coded = Vec::with_capacity(self.num_steps(request));
        for picture in 0..self.num_steps(request) {
            coded.push(encoder.encode(&draw(picture)?)?);
            advance()?;
        }
        let path = request.out.join(self.kind().file_name());
        let track = Track {
            width,
            height,
            fps: rate,
            parameter_sets: &encoder.parameter_sets,
        };
        mp4::write(&path, &track, &coded)?;
        Ok(vec![path])
    }
}

fn no_device() -> Error {
    let reason = "needs a graphics adapter and there is none; on Debian mesa-vulkan-drivers brings one \
                  that computes on the processor. The other videos do without";
    Error::invalid("a video around the scene", reason)
}
