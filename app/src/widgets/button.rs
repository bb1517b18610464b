//! Buttons: one primary a panel, quiet ones beside it, icons with a name.

use egui::{Align2, Color32, Response, Role, Sense, Ui, Vec2, Widget, WidgetInfo, pos2, vec2};
use egui_material_icons::MaterialIcon;

use super::{elided, focus_ring};
use crate::shortcuts;
use crate::state::{Action, AppCommand};
use crate::theme::{self, Tokens, space};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Primary,
    Secondary,
    Quiet,
}

/// A button with an icon, words, or both.
#[must_use = "a button does nothing until it is added"]
pub struct PushButton<'a> {
    kind: Kind,
    icon: Option<MaterialIcon>,
    label: &'a str,
    name: &'a str,
    tooltip: Option<String>,
    height: f32,
    width: Option<f32>,
    selected: bool,
    color: Option<Color32>,
}

impl<'a> PushButton<'a> {
    /// The one primary action of a panel.
    pub fn primary(label: &'a str) -> Self {
        Self::new(Kind::Primary, label)
    }

    /// An action on raised ground.
    pub fn secondary(label: &'a str) -> Self {
        Self::new(Kind::Secondary, label)
    }

    /// An action without ground until the pointer is on it.
    pub fn quiet(label: &'a str) -> Self {
        Self::new(Kind::Quiet, label)
    }

    /// An icon alone; `name` is what screen readers say.
    pub fn icon(icon: MaterialIcon, name: &'a str) -> Self {
        Self {
            icon: Some(icon),
            name,
            ..Self::new(Kind::Quiet, "")
        }
    }

    fn new(kind: Kind, label: &'a str) -> Self {
        Self {
            kind,
            icon: None,
            label,
            name: label,
            tooltip: None,
            height: theme::ROW,
            width: None,
            selected: false,
            color: None,
        }
    }

    /// With an icon before the words.
    pub fn with_icon(mut self, icon: MaterialIcon) -> Self {
        self.icon = Some(icon);
        self
    }

    /// With a tooltip.
    pub fn tooltip(mut self, tooltip: impl Into<String>) -> Self {
        self.tooltip = Some(tooltip.into());
        self
    }

    /// With another height, points; icons stay square.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// With a fixed width, points.
    pub fn width(mut self, width: f32) -> Self {
        self.width = Some(width);
        self
    }

    /// Shown as switched on.
    pub fn selected(mut self, selected: bool) -> Self {
        self.selected = selected;
        self
    }

    /// With another colour of words and icon.
    pub fn color(mut self, color: Color32) -> Self {
        self.color = Some(color);
        self
    }

    fn colors(&self, tokens: &Tokens, response: &Response) -> (Color32, Color32) {
        let lit = response.hovered() || response.has_focus();
        let pressed = response.is_pointer_button_down_on();
        let fill = match self.kind {
            Kind::Primary if lit => tokens.accent_hover,
            Kind::Primary => tokens.accent,
            _ if self.selected => tokens.accent_soft,
            Kind::Secondary if lit => tokens.hover,
            Kind::Secondary => tokens.raised,
            Kind::Quiet if lit => tokens.raised,
            Kind::Quiet => Color32::TRANSPARENT,
        };
        let text = match self.kind {
            Kind::Primary => tokens.on_accent,
            _ if self.selected => tokens.accent,
            Kind::Quiet if !lit && self.label.is_empty() => tokens.muted,
            _ => tokens.text,
        };
        let fill = if pressed {
            theme::fade(fill, 0.85)
        } else {
            fill
        };
        (fill, self.color.unwrap_or(text))
    }
}

impl Widget for PushButton<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let font = if self.kind == Kind::Primary {
            theme::strong()
        } else {
            theme::body()
        };
        let icon_width = if self.icon.is_some() {
            theme::ICON
        } else {
            0.0
        };
        let both = self.icon.is_some() && !self.label.is_empty();
        let gap = if both { space::XS + 2.0 } else { 0.0 };
        let padding = if self.label.is_empty() { 0.0 } else { 10.0 };
        let room = self
            .width
            .unwrap_or(f32::INFINITY)
            .min(ui.available_width().max(24.0))
            - icon_width
            - gap
            - 2.0 * padding;
        let galley = elided(ui, self.label, font, Color32::PLACEHOLDER, room);
        let content = icon_width + gap + galley.size().x;
        let width = self
            .width
            .unwrap_or((content + 2.0 * padding).max(self.height));
        let (rect, response) =
            ui.allocate_exact_size(Vec2::new(width, self.height), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), self.name));
        if ui.is_rect_visible(rect) {
            let (fill, text) = self.colors(theme::tokens(ui), &response);
            ui.painter().rect_filled(rect, theme::RADIUS_SMALL, fill);
            let mut x = rect.center().x - content / 2.0;
            if let Some(icon) = self.icon {
                ui.painter().text(
                    pos2(x + icon_width / 2.0, rect.center().y),
                    Align2::CENTER_CENTER,
                    icon.codepoint,
                    theme::icon_font(
                        icon,
                        if self.height > 28.0 {
                            20.0
                        } else {
                            theme::ICON
                        },
                    ),
                    text,
                );
                x += icon_width + gap;
            }
            let y = rect.center().y - galley.size().y / 2.0;
            ui.painter().galley(pos2(x, y), galley, text);
            focus_ring(ui, &response, rect);
        }
        match self.tooltip {
            Some(tooltip) => response
                .on_hover_text(&tooltip)
                .on_disabled_hover_text(tooltip),
            None => response,
        }
    }
}

/// A tooltip's sentence with the action's keys.
pub fn tooltip_with_keys(action: Action) -> String {
    let spec = action.spec();
    match spec.keys.first() {
        Some(key) => format!("{} ({})", spec.tooltip, shortcuts::text(*key)),
        None => spec.tooltip.to_owned(),
    }
}

/// A quiet button with icon and name of an action.
pub fn action_button(ui: &mut Ui, action: Action, commands: &mut Vec<AppCommand>) -> Response {
    let spec = action.spec();
    let button = PushButton::quiet(spec.name)
        .with_icon(spec.icon)
        .tooltip(tooltip_with_keys(action));
    let response = ui.add(button);
    if response.clicked() {
        commands.push(AppCommand::Act(action));
    }
    response
}

/// A square button with the icon of an action, shown as on or off.
pub fn action_icon(
    ui: &mut Ui,
    action: Action,
    selected: bool,
    commands: &mut Vec<AppCommand>,
) -> Response {
    let spec = action.spec();
    let button = PushButton::icon(spec.icon, spec.name)
        .tooltip(tooltip_with_keys(action))
        .selected(selected);
    let response = ui.add_sized(vec2(theme::ROW, theme::ROW), button);
    if response.clicked() {
        commands.push(AppCommand::Act(action));
    }
    response
}
