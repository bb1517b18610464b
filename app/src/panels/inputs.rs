//! The inputs of the Create panel: image well, placed frames, video.

use std::path::Path;

use egui::{Align, Align2, DragValue, Layout, Rect, Response, Role, Sense, Ui, WidgetInfo, vec2};
use egui_material_icons::{MaterialIcon, icons};

use super::Panel;
use crate::state::command::{CreateEdit, Pick};
use crate::state::media::Media;
use crate::state::{AppCommand, file_name};
use crate::theme::{self, space};
use crate::widgets::{self, PushButton};

/// The well of the first frame's image.
pub fn image_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let image = panel.state.create.image.clone();
    let empty = Empty {
        icon: icons::ICON_ADD_PHOTO_ALTERNATE,
        title: "Add an image",
        hint: well_hint(panel),
        name: "Add an image",
    };
    well_ui(ui, panel, image.as_deref(), &empty, Pick::Image);
    if image.is_some() {
        file_row(
            ui,
            panel,
            image.as_deref(),
            CreateEdit::RemoveImage,
            Pick::Image,
        );
    }
}

/// The well of the video or folder of frames.
pub fn video_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let video = panel.state.create.video.clone();
    let empty = Empty {
        icon: icons::ICON_MOVIE,
        title: "Add a video",
        hint: "An MP4 file or a folder of frames",
        name: "Add a video",
    };
    well_ui(ui, panel, video.as_deref(), &empty, Pick::Video);
    if video.is_some() {
        file_row(
            ui,
            panel,
            video.as_deref(),
            CreateEdit::RemoveVideo,
            Pick::Video,
        );
    } else if ui
        .add(PushButton::quiet("Choose a folder of frames…").with_icon(icons::ICON_FOLDER_OPEN))
        .clicked()
    {
        panel.push(AppCommand::Pick(Pick::Folder));
    }
}

/// The list of placed images.
pub fn frames_ui(ui: &mut Ui, panel: &mut Panel<'_>) {
    let create = &panel.state.create;
    if create.placed.is_empty() {
        let empty = Empty {
            icon: icons::ICON_PHOTO_LIBRARY,
            title: "Add images",
            hint: "They are spread over the clip",
            name: "Add images",
        };
        well_ui(ui, panel, None, &empty, Pick::Frames);
        return;
    }
    for (index, frame) in create.placed.iter().enumerate() {
        placed_row(ui, panel, index, &frame.path, frame.at);
    }
    let add = PushButton::secondary("Add images…")
        .with_icon(icons::ICON_ADD)
        .width(ui.available_width());
    if ui.add(add).clicked() {
        panel.push(AppCommand::Pick(Pick::Frames));
    }
}

/// Picture, name, frame (counted from one, as on the timeline) and a way to take it out.
fn placed_row(ui: &mut Ui, panel: &mut Panel<'_>, index: usize, path: &Path, at: usize) {
    let last = panel.state.create.num_frames;
    let name = file_name(path);
    ui.push_id(path, |ui| {
        let size = vec2(ui.available_width(), 38.0);
        let right_to_left = Layout::right_to_left(Align::Center);
        ui.allocate_ui_with_layout(size, right_to_left, |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            let remove = format!("Remove {name}");
            let button = PushButton::icon(icons::ICON_CLOSE, &remove).tooltip(&remove);
            if ui.add(button).clicked() {
                panel.push(AppCommand::Create(CreateEdit::RemoveFrame(index)));
            }
            let mut position = at + 1;
            let drag = DragValue::new(&mut position)
                .range(1..=last)
                .speed(0.1)
                .prefix("frame ");
            ui.add_sized(vec2(72.0, theme::ROW), drag)
                .on_hover_text("The frame at which this image stands")
                .accessible_name(format!("Frame of {name}"));
            if position != at + 1 {
                let edit = CreateEdit::MoveFrame {
                    index,
                    at: position - 1,
                };
                panel.push(AppCommand::Create(edit));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(64.0, 38.0), Sense::hover());
                picture_or_state(ui, panel, rect, path);
                name_and_size(ui, panel, path);
            });
        });
    });
}

/// Two lines: the file's name and its size.
fn name_and_size(ui: &mut Ui, panel: &Panel<'_>, path: &Path) {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.add_space(4.0);
        widgets::label(ui, file_name(path)).on_hover_text(path.display().to_string());
        widgets::caption(ui, size_of(panel, path));
    });
}

/// What a well says while nothing is in it.
struct Empty {
    icon: MaterialIcon,
    title: &'static str,
    hint: &'static str,
    name: &'static str,
}

