//! Every colour, spacing and font of the studio; no other file names one.

use std::sync::Arc;

use egui::epaint::text::{FontInsert, FontPriority, InsertFontFamily};
use egui::style::{HandleShape, ScrollStyle, Selection, WidgetVisuals, Widgets};
use egui::{
    Color32, CornerRadius, FontData, FontFamily, FontId, Margin, Shadow, Stroke, Style, TextStyle,
    Theme, Visuals, vec2,
};
use egui_material_icons::MaterialIcon;

/// Distances in points.
pub mod space {
    /// Between an icon and its word.
    pub const XS: f32 = 4.0;
    /// Between related controls.
    pub const S: f32 = 8.0;
    /// Inside cards.
    pub const M: f32 = 12.0;
    /// Inside panels and between groups.
    pub const L: f32 = 16.0;
    /// Around what stands alone.
    pub const XL: f32 = 24.0;
}

/// Height of a row of controls, points.
pub const ROW: f32 = 26.0;
/// Side of a transport button, points.
pub const TOUCH: f32 = 32.0;
/// Height of the bar at the top of the window, points.
pub const TOP_BAR: f32 = 40.0;
/// Height of the timeline, points.
pub const TIMELINE: f32 = 112.0;
/// Width of the Create panel, points.
pub const CREATE: f32 = 300.0;
/// Width of the Inspect panel, points.
pub const INSPECT: f32 = 280.0;
/// Corner radius of panels' contents, points.
pub const RADIUS: u8 = 6;
/// Corner radius of small controls, points.
pub const RADIUS_SMALL: u8 = 4;
/// Side of an icon, points.
pub const ICON: f32 = 16.0;
/// Length of a panel's motion, seconds.
pub const MOTION_SECS: f32 = 0.12;

/// The colours of one appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Behind the scene.
    pub canvas: Color32,
    /// Side panels and timeline.
    pub panel: Color32,
    /// Wells, cards, inputs.
    pub raised: Color32,
    /// `raised` under the pointer.
    pub hover: Color32,
    /// Hairlines.
    pub line: Color32,
    /// Body text.
    pub text: Color32,
    /// Labels, units, hints.
    pub muted: Color32,
    /// One primary action per panel, selection, playhead, current camera.
    pub accent: Color32,
    /// `accent` under the pointer.
    pub accent_hover: Color32,
    /// Ground of a selected row.
    pub accent_soft: Color32,
    /// Text on `accent`.
    pub on_accent: Color32,
    /// Success.
    pub good: Color32,
    /// Doubt.
    pub warn: Color32,
    /// Failure.
    pub bad: Color32,
    /// Ring around what has the keyboard.
    pub focus: Color32,
    /// Over what lies outside the in and out marks.
    pub dim: Color32,
    /// Behind a dialog.
    pub backdrop: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// Colours on dark ground.
pub const DARK: Tokens = Tokens {
    canvas: rgb(0x0E1013),
    panel: rgb(0x15181C),
    raised: rgb(0x1D2126),
    hover: rgb(0x262B32),
    line: rgb(0x2A2F36),
    text: rgb(0xE6E9ED),
    muted: rgb(0x98A1AC),
    accent: rgb(0x4DA3FF),
    accent_hover: rgb(0x6FB5FF),
    accent_soft: rgb(0x1B2A3B),
    on_accent: rgb(0x0B0E12),
    good: rgb(0x4CC38A),
    warn: rgb(0xF2B84B),
    bad: rgb(0xF2686B),
    focus: Color32::from_rgba_premultiplied(0x2E, 0x62, 0x99, 0x99),
    dim: Color32::from_rgba_premultiplied(0x0B, 0x0C, 0x0E, 0xB4),
    backdrop: Color32::from_rgba_premultiplied(0, 0, 0, 0x8C),
};

