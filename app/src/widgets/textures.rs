//! Pictures of the state on the graphics card, as long as they are looked at.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use egui::{ColorImage, Context, TextureHandle, TextureId, TextureOptions};
use one4d_engine::job::Preview;
use one4d_engine::scene::Scene4d;

/// Frames after which a picture that nobody looked at is let go.
const IDLE_FRAMES: u64 = 120;
/// The same for whole frames of a scene, of which playback makes many.
const IDLE_FRAMES_WHOLE: u64 = 3;

/// What a texture shows: pixels by their address, or a frame of the scene at an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Pixels(usize),
    Frame(usize, usize),
}

struct Entry {
    /// Keeps the pixels alive, so that their address stays theirs.
    _pixels: Arc<dyn Any + Send + Sync>,
    texture: TextureHandle,
    last_used: u64,
}

/// Textures by what they show.
#[derive(Default)]
pub struct Textures {
    entries: HashMap<Key, Entry>,
    frame: u64,
}

impl Textures {
    /// Starts a frame: lets go of what has not been looked at for a while.
    pub fn begin_frame(&mut self) {
        self.frame += 1;
        let frame = self.frame;
        self.entries.retain(|key, entry| {
            let idle = match key {
                Key::Pixels(_) => IDLE_FRAMES,
                Key::Frame(..) => IDLE_FRAMES_WHOLE,
            };
            frame - entry.last_used < idle
        });
    }

    /// The texture of a picture.
    pub fn picture(&mut self, ctx: &Context, picture: &Arc<ColorImage>) -> TextureId {
        let key = Key::Pixels(Arc::as_ptr(picture).addr());
        self.entry(key, || {
            let options = TextureOptions::LINEAR;
            let texture = ctx.load_texture("picture", ColorImage::clone(picture), options);
            (Arc::clone(picture) as _, texture)
        })
    }

    /// The texture of a preview; `None` if its pixels do not fit its size.
    pub fn preview(&mut self, ctx: &Context, preview: &Arc<Preview>) -> Option<TextureId> {
        let size = [preview.width, preview.height];
        if preview.rgb.len() != size[0] * size[1] * 3 || preview.rgb.is_empty() {
            return None;
        }
        let key = Key::Pixels(Arc::as_ptr(preview).addr());
        Some(self.entry(key, || {
            let image = ColorImage::from_rgb(size, &preview.rgb);
            let texture = ctx.load_texture("preview", image, TextureOptions::LINEAR);
            (Arc::clone(preview) as _, texture)
        }))
    }

    /// The texture of a frame of a scene, in full.
    pub fn frame(&mut self, ctx: &Context, scene: &Arc<Scene4d>, frame_idx: usize) -> TextureId {
        let frame_idx = frame_idx.min(scene.num_frames.saturating_sub(1));
        let key = Key::Frame(Arc::as_ptr(scene).addr(), frame_idx);
        self.entry(key, || {
            let size = [scene.width, scene.height];
            let image = ColorImage::from_rgb(size, scene.frame_rgb(frame_idx));
            let texture = ctx.load_texture("frame", image, TextureOptions::LINEAR);
            (Arc::clone(scene) as _, texture)
        })
    }

    fn entry(
        &mut self,
        key: Key,
        make: impl FnOnce() -> (Arc<dyn Any + Send + Sync>, TextureHandle),
    ) -> TextureId {
        let frame = self.frame;
        let entry = self.entries.entry(key).or_insert_with(|| {
            let (pixels, texture) = make();
            Entry {
                _pixels: pixels,
                texture,
                last_used: frame,
            }
        });
        entry.last_used = frame;
        entry.texture.id()
    }
}
