//! Pictures in frames: thumbnails, the crop that the model sees, the hatching of what is missing.

use egui::{Color32, Rect, Stroke, TextureId, Ui, pos2, vec2};

use crate::theme;

/// The largest rectangle of the picture's aspect that fits into `within`, in its middle.
pub fn picture_rect(within: Rect, size: [usize; 2]) -> Rect {
    let (w, h) = (size[0].max(1) as f32, size[1].max(1) as f32);
    let scale = (within.width() / w).min(within.height() / h);
    Rect::from_center_size(within.center(), vec2(w * scale, h * scale))
}

/// A picture that fills `rect`, cut at its sides where the aspect differs.
pub fn thumbnail(ui: &Ui, rect: Rect, texture: TextureId, size: [usize; 2], radius: f32) {
    let aspect = |w: f32, h: f32| w / h.max(1e-6);
    let ratio =
        aspect(rect.width(), rect.height()) / aspect(size[0].max(1) as f32, size[1].max(1) as f32);
    let (w, h) = if ratio < 1.0 {
        (ratio, 1.0)
    } else {
        (1.0, 1.0 / ratio)
    };
    let uv = Rect::from_center_size(pos2(0.5, 0.5), vec2(w, h));
    let shape =
        egui::epaint::RectShape::filled(rect, radius, Color32::WHITE).with_texture(texture, uv);
    ui.painter().add(shape);
}

/// Dims what the model will not see and puts brackets around what it will; `crop` is `(x, y, w, h)`, 0..1.
pub fn crop_marks(ui: &Ui, picture: Rect, crop: [f32; 4]) {
    let tokens = theme::tokens(ui);
    let [x, y, w, h] = crop;
    let seen = Rect::from_min_size(
        picture.min + picture.size() * vec2(x, y),
        picture.size() * vec2(w, h),
    );
    let dim = theme::fade(tokens.canvas, 0.72);
    for side in [
        Rect::from_min_max(picture.min, pos2(seen.left(), picture.bottom())),
        Rect::from_min_max(pos2(seen.right(), picture.top()), picture.max),
        Rect::from_min_max(
            pos2(seen.left(), picture.top()),
            pos2(seen.right(), seen.top()),
        ),
        Rect::from_min_max(
            pos2(seen.left(), seen.bottom()),
            pos2(seen.right(), picture.bottom()),
        ),
    ] {
        if side.is_positive() {
            ui.painter().rect_filled(side, 0.0, dim);
        }
    }
    let stroke = Stroke::new(1.5, tokens.accent);
    let arm = 10.0_f32.min(seen.width() / 4.0).min(seen.height() / 4.0);
    let inner = seen.shrink(0.75);
    for (corner, dx, dy) in [
        (inner.left_top(), 1.0, 1.0),
        (inner.right_top(), -1.0, 1.0),
        (inner.left_bottom(), 1.0, -1.0),
        (inner.right_bottom(), -1.0, -1.0),
    ] {
        let across = [corner, corner + vec2(dx * arm, 0.0)];
        let down = [corner, corner + vec2(0.0, dy * arm)];
        ui.painter().line_segment(across, stroke);
        ui.painter().line_segment(down, stroke);
    }
}

/// Slanted lines over what is missing.
pub fn hatch(ui: &Ui, rect: Rect, color: Color32) {
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    let stroke = Stroke::new(1.0, color);
    let height = rect.height();
    // Lines are laid on a grid of the window, so that neighbouring cells join.
    let mut x = ((rect.left() - height) / 7.0).floor() * 7.0;
    while x < rect.right() {
        painter.line_segment(
            [pos2(x, rect.bottom()), pos2(x + height, rect.top())],
            stroke,
        );
        x += 7.0;
    }
}
