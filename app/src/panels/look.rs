//! The Look page of the Inspect panel: how points become a picture.

use egui::{DragValue, Ui};
use one4d_engine::scene::Scene4d;

use super::{Panel, legend};
use crate::state::AppCommand;
use crate::state::scene::OpenScene;
use crate::state::view::USUAL_GHOSTS;
use crate::theme::{self, space};
use crate::viewport::{
    Background, ColourMap, ColourMode, DrawMode, EyeDome, FrameStats, Overlay, PointSize,
    ViewOptions,
};
use crate::widgets::{
    self, NumberField, SliderSpec, number_field, section, segmented, slider, switch,
};

/// Shows the page.
pub fn look_ui(ui: &mut Ui, panel: &mut Panel<'_>, open: &OpenScene) {
    let before = panel.state.view.options;
    let mut options = before;
    let stats = panel.state.shown.stats.clone();
    section(ui, "Draw", |ui| {
        let modes = [
            (DrawMode::Points, "Points", None),
            (DrawMode::Surface, "Surface", None),
            (DrawMode::Smooth, "Smooth", None),
        ];
        if let Some(draw) = segmented(ui, &modes, options.draw) {
            options.draw = draw;
        }
        if options.draw != DrawMode::Surface {
            ui.add_space(space::XS);
            points_ui(ui, &mut options);
        }
    });
    section(ui, "Colour", |ui| {
        colour_ui(ui, &mut options, &open.scene, stats.as_deref());
    });
    section(ui, "Outlines", |ui| dome_ui(ui, &mut options));
    section(ui, "Time", |ui| time_ui(ui, &mut options));
    section(ui, "Background", |ui| {
        let grounds = [
            (Background::Canvas, "Canvas", None),
            (Background::Black, "Black", None),
            (Background::White, "White", None),
            (Background::Transparent, "None", None),
        ];
        if let Some(background) = segmented(ui, &grounds, options.background) {
            options.background = background;
        }
    });
    section(ui, "Around the points", |ui| {
        for overlay in Overlay::ALL {
            let (changed, _) = switch(ui, overlay.label(), options.overlays.has(overlay));
            if let Some(shown) = changed {
                options.overlays = options.overlays.with(overlay, shown);
            }
        }
    });
    if options != before {
        panel.push(AppCommand::ViewOptions(options));
    }
}

/// A kind of size, whatever its figure.
#[derive(Clone, Copy)]
struct Size(PointSize);

impl PartialEq for Size {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.0) == std::mem::discriminant(&other.0)
    }
}

fn points_ui(ui: &mut Ui, options: &mut ViewOptions) {
    let taken = std::mem::discriminant(&options.point_size);
    let modes = [
        (PointSize::Auto(1.0), "Fill gaps", None),
        (PointSize::Pixels(2), "Pixels", None),
        (PointSize::World(0.01), "World", None),
    ]
    .map(|(size, name, icon)| (Size(size), name, icon));
    let now = modes
        .iter()
        .map(|(size, ..)| *size)
        .find(|size| std::mem::discriminant(&size.0) == taken);
    if let Some(Size(size)) = segmented(ui, &modes, now.unwrap_or(Size(options.point_size))) {
        options.point_size = size;
    }
    ui.add_space(space::XS);
    let (spec, value) = match options.point_size {
        PointSize::Auto(factor) => (
            SliderSpec {
                name: "Size",
                range: 0.5..=3.0,
                decimals: 2,
                suffix: " ×",
                default: 1.0,
            },
            f64::from(factor),
        ),
        PointSize::Pixels(px) => (
            SliderSpec {
                name: "Size",
                range: 1.0..=5.0,
                decimals: 0,
                suffix: " px",
                default: 2.0,
            },
            f64::from(px),
        ),
        PointSize::World(size) => (
            SliderSpec {
                name: "Size",
                range: 0.001..=0.1,
                decimals: 3,
                suffix: " units",
                default: 0.01,
            },
            f64::from(size),
        ),
    };
    if let Some(value) = slider(ui, &spec, value) {
        options.point_size = match options.point_size {
            PointSize::Auto(_) => PointSize::Auto(value as f32),
            PointSize::Pixels(_) => PointSize::Pixels(value.round() as u8),
            PointSize::World(_) => PointSize::World(value as f32),
        };
    }
}

fn colour_ui(ui: &mut Ui, options: &mut ViewOptions, scene: &Scene4d, stats: Option<&FrameStats>) {
    let mut chosen = None;
    for row in ColourMode::ALL.chunks(4) {
        let modes: Vec<_> = row.iter().map(|&m| (m, m.label(), None)).collect();
        chosen = segmented(ui, &modes, options.colour).or(chosen);
    }
    if let Some(colour) = chosen
        && colour != options.colour
    {
        options.colour = colour;
        options.colour_range = None;
    }
    let tokens = theme::tokens(ui);
    if let Some(missing) = missing(options.colour, scene) {
        widgets::wrapped(ui, missing, tokens.warn);
        return;
    }
    if matches!(options.colour, ColourMode::Depth | ColourMode::Height) {
        let maps = ColourMap::ALL.map(|map| (map, map.label(), None));
        if let Some(map) = segmented(ui, &maps, options.colour_map) {
            options.colour_map = map;
        }
        range_ui(ui, options, stats);
    }
}

