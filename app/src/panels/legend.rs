//! What colours mean: a bar with its range over the view.

use egui::{Align2, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::{Panel, look};
use crate::state::measures::figures;
use crate::state::scene::OpenScene;
use crate::theme::{self, space};
use crate::viewport::uniforms::scale_of_colours;
use crate::viewport::{ColourMode, FrameStats, SceneRanges, ViewOptions};
use crate::widgets::{colour_bar, hue_bar};

/// Size of the legend, points.
const SIZE: egui::Vec2 = vec2(200.0, 52.0);

/// The range of the colours for depth, height and flow, in scene units; `None` until it is known.
pub fn range_of(options: &ViewOptions, stats: Option<&FrameStats>) -> Option<[f32; 2]> {
    let measured = matches!(
        options.colour,
        ColourMode::Depth | ColourMode::Height | ColourMode::Flow
    );
    let known = measured && (options.colour_range.is_some() || stats.is_some());
    let ranges = stats.map_or(SceneRanges::default(), |stats| stats.ranges);
    known.then(|| scale_of_colours(options, &ranges).1)
}

/// Name and ends of the scale; `None` where colours mean nothing but themselves.
fn words(panel: &Panel<'_>, open: &OpenScene) -> Option<(String, Option<[String; 2]>)> {
    let options = &panel.state.view.options;
    let lengths = &panel.state.lengths;
    let measured = || {
        let range = range_of(options, panel.state.shown.stats.as_deref())?;
        Some(range.map(|v| figures(f64::from(v) * lengths.factor())))
    };
    let whole = |low: &str, high: &str| Some([low.to_owned(), high.to_owned()]);
    let unit = lengths.unit();
    Some(match options.colour {
        ColourMode::Rgb => return None,
        ColourMode::Depth => (format!("Depth, {unit}"), measured()),
        ColourMode::Height => (format!("Height, {unit}"), measured()),
        ColourMode::Confidence => ("Confidence".to_owned(), whole("0", "1")),
        ColourMode::Normal => ("Direction of the surface".to_owned(), None),
        ColourMode::Frame => (
            "Frame".to_owned(),
            whole("1", &open.scene.num_frames.to_string()),
        ),
        ColourMode::Flow => (format!("Scene flow, {unit} a frame"), measured()),
        ColourMode::Mask => ("How likely it moves".to_owned(), whole("still", "moves")),
    })
}

/// Shows the legend in the lower left corner of a view, above the line of figures.
pub fn legend_ui(ui: &Ui, panel: &Panel<'_>, view: Rect, open: &OpenScene) {
    let Some((name, ends)) = words(panel, open) else {
        return;
    };
    let tokens = theme::tokens(ui);
    let missing = look::missing(panel.state.view.options.colour, &open.scene);
    let lift = if panel.state.comparing.both().is_some() {
        104.0
    } else {
        44.0
    };
    let corner = pos2(view.left() + space::M, view.bottom() - lift);
    let ground = Rect::from_min_max(corner - vec2(0.0, SIZE.y), corner + vec2(SIZE.x, 0.0));
    ui.painter()
        .rect_filled(ground, theme::RADIUS, theme::fade(tokens.panel, 0.88));
    let inner = ground.shrink2(vec2(10.0, 7.0));
    if let Some(missing) = missing {
        ui.painter().text(
            inner.left_center(),
            Align2::LEFT_CENTER,
            missing,
            theme::caption(),
            tokens.warn,
        );
        return;
    }
    ui.painter().text(
        inner.left_top(),
        Align2::LEFT_TOP,
        &name,
        theme::caption(),
        tokens.text,
    );
    let bar = Rect::from_min_max(
        pos2(inner.left(), inner.top() + 16.0),
        pos2(inner.right(), inner.top() + 24.0),
    );
    let options = &panel.state.view.options;
    match options.colour {
        ColourMode::Normal | ColourMode::Flow => hue_bar(ui, bar),
        _ => colour_bar(
            ui,
            bar,
            scale_of_colours(options, &SceneRanges::default()).0,
        ),
    }
    let mut spoken = name;
    if let Some([low, high]) = ends {
        for (at, align, text) in [
            (inner.left_bottom(), Align2::LEFT_BOTTOM, &low),
            (inner.right_bottom(), Align2::RIGHT_BOTTOM, &high),
        ] {
            ui.painter()
                .text(at, align, text, theme::caption(), tokens.muted);
        }
        spoken += &format!(" from {low} to {high}");
    }
    let id = ui.scope_id().with("legend");
    ui.interact(ground, id, Sense::hover())
        .widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Legend: {spoken}")));
}
