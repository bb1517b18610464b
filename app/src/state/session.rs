//! What the studio finds again when it is opened next: the last scene, and how each was left.

use std::path::{Path, PathBuf};

use glam::DVec3;
use serde::{Deserialize, Serialize};

use super::AppState;
use super::arrangement::{Arrangement, Pane};
use super::layout::Layout;
use super::loras::LoraList;
use super::markers::Markers;
use super::measures::{KnownScale, Measure, Measures};
use crate::viewport::{Orbit, ViewOptions};

/// Scenes whose state is kept.
const MAX_SCENES: usize = 40;

/// The session, as it stands in `session.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// The scene that was on screen.
    pub last_scene: Option<PathBuf>,
    /// Open panels: Create, Inspect, timeline.
    pub panels: Option<[bool; 3]>,
    /// How the middle was divided.
    pub arrangement: Option<Arrangement>,
    /// Folder of the chosen model, if it was not the bundled one.
    pub model: Option<PathBuf>,
    /// LoRA files beside the model.
    pub loras: LoraList,
    /// How scenes were left, the newest first.
    pub scenes: Vec<SceneMemory>,
}

/// How a scene was left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneMemory {
    /// Its file.
    pub path: PathBuf,
    /// The frame on screen.
    pub frame_idx: usize,
    /// First and last frame that play.
    pub range: (usize, usize),
    /// Where it was seen from.
    pub eye: SavedEye,
    /// How it looked.
    pub options: ViewOptions,
    /// What was measured.
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// The scale that a person set.
    #[serde(default)]
    pub scale: Option<KnownScale>,
    /// Named frames.
    #[serde(default)]
    pub markers: Markers,
}

/// An [`Orbit`] in plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedEye {
    target: [f64; 3],
    distance: f64,
    yaw_rad: f64,
    pitch_rad: f64,
    field_of_view_rad: f64,
    orthographic: bool,
    up: [f64; 3],
}

impl From<Orbit> for SavedEye {
    fn from(orbit: Orbit) -> Self {
        Self {
            target: orbit.target.to_array(),
            distance: orbit.distance,
            yaw_rad: orbit.yaw_rad,
            pitch_rad: orbit.pitch_rad,
            field_of_view_rad: orbit.field_of_view_rad,
            orthographic: orbit.orthographic,
            up: orbit.up.to_array(),
        }
    }
}

impl SavedEye {
    /// The orbit; `None` where the numbers make none.
    pub fn orbit(&self) -> Option<Orbit> {
        let up = DVec3::from_array(self.up).try_normalize()?;
        let target = DVec3::from_array(self.target);
        let angles = [self.yaw_rad, self.pitch_rad, self.field_of_view_rad];
        let sound = target.is_finite()
            && angles.iter().all(|a| a.is_finite())
            && self.distance.is_finite()
            && self.distance > 0.0
            && (0.01..3.0).contains(&self.field_of_view_rad);
        sound.then_some(Orbit {
            target,
            distance: self.distance,
            yaw_rad: self.yaw_rad,
            pitch_rad: self.pitch_rad.clamp(-1.55, 1.55),
            field_of_view_rad: self.field_of_view_rad,
            orthographic: self.orthographic,
            up,
        })
    }
}

impl Session {
    /// How a scene was left.
    pub fn scene(&self, path: &Path) -> Option<&SceneMemory> {
        self.scenes.iter().find(|memory| memory.path == path)
    }
}

/// Notes how the scene on screen and the window are now.
pub fn remember(state: &mut AppState) {
    let layout = state.layout;
    let session = &mut state.session;
    session.arrangement = Some(state.arrangement.clone());
    session.panels = Some([layout.create, layout.inspect, layout.timeline]);
    session.model.clone_from(&state.create.model);
    session.loras = state.create.loras.unchecked();
    let Some(path) = state.scene.as_ref().and_then(|open| open.path.clone()) else {
        return;
    };
    if !state.view.fitted {
        return;
    }
    let memory = SceneMemory {
        frame_idx: state.clock.frame(state.now_secs),
        range: state.clock.range(),
        eye: state.view.goal().into(),
        options: state.view.options,
        measures: state.measures.list().to_vec(),
        scale: state.lengths.known,
        markers: state.markers.clone(),
        path,
    };
    session.scenes.retain(|other| other.path != memory.path);
    session.last_scene = Some(memory.path.clone());
    session.scenes.insert(0, memory);
    session.scenes.truncate(MAX_SCENES);
}

/// Puts a scene that has just been opened back as it was left; false if it never was.
pub(super) fn restore_scene(state: &mut AppState) -> bool {
    let path = state.scene.as_ref().and_then(|open| open.path.clone());
    let Some(memory) = path.and_then(|path| state.session.scene(&path).cloned()) else {
        return false;
    };
    if let Some(orbit) = memory.eye.orbit() {
        state.view.orbit = orbit;
        state.view.motion = None;
        state.view.look_through = false;
        state.view.fitted = true;
    }
    state.view.options = memory.options;
    let (first, last) = memory.range;
    state.clock.set_range(first, last, state.now_secs);
    state.clock.seek(memory.frame_idx);
    state.measures = Measures::restored(memory.measures);
    state.lengths.known = memory
        .scale
        .filter(|scale| scale.factor.is_finite() && scale.factor > 0.0);
    state.markers = memory.markers.fit(state.clock.num_frames());
    true
}

/// How the middle was divided; the plot belongs to a measure and does not come back by itself.
pub fn restored_arrangement(session: &Session) -> Arrangement {
    let saved = session.arrangement.clone().and_then(Arrangement::sound);
    let mut arrangement = saved.unwrap_or_default();
    arrangement.hide(Pane::Plot);
    arrangement
}

/// The model that was chosen, if its folder is still there.
pub fn restored_model(session: &Session) -> Option<PathBuf> {
    let folder = session.model.clone();
    folder.filter(|folder| folder.join("model.json").is_file())
}

/// The panels that were open.
pub fn restored_layout(session: &Session) -> Layout {
    let mut layout = Layout::default();
    if let Some([create, inspect, timeline]) = session.panels {
        layout.create = create;
        layout.inspect = inspect;
        layout.timeline = timeline;
    }
    layout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eye_comes_back_as_it_was() {
        let orbit = Orbit {
            yaw_rad: 1.25,
            orthographic: true,
            up: DVec3::new(0.0, -0.8, 0.6),
            ..Orbit::default()
        };
        let back = SavedEye::from(orbit).orbit().unwrap();
        assert!((back.up - orbit.up).length() < 1e-12);
        assert_eq!(
            Orbit {
                up: orbit.up,
                ..back
            },
            orbit
        );
    }

    #[test]
    fn numbers_that_make_no_eye_are_refused() {
        let sound = SavedEye::from(Orbit::default());
        for broken in [
            SavedEye {
                distance: -1.0,
                ..sound
            },
            SavedEye {
                up: [0.0; 3],
                ..sound
            },
            SavedEye {
                yaw_rad: f64::NAN,
                ..sound
            },
            SavedEye {
                target: [f64::INFINITY, 0.0, 0.0],
                ..sound
            },
        ] {
            assert_eq!(broken.orbit(), None);
        }
    }
}