/// What a scene lacks for a colour.
pub(super) fn missing(colour: ColourMode, scene: &Scene4d) -> Option<&'static str> {
    match colour {
        ColourMode::Confidence if scene.confidence.is_none() => {
            Some("This scene has no confidence.")
        }
        ColourMode::Flow if scene.scene_flow.is_none() => Some("This scene has no scene flow."),
        ColourMode::Mask if scene.dynamic.is_none() => Some("This scene does not say what moves."),
        _ => None,
    }
}

/// Least and greatest value of the colours, by hand.
fn range_ui(ui: &mut Ui, options: &mut ViewOptions, stats: Option<&FrameStats>) {
    let known = legend::range_of(options, stats);
    let (changed, _) = switch(ui, "Range by hand", options.colour_range.is_some());
    match changed {
        Some(true) => options.colour_range = Some(known.unwrap_or([0.0, 10.0])),
        Some(false) => options.colour_range = None,
        None => {}
    }
    let Some([low, high]) = options.colour_range else {
        return;
    };
    let width = (ui.available_width() - space::S) / 2.0;
    let field = |name, tooltip| NumberField {
        name,
        tooltip,
        range: -1e6..=1e6,
        speed: 0.02,
        decimals: 2,
        suffix: " units",
        default: None,
    };
    ui.horizontal(|ui| {
        let from = field("From", "What has the first colour");
        if let Some(value) = number_field(ui, &from, f64::from(low), width) {
            options.colour_range = Some([value as f32, high.max(value as f32 + 1e-6)]);
        }
        let to = field("To", "What has the last colour");
        if let Some(value) = number_field(ui, &to, f64::from(high), width) {
            options.colour_range = Some([low.min(value as f32 - 1e-6), value as f32]);
        }
    });
}

fn dome_ui(ui: &mut Ui, options: &mut ViewOptions) {
    let (changed, response) = switch(ui, "Darken steps of depth", options.eye_dome.is_some());
    response.on_hover_text("Eye-dome lighting (EDL): makes shapes readable without light");
    if let Some(on) = changed {
        options.eye_dome = on.then(EyeDome::default);
    }
    let Some(dome) = &mut options.eye_dome else {
        return;
    };
    let usual = EyeDome::default();
    let radius = SliderSpec {
        name: "Radius",
        range: 1.0..=4.0,
        decimals: 1,
        suffix: " px",
        default: f64::from(usual.radius_px),
    };
    if let Some(value) = slider(ui, &radius, f64::from(dome.radius_px)) {
        dome.radius_px = value as f32;
    }
    let strength = SliderSpec {
        name: "Strength",
        range: 0.0..=2.0,
        decimals: 2,
        suffix: "",
        default: f64::from(usual.strength),
    };
    if let Some(value) = slider(ui, &strength, f64::from(dome.strength)) {
        dome.strength = value as f32;
    }
}

fn time_ui(ui: &mut Ui, options: &mut ViewOptions) {
    let (changed, response) = switch(ui, "Ghosts", options.ghosts.is_some());
    response.on_hover_text("Draws frames before and after the one on screen");
    if let Some(on) = changed {
        options.ghosts = on.then_some(USUAL_GHOSTS);
    }
    if let Some(ghosts) = &mut options.ghosts {
        let width = (ui.available_width() - 2.0 * space::S) / 3.0;
        ui.horizontal(|ui| {
            let mut count = |name: &str, tooltip: &str, value: &mut usize, least: usize| {
                ui.vertical(|ui| {
                    ui.set_width(width);
                    ui.spacing_mut().item_spacing.y = 2.0;
                    let label = widgets::caption(ui, name);
                    let drag = DragValue::new(value).range(least..=20).speed(0.05);
                    ui.add_sized([width, theme::ROW], drag)
                        .labelled_by(label.id)
                        .on_hover_text(tooltip);
                });
            };
            count("Before", "Ghosts of earlier frames", &mut ghosts.back, 0);
            count("After", "Ghosts of later frames", &mut ghosts.forward, 0);
            count(
                "Every n-th",
                "Frames from ghost to ghost",
                &mut ghosts.stride,
                1,
            );
        });
        if let (Some(fade), _) = switch(ui, "Fade with age", ghosts.fade) {
            ghosts.fade = fade;
        }
    }
    let (changed, response) = switch(ui, "Freeze still parts", options.freeze_static);
    response.on_hover_text("Draws the still parts of the whole clip with every frame");
    if let Some(on) = changed {
        options.freeze_static = on;
    }
}
