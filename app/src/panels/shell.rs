//! Where the panels lie in the window.

use egui::{CentralPanel, Context, Frame, Panel as EguiPanel, Rect, Ui, vec2};

use super::Panel;
use crate::state::{Action, AppCommand};
use crate::theme;
use crate::timeline::timeline_ui;

/// Lays out the panels; returns where the scene is.
pub fn layout_ui(ui: &mut Ui, panel: &mut Panel<'_>) -> Rect {
    let tokens = theme::tokens(ui);
    let ground = Frame::new().fill(tokens.panel);
    EguiPanel::top("top-bar")
        .resizable(false)
        .exact_size(theme::TOP_BAR)
        .show_separator_line(false)
        .frame(ground)
        .show(ui, |ui| super::top_bar::top_bar_ui(ui, panel));
    if panel.state.models.open {
        return CentralPanel::default()
            .frame(Frame::new().fill(tokens.panel))
            .show(ui, |ui| super::models::models_ui(ui, panel))
            .response
            .rect;
    }
    if panel.state.is_empty() {
        return CentralPanel::default()
            .frame(Frame::new().fill(tokens.canvas))
            .show(ui, |ui| super::empty::empty_ui(ui, panel))
            .response
            .rect;
    }
    let layout = panel.state.layout;
    let mut open = layout.timeline;
    EguiPanel::bottom("timeline")
        .resizable(false)
        .exact_size(theme::TIMELINE)
        .frame(ground)
        .show_collapsible(ui, &mut open, |ui| timeline_ui(ui, panel));
    let mut open = layout.create;
    EguiPanel::left("create")
        .resizable(false)
        .exact_size(theme::CREATE)
        .frame(ground)
        .show_collapsible(ui, &mut open, |ui| left_ui(ui, panel));
    let mut open = layout.inspect;
    EguiPanel::right("inspect")
        .resizable(false)
        .exact_size(theme::INSPECT)
        .frame(ground)
        .show_collapsible(ui, &mut open, |ui| super::inspect::inspect_ui(ui, panel));
    let centre = CentralPanel::default()
        .frame(Frame::new().fill(tokens.canvas))
        .show(ui, |ui| super::centre::centre_ui(ui, panel));
    let stage = centre.response.rect;
    hide_on_tab(ui.ctx(), panel, stage);
    stage
}

/// Create above, the queue below as soon as there is one.
fn left_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    if !panel.state.jobs.cards().is_empty() {
        // The form above keeps the larger part, in low windows too.
        let most = ui.available_height() * 0.4;
        let wanted = super::queue::wanted_height(ui.ctx());
        EguiPanel::bottom("queue")
            .resizable(false)
            .exact_size(wanted.min(most))
            .frame(Frame::new().inner_margin(vec2(16.0, 10.0)))
            .show(ui, |ui| super::queue::queue_ui(ui, panel));
    }
    super::create::create_ui(ui, panel);
}

/// Tab hides the panels while the pointer is over the scene; elsewhere it moves the keyboard on.
fn hide_on_tab(ctx: &Context, panel: &mut Panel<'_>, stage: Rect) {
    let over = ctx
        .pointer_hover_pos()
        .is_some_and(|pointer| stage.contains(pointer));
    let free = ctx.memory(|memory| memory.focused().is_none()) && !panel.state.is_modal();
    if over
        && free
        && ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Tab))
    {
        panel.push(AppCommand::Act(Action::TogglePanels));
    }
}
