//! Procedural clips on disk: scene, caption and first frame of each, or one picture of all.

use image::RgbImage;
use serde_json::json;

use super::save;
use crate::datasets::synthetic::{self, ClipSpec};
use crate::job::{JobCtx, Stage};
use crate::worker::{Output, RenderRequest};
use crate::{Error, Result, atomic_file};

/// Columns of a contact sheet.
const SHEET_COLUMNS: usize = 4;

/// Renders the clips `seed..seed + clips`.
///
/// # Errors
/// [`Error::Invalid`] for no clips or no folder to write to; [`Error::Io`]; [`Error::Cancelled`].
pub fn render_clips(request: &RenderRequest, ctx: &JobCtx) -> Result<Output> {
    if request.clips == 0 {
        return Err(Error::invalid("0 clips", "at least one can be rendered"));
    }
    save::check_writable(&request.out)?;
    let specs: Vec<ClipSpec> = (0..request.clips as u64)
        .map(|i| ClipSpec {
            seed: request.seed.wrapping_add(i),
            frames: request.frames,
            height: request.height,
            width: request.width,
            world: request.world,
        })
        .collect();
    let mut files = Vec::new();
    if request.contact_sheet {
        ctx.step(Stage::Render, 0, 1)?;
        let path = request.out.join("contact-sheet.png");
        save::write_png(&synthetic::contact_sheet(&specs, SHEET_COLUMNS)?, &path)?;
        ctx.step(Stage::Render, 1, 1)?;
        files.push(path);
    } else {
        for (done, spec) in specs.iter().enumerate() {
            ctx.step(Stage::Render, done, specs.len())?;
            let clip = synthetic::render(spec)?;
            let stem = format!("clip-{:06}", spec.seed);
            let scene = request.out.join(format!("{stem}.one4d"));
            clip.to_scene().save(&scene)?;
            let caption = request.out.join(format!("{stem}.txt"));
            atomic_file::write(&caption, format!("{}\n", clip.caption).as_bytes())?;
            let first = request.out.join(format!("{stem}.png"));
            let pixels = clip.rgb[..spec.height * spec.width * 3].to_vec();
            let picture = RgbImage::from_raw(spec.width as u32, spec.height as u32, pixels)
                .ok_or_else(|| Error::shape("first frame", "H * W * 3 bytes", clip.rgb.len()))?;
            save::write_png(&picture, &first)?;
            files.extend([scene, caption, first]);
        }
        ctx.step(Stage::Render, specs.len(), specs.len())?;
    }
    let report = json!({ "files": files });
    Ok(Output { files, report })
}
