//! The panels: each reads the state, shows itself and pushes commands.

pub mod create;
pub mod drop_hint;
pub mod empty;
pub mod export;
pub mod inputs;
pub mod inspect;
pub mod notices;
pub mod queue;
pub mod sheet;
pub mod stage;
pub mod top_bar;
pub mod view;
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
    /// Where to push commands.
    pub commands: &'a mut Vec<AppCommand>,
}

impl Panel<'_> {
    /// Pushes a command.
    pub fn push(&mut self, command: AppCommand) {
        self.commands.push(command);
    }
}