/// Colours on light ground.
pub const LIGHT: Tokens = Tokens {
    canvas: rgb(0xF4F5F7),
    panel: rgb(0xFFFFFF),
    raised: rgb(0xF0F2F5),
    hover: rgb(0xE6E9EE),
    line: rgb(0xDDE1E6),
    text: rgb(0x14171A),
    muted: rgb(0x5B6570),
    accent: rgb(0x0B6BDB),
    accent_hover: rgb(0x0A5FC4),
    accent_soft: rgb(0xE3EEFC),
    on_accent: rgb(0xFFFFFF),
    good: rgb(0x1A7A48),
    warn: rgb(0x8F6000),
    bad: rgb(0xC4323A),
    focus: Color32::from_rgba_premultiplied(0x07, 0x40, 0x83, 0x99),
    dim: Color32::from_rgba_premultiplied(0xAE, 0xAE, 0xAE, 0xB4),
    backdrop: Color32::from_rgba_premultiplied(0x08, 0x09, 0x0A, 0x66),
};

/// The colours in force.
pub fn tokens(ui: &egui::Ui) -> &'static Tokens {
    if ui.visuals().dark_mode {
        &DARK
    } else {
        &LIGHT
    }
}

/// The colours in force, where only the context is at hand.
pub fn tokens_of(ctx: &egui::Context) -> &'static Tokens {
    match ctx.theme() {
        Theme::Dark => &DARK,
        Theme::Light => &LIGHT,
    }
}