fn well_hint(panel: &Panel<'_>) -> &'static str {
    if panel.state.platform.no_drop {
        "Choose a file or paste an image"
    } else {
        "Drop, choose or paste"
    }
}

/// A place that takes a file and shows its picture with the part that the model will see.
fn well_ui(ui: &mut Ui, panel: &mut Panel<'_>, path: Option<&Path>, empty: &Empty, pick: Pick) {
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, width * 0.52), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), empty.name));
    let dropping = ui.input(|input| !input.raw.hovered_files.is_empty());
    match path {
        None => {
            widgets::well_frame(ui, rect, dropping || response.hovered());
            empty_words(ui, rect, empty);
        }
        Some(path) => {
            let tokens = theme::tokens(ui);
            ui.painter().rect_filled(rect, theme::RADIUS, tokens.raised);
            cropped_picture(ui, panel, rect.shrink(6.0), path);
        }
    }
    widgets::focus_ring(ui, &response, rect);
    if click(response) {
        panel.push(AppCommand::Pick(pick));
    }
}

fn click(response: Response) -> bool {
    response
        .on_hover_cursor(egui::CursorIcon::PointingHand)
        .clicked()
}

fn empty_words(ui: &Ui, rect: Rect, empty: &Empty) {
    let tokens = theme::tokens(ui);
    let centre = rect.center();
    let painter = ui.painter();
    painter.text(
        centre - vec2(0.0, 24.0),
        Align2::CENTER_CENTER,
        empty.icon.codepoint,
        theme::icon_font(empty.icon, 28.0),
        tokens.accent,
    );
    painter.text(
        centre + vec2(0.0, 8.0),
        Align2::CENTER_CENTER,
        empty.title,
        theme::strong(),
        tokens.text,
    );
    painter.text(
        centre + vec2(0.0, 27.0),
        Align2::CENTER_CENTER,
        empty.hint,
        theme::caption(),
        tokens.muted,
    );
}

/// The picture of a file with crop marks, or why there is none.
pub fn cropped_picture(ui: &Ui, panel: &mut Panel<'_>, within: Rect, path: &Path) {
    let model = &panel.state.model.facts;
    let Some(source) = panel.state.media.picture(path) else {
        picture_or_state(ui, panel, within, path);
        return;
    };
    let texture = panel.textures.picture(ui.ctx(), &source.picture);
    let rect = widgets::picture_rect(within, source.picture.size);
    widgets::thumbnail(ui, rect, texture, source.picture.size, 3.0);
    widgets::crop_marks(ui, rect, source.crop((model.width, model.height)));
}

fn picture_or_state(ui: &Ui, panel: &mut Panel<'_>, rect: Rect, path: &Path) {
    let tokens = theme::tokens(ui);
    match panel.state.media.file(path) {
        Some(Media::Ready(source)) => {
            let texture = panel.textures.picture(ui.ctx(), &source.picture);
            widgets::thumbnail(ui, rect, texture, source.picture.size, 3.0);
        }
        Some(Media::Bad(_)) => {
            ui.painter().rect_filled(rect, 3.0, tokens.raised);
            let small = rect.height() < 60.0;
            let icon = icons::ICON_ERROR;
            let lift = if small { 0.0 } else { 10.0 };
            ui.painter().text(
                rect.center() - vec2(0.0, lift),
                Align2::CENTER_CENTER,
                icon.codepoint,
                theme::icon_font(icon, 20.0),
                tokens.bad,
            );
            if !small {
                ui.painter().text(
                    rect.center() + vec2(0.0, 14.0),
                    Align2::CENTER_CENTER,
                    "This file cannot be read",
                    theme::caption(),
                    tokens.muted,
                );
            }
        }
        Some(Media::Loading) | None => {
            ui.painter().rect_filled(rect, 3.0, tokens.raised);
            let circle = Rect::from_center_size(rect.center(), vec2(18.0, 18.0));
            widgets::spinner(ui, circle, tokens.muted);
        }
    }
}

fn file_row(
    ui: &mut Ui,
    panel: &mut Panel<'_>,
    path: Option<&Path>,
    remove: CreateEdit,
    pick: Pick,
) {
    let Some(path) = path else {
        return;
    };
    let size = vec2(ui.available_width(), 38.0);
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let clear =
            PushButton::icon(icons::ICON_CLOSE, "Remove the file").tooltip("Removes the file");
        if ui.add(clear).clicked() {
            panel.push(AppCommand::Create(remove));
        }
        let change = PushButton::icon(icons::ICON_FOLDER_OPEN, "Choose another file")
            .tooltip("Chooses another file");
        if ui.add(change).clicked() {
            panel.push(AppCommand::Pick(pick));
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            name_and_size(ui, panel, path);
        });
    });
}

/// "1920 × 1080 px, 65 frames".
fn size_of(panel: &Panel<'_>, path: &Path) -> String {
    let Some(source) = panel.state.media.picture(path) else {
        return match panel.state.media.file(path) {
            Some(Media::Bad(reason)) => reason.clone(),
            _ => "Reading…".to_owned(),
        };
    };
    let (w, h) = source.size_px;
    match source.num_frames {
        Some(frames) => format!("{w} × {h} px, {frames} frames"),
        None => format!("{w} × {h} px"),
    }
}
