//! The timeline: transport, and the scene's frames as a strip of pictures that is scrubbed.

mod clock;
mod loop_mode;
mod markers;
mod ruler;
mod speed;
mod strip;
mod transport;

use egui::{Margin, Ui};

pub use clock::Clock;
pub use loop_mode::LoopMode;
pub use ruler::Scale;
pub use speed::SPEEDS;

use crate::panels::Panel;
use crate::theme::space;

/// Shows the timeline.
pub fn timeline_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    egui::Frame::new()
        .inner_margin(Margin {
            left: 12,
            right: 12,
            top: 5,
            bottom: 8,
        })
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            transport::transport_ui(ui, panel);
            strip::strip_ui(ui, panel);
        });
}
