//! How far work is.

use egui::{Align2, Color32, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use egui_material_icons::MaterialIcon;

use crate::theme::{self, space};

/// A thin bar over the whole width, `fraction` of it filled.
pub fn progress_bar(ui: &mut Ui, name: &str, fraction: f32, color: Color32) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 4.0), Sense::hover());
    let fraction = fraction.clamp(0.0, 1.0);
    ui.painter().rect_filled(rect, 2.0, theme::tokens(ui).line);
    let mut filled = rect;
    filled.set_width((rect.width() * fraction).max(if fraction > 0.0 { 4.0 } else { 0.0 }));
    ui.painter().rect_filled(filled, 2.0, color);
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ProgressIndicator, true, name);
        info.value = Some(f64::from(fraction) * 100.0);
        info
    });
    response
}

/// A turning arc of the given diameter; asks for the next picture itself.
pub fn spinner(ui: &Ui, rect: Rect, color: Color32) {
    let time = ui.input(|input| input.time);
    let radius = rect.width().min(rect.height()) / 2.0 - 1.0;
    let start = (time * 4.5) as f32 % std::f32::consts::TAU;
    let points = (0..=24)
        .map(|i| {
            let angle = start + i as f32 / 24.0 * 4.2;
            rect.center() + radius * vec2(angle.cos(), angle.sin())
        })
        .collect();
    ui.painter()
        .line(points, egui::epaint::PathStroke::new(1.5, color));
    ui.ctx()
        .request_repaint_after(std::time::Duration::from_millis(40));
}

/// An icon and a word in the same colour: states are never told by colour alone.
pub fn status_word(ui: &mut Ui, icon: MaterialIcon, word: &str, color: Color32) -> Response {
    let galley = ui
        .painter()
        .layout_no_wrap(word.to_owned(), theme::caption(), color);
    let size = vec2(14.0 + space::XS + galley.size().x, 16.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    ui.painter().text(
        pos2(rect.left() + 7.0, rect.center().y),
        Align2::CENTER_CENTER,
        icon.codepoint,
        theme::icon_font(icon, 14.0),
        color,
    );
    let at = pos2(
        rect.left() + 14.0 + space::XS,
        rect.center().y - galley.size().y / 2.0,
    );
    ui.painter().galley(at, galley, color);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, word));
    response
}