/// Contrast ratio of two opaque colours, 1 to 21 (WCAG 2.2).
pub fn contrast(a: Color32, b: Color32) -> f64 {
    let luminance = |c: Color32| {
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(c.r()) + 0.7152 * linear(c.g()) + 0.0722 * linear(c.b())
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

const SEMIBOLD: &str = "semibold";

/// 13 points: what people read.
pub fn body() -> FontId {
    FontId::new(13.0, FontFamily::Proportional)
}

/// 13 points, semibold: names of things.
pub fn strong() -> FontId {
    FontId::new(13.0, FontFamily::Name(SEMIBOLD.into()))
}

/// 11 points: labels, units, times.
pub fn caption() -> FontId {
    FontId::new(11.0, FontFamily::Proportional)
}

/// 15 points, semibold: heads of sections.
pub fn heading() -> FontId {
    FontId::new(15.0, FontFamily::Name(SEMIBOLD.into()))
}

/// 22 points, semibold: the title of an empty place.
pub fn title() -> FontId {
    FontId::new(22.0, FontFamily::Name(SEMIBOLD.into()))
}

/// An icon of `size` points.
pub fn icon_font(icon: MaterialIcon, size: f32) -> FontId {
    FontId::new(size, icon.font_family())
}

/// A hairline: one physical pixel.
pub fn hairline(ui: &egui::Ui) -> Stroke {
    Stroke::new(1.0 / ui.pixels_per_point(), tokens(ui).line)
}

/// The same colour, `alpha` of it.
pub fn fade(color: Color32, alpha: f32) -> Color32 {
    color.gamma_multiply(alpha)
}

/// Gives the context the studio's fonts and both appearances.
pub fn install(ctx: &egui::Context) {
    install_fonts(ctx);
    for (theme, tokens) in [(Theme::Dark, &DARK), (Theme::Light, &LIGHT)] {
        ctx.set_style_of(theme, Arc::new(style(theme, tokens)));
    }
}

fn install_fonts(ctx: &egui::Context) {
    let family = |family, priority| InsertFontFamily { family, priority };
    let semibold = FontFamily::Name(SEMIBOLD.into());
    let regular = FontData::from_static(include_bytes!("../../assets/fonts/Inter-Regular.otf"));
    let bold = FontData::from_static(include_bytes!("../../assets/fonts/Inter-SemiBold.otf"));
    ctx.add_font(FontInsert::new(
        "Inter",
        regular,
        vec![
            family(FontFamily::Proportional, FontPriority::Highest),
            family(semibold.clone(), FontPriority::Lowest),
        ],
    ));
    ctx.add_font(FontInsert::new(
        "Inter SemiBold",
        bold,
        vec![family(semibold, FontPriority::Highest)],
    ));
    egui_material_icons::initialize(ctx);
}

fn style(theme: Theme, tokens: &Tokens) -> Style {
    let mut style = Style {
        visuals: visuals(theme, tokens),
        animation_time: MOTION_SECS,
        ..Style::default()
    };
    style.text_styles = [
        (TextStyle::Body, body()),
        (TextStyle::Button, body()),
        (TextStyle::Small, caption()),
        (TextStyle::Heading, heading()),
        (TextStyle::Monospace, FontId::monospace(12.0)),
    ]
    .into();
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(space::S, space::S);
    spacing.button_padding = vec2(space::S, space::XS);
    spacing.interact_size = vec2(40.0, ROW);
    spacing.menu_margin = Margin::same(4);
    spacing.window_margin = Margin::same(16);
    spacing.combo_width = 60.0;
    spacing.icon_width = 16.0;
    spacing.icon_width_inner = 8.0;
    spacing.slider_rail_height = 4.0;
    spacing.tooltip_width = 280.0;
    spacing.menu_width = 240.0;
    spacing.scroll = ScrollStyle {
        bar_width: 6.0,
        ..ScrollStyle::floating()
    };
    style.interaction.tooltip_delay = 0.4;
    style.interaction.selectable_labels = false;
    style
}

fn visuals(theme: Theme, t: &Tokens) -> Visuals {
    let round = CornerRadius::same(RADIUS_SMALL);
    let state = |fill: Color32, edge: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(1.0, edge),
        corner_radius: round,
        fg_stroke: Stroke::new(1.0, text),
        expansion: 0.0,
    };
    let shadow = Shadow {
        offset: [0, 6],
        blur: 20,
        spread: 0,
        color: Color32::from_black_alpha(if theme == Theme::Dark { 110 } else { 36 }),
    };
    Visuals {
        widgets: Widgets {
            noninteractive: state(t.panel, t.line, t.text),
            inactive: state(t.raised, t.raised, t.text),
            hovered: state(t.hover, t.line, t.text),
            active: state(t.hover, t.accent, t.text),
            open: state(t.hover, t.line, t.text),
        },
        selection: Selection {
            bg_fill: fade(t.accent, 0.35),
            stroke: Stroke::new(2.0, t.focus),
        },
        weak_text_color: Some(t.muted),
        hyperlink_color: t.accent,
        faint_bg_color: t.raised,
        extreme_bg_color: t.raised,
        text_edit_bg_color: Some(t.raised),
        code_bg_color: t.raised,
        warn_fg_color: t.warn,
        error_fg_color: t.bad,
        window_corner_radius: CornerRadius::same(10),
        window_shadow: shadow,
        window_fill: t.panel,
        window_stroke: Stroke::new(1.0, t.line),
        menu_corner_radius: CornerRadius::same(RADIUS),
        panel_fill: t.panel,
        popup_shadow: shadow,
        slider_trailing_fill: true,
        handle_shape: HandleShape::Circle,
        disabled_alpha: 0.45,
        ..match theme {
            Theme::Dark => Visuals::dark(),
            Theme::Light => Visuals::light(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_out_from_its_ground_in_both_appearances() {
        for t in [DARK, LIGHT] {
            for ground in [t.canvas, t.panel, t.raised] {
                for text in [t.text, t.muted, t.good, t.warn, t.bad, t.accent] {
                    let ratio = contrast(text, ground);
                    assert!(ratio >= 4.5, "{text:?} on {ground:?}: {ratio:.2}");
                }
            }
            for (text, ground) in [
                (t.on_accent, t.accent),
                (t.on_accent, t.accent_hover),
                (t.text, t.hover),
                (t.muted, t.hover),
                (t.text, t.accent_soft),
                (t.muted, t.accent_soft),
            ] {
                let ratio = contrast(text, ground);
                assert!(ratio >= 4.5, "{text:?} on {ground:?}: {ratio:.2}");
            }
        }
    }

    #[test]
    fn contrast_of_black_and_white_is_twenty_one() {
        assert!((contrast(rgb(0), rgb(0xFF_FFFF)) - 21.0).abs() < 1e-9);
        assert!((contrast(rgb(0x123456), rgb(0x123456)) - 1.0).abs() < 1e-9);
    }
}
