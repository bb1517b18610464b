//! The panels: each reads the state, shows itself and pushes commands.

pub mod camera;
pub mod centre;
pub mod compare;
pub mod create;
mod dialog;
pub mod drop_hint;
pub mod empty;
pub mod export;
pub mod fetch;
pub mod filter;
pub mod finder;
pub mod inputs;
pub mod inspect;
pub mod legend;
pub mod look;
pub mod loras;
pub mod measure;
mod model_card;
pub mod models;
pub mod notices;
pub mod overlays;
pub mod plot;
pub mod queue;
pub mod quit;
pub mod sheet;
pub mod shell;
pub mod shot;
pub mod stage;
pub mod toolbar;
pub mod top_bar;
pub mod viewport;

use egui_wgpu::RenderState;

use crate::state::{AppCommand, AppState};
use crate::widgets::Textures;

/// What a panel is given.
pub struct Panel<'a> {
    /// The state, to read.
    pub state: &'a AppState,
    /// Pictures on the graphics card.
    pub textures: &'a mut Textures,
    /// The window's renderer; `None` where there is no graphics adapter.
    pub render_state: Option<&'a RenderState>,
    /// Seconds that the last picture of the window took on the processor.
    pub cpu_secs: Option<f32>,
    /// Where to push commands.
    pub commands: &'a mut Vec<AppCommand>,
}

impl Panel<'_> {
    /// Pushes a command.
    pub fn push(&mut self, command: AppCommand) {
        self.commands.push(command);
    }
}
