//! The middle of the window: panes that can be resized and dragged to other places.
//!
//! The tiles are made anew from the state's arrangement in every frame and read back afterwards; ids
//! follow from the order of the parts, so they are the same as long as nothing is moved.

use egui::{Color32, Rect, Sense, Stroke, Style, Ui, Visuals, WidgetText};
use egui_tiles::{
    Behavior, Container, Linear, LinearDir, ResizeState, SimplificationOptions, Tabs, Tile, TileId,
    Tiles, Tree, UiResponse,
};

use super::{Panel, overlays, plot, stage, viewport};
use crate::state::AppCommand;
use crate::state::arrangement::{Arrangement, Pane};
use crate::theme;

/// Shows the middle.
pub fn centre_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    if panel.state.scene.is_none() {
        stage::stage_ui(ui, panel);
        return;
    }
    let before = &panel.state.arrangement;
    if *before == Arrangement::default() {
        pane_ui(ui, panel, Pane::View);
        return;
    }
    let mut tiles = Tiles::default();
    let root = insert(&mut tiles, before);
    let mut tree = Tree::new(egui::Id::unique("centre"), root, tiles);
    let before = before.clone();
    tree.ui(&mut Panes { panel }, ui);
    let after = tree.root().and_then(|root| read(&tree.tiles, root));
    if let Some(after) = after.and_then(Arrangement::sound)
        && after != before
    {
        panel.push(AppCommand::Arrange(after));
    }
}

/// Shows a pane; true if its handle was dragged.
fn pane_ui(ui: &mut Ui, panel: &mut Panel<'_>, pane: Pane) -> bool {
    let Some(open) = &panel.state.scene else {
        return false;
    };
    match pane {
        Pane::View => {
            viewport::scene_ui(ui, panel, open);
            false
        }
        Pane::Source => overlays::source::docked_ui(ui, panel, open),
        Pane::Plot => plot::plot_ui(ui, panel),
    }
}

fn insert(tiles: &mut Tiles<Pane>, part: &Arrangement) -> TileId {
    let linear = |tiles: &mut Tiles<Pane>, dir, parts: &[(f32, Arrangement)]| {
        let children: Vec<_> = parts.iter().map(|(_, part)| insert(tiles, part)).collect();
        let mut linear = Linear::new(dir, children.clone());
        for (child, (share, _)) in children.into_iter().zip(parts) {
            linear.shares.set_share(child, *share);
        }
        tiles.insert_container(linear)
    };
    match part {
        Arrangement::Pane(pane) => tiles.insert_pane(*pane),
        Arrangement::Row(parts) => linear(tiles, LinearDir::Horizontal, parts),
        Arrangement::Column(parts) => linear(tiles, LinearDir::Vertical, parts),
        Arrangement::Tabs(active, parts) => {
            let children: Vec<_> = parts.iter().map(|part| insert(tiles, part)).collect();
            let mut tabs = Tabs::new(children.clone());
            if let Some(child) = children.get(*active) {
                tabs.set_active(*child);
            }
            tiles.insert_container(tabs)
        }
    }
}

fn read(tiles: &Tiles<Pane>, id: TileId) -> Option<Arrangement> {
    Some(match tiles.get(id)? {
        Tile::Pane(pane) => Arrangement::Pane(*pane),
        Tile::Container(Container::Linear(linear)) => {
            let parts = linear.children.iter().filter_map(|child| {
                let share = linear.shares[*child];
                Some((share, read(tiles, *child)?))
            });
            match linear.dir {
                LinearDir::Horizontal => Arrangement::Row(parts.collect()),
                LinearDir::Vertical => Arrangement::Column(parts.collect()),
            }
        }
        Tile::Container(Container::Tabs(tabs)) => {
            let active = tabs
                .children
                .iter()
                .position(|child| tabs.is_active(*child));
            let parts = tabs.children.iter().filter_map(|child| read(tiles, *child));
            Arrangement::Tabs(active.unwrap_or(0), parts.collect())
        }
        Tile::Container(Container::Grid(grid)) => {
            let parts = grid.children().filter_map(|child| read(tiles, *child));
            Arrangement::Row(parts.map(|part| (1.0, part)).collect())
        }
    })
}

/// A strip by which a pane is dragged; true when a drag begins.
pub(super) fn handle_ui(ui: &Ui, strip: Rect, name: &str) -> bool {
    let id = ui.scope_id().with(("pane-handle", name));
    ui.interact(strip, id, Sense::drag())
        .on_hover_cursor(egui::CursorIcon::Grab)
        .drag_started()
}

struct Panes<'a, 'b> {
    panel: &'a mut Panel<'b>,
}

impl Behavior<Pane> for Panes<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile_id: TileId, pane: &mut Pane) -> UiResponse {
        if pane_ui(ui, self.panel, *pane) {
            UiResponse::DragStarted
        } else {
            UiResponse::None
        }
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> WidgetText {
        match pane {
            Pane::View => "View",
            Pane::Source => "Source frame",
            Pane::Plot => "Plot",
        }
        .into()
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions {
            all_panes_must_have_tabs: false,
            ..SimplificationOptions::default()
        }
    }

    fn gap_width(&self, _style: &Style) -> f32 {
        2.0
    }

    fn min_size(&self) -> f32 {
        96.0
    }

    fn tab_bar_color(&self, visuals: &Visuals) -> Color32 {
        visuals.panel_fill
    }

    fn resize_stroke(&self, style: &Style, resize_state: ResizeState) -> Stroke {
        let tokens = if style.visuals.dark_mode {
            &theme::DARK
        } else {
            &theme::LIGHT
        };
        match resize_state {
            ResizeState::Idle => Stroke::new(1.0, tokens.line),
            ResizeState::Hovering | ResizeState::Dragging => Stroke::new(2.0, tokens.accent),
        }
    }

    fn drag_preview_color(&self, visuals: &Visuals) -> Color32 {
        theme::fade(visuals.hyperlink_color, 0.2)
    }
}
