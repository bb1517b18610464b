//! What a video shows, picture by picture.

use std::f64::consts::TAU;

use glam::Vec3;
use one4d_engine::scene::Scene4d;
use one4d_engine::{Error, Result};

use super::format::OrbitShot;
use crate::viewport::bounds::{SceneBounds, first_camera};
use crate::viewport::frame_data::camera_of;
use crate::viewport::headless::{Look, render_with};
use crate::viewport::orbit::Orbit;
use crate::viewport::renderer::Renderer;
use crate::viewport::{ColourMap, SceneRanges};

/// Usual columns and rows of a rendered video.
pub const ORBIT_PX: [u32; 2] = [1280, 720];
/// Pictures a second, at least, while the eye moves.
const SMOOTH_FPS: f64 = 24.0;
/// How long the eye takes to swing to both sides and back, seconds, at least.
const SWING_SECS: f64 = 6.0;
/// How far the eye swings to either side, and up and down, radians.
const SWING_RAD: [f64; 2] = [0.4, 0.08];

/// A frame's colours, without the last row or column where they are odd: coded pictures are even.
pub(super) fn colours(scene: &Scene4d, frame_idx: usize) -> Vec<u8> {
    even(scene, scene.frame_rgb(frame_idx))
}

/// A frame's depth in the colours of the view, black where there is no point.
pub(super) fn depth(scene: &Scene4d, frame_idx: usize, [near, far]: [f32; 2]) -> Vec<u8> {
    let (camera_from_world, _) = camera_of(scene, frame_idx);
    let axis = camera_from_world.rotation.row(2).as_vec3();
    let offset = camera_from_world.translation.z as f32;
    let points = scene.frame_points(frame_idx);
    let reach = f64::from((far - near).max(f32::MIN_POSITIVE));
    let rgb: Vec<u8> = points
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|&[x, y, z]| {
            let depth = axis.dot(Vec3::new(x, y, z)) + offset;
            if depth.is_finite() {
                ColourMap::Turbo.at(f64::from(depth - near) / reach)
            } else {
                [0; 3]
            }
        })
        .collect();
    even(scene, &rgb)
}

/// The range of depth over the clip, so that a colour means the same in every frame.
pub(super) fn depth_range(scene: &Scene4d) -> [f32; 2] {
    SceneRanges::of(scene).depth
}

/// Columns and rows of a scene's own pictures.
pub(super) fn even_size(scene: &Scene4d) -> [usize; 2] {
    [scene.width & !1, scene.height & !1]
}

fn even(scene: &Scene4d, rgb: &[u8]) -> Vec<u8> {
    let [width, height] = even_size(scene);
    let rows = rgb.chunks_exact(3 * scene.width).take(height);
    rows.flat_map(|row| &row[..3 * width]).copied().collect()
}

/// When the eye stands where, and which frame is shown meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Swing {
    /// Pictures of a frame of the scene.
    beats: usize,
    /// Frames of the scene.
    frames: usize,
    /// Times that the clip is played.
    rounds: usize,
}

impl Swing {
    /// A swing over frames of a scene that are shown at a rate.
    pub(super) fn new(frames: usize, fps: f64) -> Self {
        let clip_secs = frames as f64 / fps;
        Self {
            beats: (SMOOTH_FPS / fps).ceil().max(1.0) as usize,
            frames,
            rounds: (SWING_SECS / clip_secs).ceil().clamp(1.0, 1000.0) as usize,
        }
    }

    /// Pictures in all.
    pub(super) fn num_pictures(self) -> usize {
        self.beats * self.frames * self.rounds
    }

    /// Pictures a second, where frames are shown at a rate.
    pub(super) fn fps(self, fps: f64) -> f64 {
        fps * self.beats as f64
    }

    /// The frame of a picture, counted from the first of the range: there and back, without a jump.
    pub(super) fn frame(self, picture: usize) -> usize {
        let shown = picture / self.beats;
        let (round, at) = (shown / self.frames, shown % self.frames);
        if round.is_multiple_of(2) {
            at
        } else {
            self.frames - 1 - at
        }
    }

    /// The orbit of a picture, about the one in the middle.
    pub(super) fn orbit(self, middle: &Orbit, picture: usize) -> Orbit {
        let turn = TAU * picture as f64 / self.num_pictures() as f64;
        let [sideways, upwards] = SWING_RAD;
        Orbit {
            yaw_rad: middle.yaw_rad + sideways * turn.sin(),
            // Never below the horizon that the view had, where floors hide what stands on them.
            pitch_rad: (middle.pitch_rad + upwards * (1.0 - turn.cos())).min(1.5),
            ..*middle
        }
    }
}

/// Draws what the eye of a swing sees.
pub(super) struct Draughtsman<'a> {
    shot: &'a OrbitShot,
    renderer: Renderer,
    middle: Orbit,
}

impl<'a> Draughtsman<'a> {
    /// Compiles the passes of the view.
    pub(super) fn new(shot: &'a OrbitShot) -> Self {
        let (device, queue) = &shot.gpu;
        let scene = &*shot.scene;
        let fit = || Orbit::fit(&SceneBounds::of(scene), first_camera(scene));
        Self {
            renderer: Renderer::new(device, queue),
            middle: shot.orbit.unwrap_or_else(fit),
            shot,
        }
    }

    /// A picture of a swing over the frames from the first on, `[H, W, 3]` sRGB.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what the graphics device said.
    pub(super) fn draw(&self, first: usize, (swing, picture): (Swing, usize)) -> Result<Vec<u8>> {
        let look = Look {
            eye: Some(swing.orbit(&self.middle, picture).eye()),
            ..self.shot.look
        };
        let (device, queue) = &self.shot.gpu;
        let (seen, frame_idx) = ((&look, self.shot.size_px), first + swing.frame(picture));
        let scene = &self.shot.scene;
        let image = render_with((device, queue), &self.renderer, scene, frame_idx, seen)
            .map_err(|error| Error::invalid("orbit video", error.to_string()))?;
        let pixels = image.as_raw().as_chunks::<4>().0;
        Ok(pixels
            .iter()
            .flat_map(|[r, g, b, _]| [*r, *g, *b])
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swing_returns_to_where_it_began_and_never_jumps() {
        let swing = Swing::new(17, 8.0);
        assert_eq!((swing.beats, swing.rounds), (3, 3));
        assert_eq!(swing.fps(8.0), 24.0);
        let last = swing.num_pictures() - 1;
        let frames: Vec<usize> = (0..=last).map(|picture| swing.frame(picture)).collect();
        assert!(frames.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1));
        assert_eq!(frames.iter().max(), Some(&16));
        let middle = Orbit::default();
        assert_eq!(swing.orbit(&middle, 0), middle);
        let step = |a: &Orbit, b: &Orbit| a.position().distance(b.position());
        let near = step(&swing.orbit(&middle, last), &middle);
        assert!(near < 0.1 * middle.distance, "{near}");
        let far = step(&swing.orbit(&middle, (last + 1) / 4), &middle);
        assert!(far > 0.3 * middle.distance, "{far}");
    }

    #[test]
    fn a_single_frame_is_swung_around_too() {
        let swing = Swing::new(1, 30.0);
        assert_eq!((swing.beats, swing.num_pictures()), (1, 180));
        assert!((0..180).all(|picture| swing.frame(picture) == 0));
    }
}
