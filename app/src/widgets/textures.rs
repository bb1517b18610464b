//! Pictures of the state on the graphics card, as long as they are looked at.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use egui::{ColorImage, Context, TextureHandle, TextureId, TextureOptions};
use one4d_engine::job::Preview;

/// Frames after which a picture that nobody looked at is let go.
const IDLE_FRAMES: u64 = 120;

struct Entry {
    /// Keeps the pixels alive, so that their address stays theirs.
    _pixels: Arc<dyn Any + Send + Sync>,
    texture: TextureHandle,
    last_used: u64,
}

/// Textures by the address of their pixels.
#[derive(Default)]
pub struct Textures {
    entries: HashMap<usize, Entry>,
    frame: u64,
}

impl Textures {
    /// Starts a frame: lets go of what has not been looked at for a while.
    pub fn begin_frame(&mut self) {
        self.frame += 1;
        let frame = self.frame;
        self.entries
            .retain(|_, entry| frame - entry.last_used < IDLE_FRAMES);
    }

    /// The texture of a picture.
    pub fn picture(&mut self, ctx: &Context, picture: &Arc<ColorImage>) -> TextureId {
        let key = Arc::as_ptr(picture).addr();
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
        let key = Arc::as_ptr(preview).addr();
        Some(self.entry(key, || {
            let image = ColorImage::from_rgb(size, &preview.rgb);
            let texture = ctx.load_texture("preview", image, TextureOptions::LINEAR);
            (Arc::clone(preview) as _, texture)
        }))
    }

    fn entry(
        &mut self,
        key: usize,
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
