//! The export dialog.

use egui::{Align, Layout, Ui, vec2};
use egui_material_icons::{MaterialIcon, icons};
use one4d_engine::worker::ExportFormat;

use super::Panel;
use super::dialog::dialog_ui;
use crate::state::AppCommand;
use crate::state::command::{ExportEdit, Pick};
use crate::state::export::{ExportForm, FORMATS, words_of_filter};
use crate::state::jobs::format_label;
use crate::state::scene::OpenScene;
use crate::theme::{self, space};
use crate::video::VideoKind;
use crate::widgets::{self, NumberField, PushButton, number_field, switch};

/// Width of the dialog, points.
const WIDTH: f32 = 540.0;

/// Shows the dialog while there is an export to set up.
pub fn export_ui(ctx: &egui::Context, panel: &mut Panel<'_>) {
    let state = panel.state;
    let (Some(form), Some(open)) = (&state.export, &state.scene) else {
        return;
    };
    let modal = dialog_ui(ctx, "export", WIDTH, |ui| form_ui(ui, panel, form, open));
    if modal.should_close() {
        panel.push(AppCommand::Export(ExportEdit::Cancel));
    }
}

fn form_ui(ui: &mut Ui, panel: &mut Panel<'_>, form: &ExportForm, open: &OpenScene) {
    widgets::heading(ui, "Export");
    ui.add_space(space::XS);
    ui.spacing_mut().item_spacing.y = space::XS;
    formats_ui(ui, panel, form);
    ui.add_space(space::S);
    numbers_ui(ui, panel, form, open);
    ui.add_space(space::XS);
    let (changed, response) = switch(ui, "Only points fit for measuring", form.only_good);
    response.on_hover_text("Leaves out depth edges, sky, clipped and inconsistent pixels");
    if let Some(only_good) = changed {
        panel.push(AppCommand::Export(ExportEdit::OnlyGood(only_good)));
    }
    shown_ui(ui, panel, form);
    scale_ui(ui, panel, form);
    ui.add_space(space::S);
    folder_ui(ui, panel, form);
    ui.add_space(space::M);
    buttons_ui(ui, panel, form, open);
}

/// A format or a video that can be chosen.
struct Choice {
    name: &'static str,
    hint: &'static str,
    icon: MaterialIcon,
    /// What it is called for those who do not see it.
    label: &'static str,
}

fn choice_of_format(format: ExportFormat) -> Choice {
    let (name, hint, icon) = match format {
        ExportFormat::Scene => (
            "Scene file",
            "One4D's own, with everything in it",
            icons::ICON_SAVE,
        ),
        ExportFormat::Ply => (
            "PLY per frame",
            "For MeshLab, CloudCompare, Blender",
            icons::ICON_GRAIN,
        ),
        ExportFormat::GlbAnimated => (
            "GLB animated",
            "One file for Blender and the web",
            icons::ICON_DEPLOYED_CODE,
        ),
        ExportFormat::GlbFrames => (
            "GLB per frame",
            "One file a frame and a list",
            icons::ICON_LAYERS,
        ),
    };
    Choice {
        name,
        hint,
        icon,
        label: format_label(format),
    }
}

fn choice_of_video(kind: VideoKind) -> Choice {
    let (name, hint, icon) = match kind {
        VideoKind::Frames => ("Frames", "As the camera took them", icons::ICON_MOVIE),
        VideoKind::Depth => ("Depth", "In colours, near to far", icons::ICON_GRADIENT),
        VideoKind::Orbit => (
            "Around the scene",
            "The view, swinging to both sides",
            icons::ICON_360,
        ),
    };
    Choice {
        name,
        hint,
        icon,
        label: kind.label(),
    }
}

/// Points at the left, videos at the right.
fn formats_ui(ui: &mut Ui, panel: &mut Panel<'_>, form: &ExportForm) {
    ui.columns_const(|[left, right]| {
        left.spacing_mut().item_spacing.y = space::XS;
        widgets::caption(left, "Points");
        for format in FORMATS {
            let on = form.formats.contains(&format);
            if choice_row(left, &choice_of_format(format), on) {
                panel.push(AppCommand::Export(ExportEdit::Toggle(format)));
            }
        }
        right.spacing_mut().item_spacing.y = space::XS;
        widgets::caption(right, "Video (MP4)");
        for kind in VideoKind::ALL {
            let on = form.videos.contains(&kind);
            if choice_row(right, &choice_of_video(kind), on) {
                panel.push(AppCommand::Export(ExportEdit::ToggleVideo(kind)));
            }
        }
    });
}

/// A row that is chosen or not; true if it was clicked.
fn choice_row(ui: &mut Ui, choice: &Choice, on: bool) -> bool {
    let tokens = theme::tokens(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), 40.0), egui::Sense::click());
    response.widget_info(|| {
        egui::WidgetInfo::selected(egui::Role::CheckBox, ui.is_enabled(), on, choice.label)
    });
    let fill = match (on, response.hovered()) {
        (true, _) => tokens.accent_soft,
        (false, true) => tokens.hover,
        (false, false) => tokens.raised,
    };
    ui.painter().rect_filled(rect, theme::RADIUS, fill);
    let mut row = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(rect.shrink2(vec2(space::M, 0.0)))
            .layout(Layout::left_to_right(Align::Center)),
    );
    let icon = if on {
        icons::ICON_CHECK_CIRCLE
    } else {
        choice.icon
    };
    icon_ui(&mut row, icon, on);
    row.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.add_space(4.0);
        widgets::label(ui, choice.name);
        widgets::caption(ui, choice.hint);
    });
    widgets::focus_ring(ui, &response, rect);
    response.clicked()
}

