//! A scale of colours as a bar.

use egui::epaint::{Mesh, Vertex, WHITE_UV};
use egui::{Color32, Rect, Shape, Ui, pos2};

use crate::viewport::ColourMap;

/// Places at which the bar's colours are exact.
const STEPS: u32 = 32;

/// Paints a scale of colours from left to right.
pub fn colour_bar(ui: &Ui, rect: Rect, map: ColourMap) {
    gradient(ui, rect, |place| {
        let [r, g, b] = map.at(place);
        Color32::from_rgb(r, g, b)
    });
}

/// Paints the hues of directions from left to right.
pub fn hue_bar(ui: &Ui, rect: Rect) {
    gradient(ui, rect, |place| {
        egui::ecolor::Hsva::new(place as f32, 0.85, 0.95, 1.0).into()
    });
}

fn gradient(ui: &Ui, rect: Rect, colour: impl Fn(f64) -> Color32) {
    let mut mesh = Mesh::default();
    for i in 0..=STEPS {
        let place = i as f32 / STEPS as f32;
        let x = rect.left() + rect.width() * place;
        let color = colour(f64::from(place));
        for y in [rect.top(), rect.bottom()] {
            mesh.vertices.push(Vertex {
                pos: pos2(x, y),
                uv: WHITE_UV,
                color,
            });
        }
        if i > 0 {
            let last = 2 * i;
            mesh.add_triangle(last - 2, last - 1, last);
            mesh.add_triangle(last - 1, last, last + 1);
        }
    }
    ui.painter().add(Shape::mesh(mesh));
}
