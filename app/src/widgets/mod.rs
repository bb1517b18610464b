//! The studio's own controls, one kind a file; each has a name for screen readers.

mod button;
mod card;
mod colour_bar;
mod histogram;
mod number;
mod picture;
mod progress;
mod segmented;
mod slider;
mod switch;
mod text;
mod textures;

pub use button::{PushButton, action_button, action_icon, tooltip_with_keys};
pub use card::{card, hairline_below, section, well_frame};
pub use colour_bar::{colour_bar, hue_bar};
pub use histogram::{Histogram, histogram};
pub use number::{NumberField, number_field, number_or_off_field};
pub use picture::{crop_marks, hatch, picture_rect, thumbnail};
pub use progress::{progress_bar, spinner, status_word};
pub use segmented::segmented;
pub use slider::{SliderSpec, log_slider, slider};
pub use switch::switch;
pub use text::{
    bytes, caption, duration, elided, fact_row, heading, label, muted, strong, wrapped,
    wrapped_caption,
};
pub use textures::Textures;

use egui::{Rect, Response, Stroke, StrokeKind, Ui};

use crate::theme;

/// Paints the ring around a control that has the keyboard.
pub fn focus_ring(ui: &Ui, response: &Response, rect: Rect) {
    if response.has_focus() {
        let stroke = Stroke::new(2.0, theme::tokens(ui).focus);
        let radius = f32::from(theme::RADIUS_SMALL) + 1.0;
        ui.painter()
            .rect_stroke(rect.expand(1.0), radius, stroke, StrokeKind::Outside);
    }
}
