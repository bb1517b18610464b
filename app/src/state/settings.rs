//! What is remembered between sessions besides recent files.

use serde::{Deserialize, Serialize};

use super::timings::Timings;

/// Which appearance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThemeChoice {
    /// Dark ground.
    #[default]
    Dark,
    /// Light ground.
    Light,
    /// Whatever the system prefers.
    System,
}

impl ThemeChoice {
    /// Every choice, in the order of the menu.
    pub const ALL: [Self; 3] = [Self::Dark, Self::Light, Self::System];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dark => "Dark",
            Self::Light => "Light",
            Self::System => "As the system",
        }
    }
}

impl From<ThemeChoice> for egui::ThemePreference {
    fn from(choice: ThemeChoice) -> Self {
        match choice {
            ThemeChoice::Dark => Self::Dark,
            ThemeChoice::Light => Self::Light,
            ThemeChoice::System => Self::System,
        }
    }
}

/// Settings, as they stand in `settings.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Appearance.
    pub theme: ThemeChoice,
    /// No transitions.
    pub reduce_motion: bool,
    /// What the stages of the last generation took.
    pub timings: Timings,
    /// Last folder that was exported to.
    pub export_folder: Option<std::path::PathBuf>,
}