fn icon_ui(ui: &mut Ui, icon: MaterialIcon, on: bool) {
    let tokens = theme::tokens(ui);
    let color = if on { tokens.accent } else { tokens.muted };
    ui.label(
        egui::RichText::new(icon.codepoint)
            .font(theme::icon_font(icon, 18.0))
            .color(color),
    );
}

fn numbers_ui(ui: &mut Ui, panel: &mut Panel<'_>, form: &ExportForm, open: &OpenScene) {
    let last = open.scene.num_frames as f64;
    let columns = if open.scene.confidence.is_some() {
        4.0
    } else {
        3.0
    };
    let width = (ui.available_width() - space::S * (columns - 1.0)) / columns;
    let field = |name, tooltip, range, decimals, default| NumberField {
        name,
        tooltip,
        range,
        speed: if decimals == 0 { 0.1 } else { 0.005 },
        decimals,
        suffix: "",
        default: Some(default),
    };
    ui.horizontal(|ui| {
        let first = field("First frame", "First frame to write", 1.0..=last, 0, 1.0);
        if let Some(value) = number_field(ui, &first, form.first as f64 + 1.0, width) {
            let first = value as usize - 1;
            let edit = ExportEdit::Range(first, form.last.max(first));
            panel.push(AppCommand::Export(edit));
        }
        let end = field("Last frame", "Last frame to write", 1.0..=last, 0, last);
        if let Some(value) = number_field(ui, &end, form.last as f64 + 1.0, width) {
            let last = value as usize - 1;
            let edit = ExportEdit::Range(form.first.min(last), last);
            panel.push(AppCommand::Export(edit));
        }
        let stride = field(
            "Every n-th pixel",
            "Leaves out pixels in both directions; 2 writes a quarter",
            1.0..=16.0,
            0,
            1.0,
        );
        if let Some(value) = number_field(ui, &stride, form.stride as f64, width) {
            panel.push(AppCommand::Export(ExportEdit::Stride(value as usize)));
        }
        if open.scene.confidence.is_some() {
            let least = field(
                "Confidence",
                "Least confidence of a point that is written",
                0.0..=1.0,
                2,
                0.0,
            );
            let value = number_field(ui, &least, f64::from(form.min_confidence), width);
            if let Some(value) = value {
                let edit = ExportEdit::MinConfidence(value as f32);
                panel.push(AppCommand::Export(edit));
            }
        }
    });
}

/// Offers the view's filters, and says what they leave out.
fn shown_ui(ui: &mut Ui, panel: &mut Panel<'_>, form: &ExportForm) {
    let words = words_of_filter(&panel.state.view.options);
    if words.is_empty() {
        return;
    }
    let (changed, response) = switch(ui, "Only points that the view shows", form.as_shown);
    response.on_hover_text(format!("Leaves out {}", words.join(", ")));
    if let Some(as_shown) = changed {
        panel.push(AppCommand::Export(ExportEdit::AsShown(as_shown)));
    }
    if form.as_shown {
        let tokens = theme::tokens(ui);
        let mut note = format!("Without {}.", words.join(", "));
        if form.formats.contains(&ExportFormat::Scene) {
            note += " The scene file keeps these points and marks them as not valid.";
        }
        widgets::wrapped(ui, note, tokens.muted);
    }
}

/// Offers metres where a scale was set from a known length.
fn scale_ui(ui: &mut Ui, panel: &mut Panel<'_>, form: &ExportForm) {
    let Some(known) = panel.state.lengths.known else {
        return;
    };
    let (changed, response) = switch(ui, "Lengths in metres", form.in_metres);
    response.on_hover_text(format!(
        "By the scale that you set: a scene unit is {:.4} m",
        known.metres()
    ));
    if let Some(in_metres) = changed {
        panel.push(AppCommand::Export(ExportEdit::InMetres(in_metres)));
    }
}

fn folder_ui(ui: &mut Ui, panel: &mut Panel<'_>, form: &ExportForm) {
    widgets::caption(ui, "Folder");
    let name = form.folder.as_ref().map_or_else(
        || "Choose a folder…".to_owned(),
        |f| f.display().to_string(),
    );
    let button = PushButton::secondary(&name)
        .with_icon(icons::ICON_FOLDER_OPEN)
        .width(ui.available_width())
        .tooltip("Chooses the folder to write into");
    if ui.add(button).clicked() {
        panel.push(AppCommand::Pick(Pick::ExportFolder));
    }
}

fn buttons_ui(ui: &mut Ui, panel: &mut Panel<'_>, form: &ExportForm, open: &OpenScene) {
    let missing = form.missing();
    let frames = form.num_frames();
    let verb = if frames == 1 {
        "Export 1 frame".to_owned()
    } else {
        format!("Export {frames} frames")
    };
    ui.horizontal(|ui| {
        widgets::caption(
            ui,
            missing.map_or_else(
                || format!("About {}", widgets::bytes(form.estimate_bytes(open))),
                str::to_owned,
            ),
        );
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let start = PushButton::primary(&verb)
                .height(theme::TOUCH)
                .tooltip(missing.unwrap_or("Starts the export"));
            if ui.add_enabled(missing.is_none(), start).clicked() {
                panel.push(AppCommand::Export(ExportEdit::Start));
            }
            let cancel = PushButton::quiet("Cancel").height(theme::TOUCH);
            if ui.add(cancel).clicked() {
                panel.push(AppCommand::Export(ExportEdit::Cancel));
            }
        });
    });
}
