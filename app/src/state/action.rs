//! Actions: commands without a payload, with their names, tooltips and keys in one table.

use egui::{Key, KeyboardShortcut};
use egui_material_icons::{MaterialIcon, icons};

/// Groups of the sheet of shortcuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Files and jobs.
    File,
    /// Playback.
    Time,
    /// Where the scene is seen from, and what is drawn around it.
    View,
    /// How points look.
    Look,
    /// Measuring, clipping, comparing.
    Tools,
    /// Panels and appearance.
    Window,
}

impl Group {
    /// Every group, in order.
    pub const ALL: [Self; 6] = [
        Self::File,
        Self::Time,
        Self::View,
        Self::Look,
        Self::Tools,
        Self::Window,
    ];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::File => "Files and jobs",
            Self::Time => "Time",
            Self::View => "View",
            Self::Look => "Look",
            Self::Tools => "Tools",
            Self::Window => "Window",
        }
    }
}

/// How an action presents itself.
#[derive(Clone, Copy, Debug)]
pub struct ActionSpec {
    /// Sentence case; a verb; `…` when more input follows.
    pub name: &'static str,
    /// One sentence.
    pub tooltip: &'static str,
    /// Its picture.
    pub icon: MaterialIcon,
    /// Where the sheet of shortcuts lists it.
    pub group: Group,
    /// Keys; the first is the one that is shown.
    pub keys: &'static [KeyboardShortcut],
}

/// Modifiers as the table names them.
mod held {
    use egui::Modifiers;

    pub(super) const NONE: Modifiers = Modifiers::NONE;
    pub(super) const SHIFT: Modifiers = Modifiers::SHIFT;
    pub(super) const ALT: Modifiers = Modifiers::ALT;
    pub(super) const COMMAND: Modifiers = Modifiers::COMMAND;
    pub(super) const COMMAND_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);
}

/// The one table, a row an action: `Variant: group, icon, name, tooltip, keys`.
macro_rules! actions {
    ($($action:ident: $group:ident, $icon:ident, $name:literal, $tooltip:literal, [$($modifier:ident + $key:ident),*];)+) => {
        /// A command without a payload; see [`Action::spec`] for its name, tooltip and keys.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the table says what each one does")]
        pub enum Action {
            $($action),+
        }

        impl Action {
            /// Every action, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$action),+];
        }

        const SPECS: &[ActionSpec] = &[$(ActionSpec {
            name: $name,
            tooltip: $tooltip,
            icon: icons::$icon,
            group: Group::$group,
            keys: &[$(KeyboardShortcut::new(held::$modifier, Key::$key)),*],
        }),+];
    };
}

actions! {
    NewInput: File, ICON_ADD, "New scene", "Clears the inputs and starts over", [COMMAND + N];
    Open: File, ICON_FOLDER_OPEN, "Open…", "Opens an image, a video or a saved scene", [COMMAND + O];
    OpenFolder: File, ICON_FOLDER, "Open folder…", "Opens a folder of frames or a saved scene", [COMMAND_SHIFT + O];
    Export: File, ICON_IOS_SHARE, "Export…", "Writes points, videos or a scene file", [COMMAND + E];
    Screenshot: File, ICON_PHOTO_CAMERA_BACK, "Save a picture…", "Saves the view as a picture of any size", [NONE + F12];
    Undo: File, ICON_UNDO, "Undo", "Takes back the last change of view, look, measures or markers", [COMMAND + Z];
    Redo: File, ICON_REDO, "Redo", "Does again what was taken back", [COMMAND_SHIFT + Z, COMMAND + Y];
    Generate: File, ICON_AUTO_AWESOME, "Generate scene", "Makes a 4D scene from the inputs", [COMMAND + Enter];
    AddLoras: File, ICON_LAYERS, "Add LoRA files…", "Adds files that change the model: styles, or models distilled to few steps", [];
    FindMotion: File, ICON_MOTION_PHOTOS_ON, "Find what moves", "Adds scene flow and a mask of what moves to the scene on screen", [];
    Quit: File, ICON_LOGOUT, "Quit", "Closes the studio", [COMMAND + Q];

    PlayPause: Time, ICON_PLAY_ARROW, "Play or pause", "Plays the scene over time", [NONE + Space];
    ShuttleBack: Time, ICON_FAST_REWIND, "Play backwards", "Plays backwards; again is faster", [NONE + J];
    ShuttleStop: Time, ICON_PAUSE, "Pause", "Stops on the frame on screen", [NONE + K];
    ShuttleForward: Time, ICON_FAST_FORWARD, "Play forwards", "Plays forwards; again is faster", [NONE + L];
    PreviousFrame: Time, ICON_CHEVRON_LEFT, "Previous frame", "Steps one frame back", [NONE + ArrowLeft, NONE + Comma];
    NextFrame: Time, ICON_CHEVRON_RIGHT, "Next frame", "Steps one frame forward", [NONE + ArrowRight, NONE + Period];
    BackTen: Time, ICON_KEYBOARD_DOUBLE_ARROW_LEFT, "Back ten frames", "Steps ten frames back", [SHIFT + ArrowLeft];
    ForwardTen: Time, ICON_KEYBOARD_DOUBLE_ARROW_RIGHT, "Forward ten frames", "Steps ten frames forward", [SHIFT + ArrowRight];
    FirstFrame: Time, ICON_SKIP_PREVIOUS, "First frame", "Jumps to the first frame", [NONE + Home];
    LastFrame: Time, ICON_SKIP_NEXT, "Last frame", "Jumps to the last frame", [NONE + End];
    SetIn: Time, ICON_LINE_START, "Set in", "Playback starts at this frame", [NONE + I];
    SetOut: Time, ICON_LINE_END, "Set out", "Playback ends at this frame", [NONE + O];
    ClearRange: Time, ICON_CLOSE, "Clear in and out", "Playback covers the whole scene", [NONE + X];
    CycleLoop: Time, ICON_REPEAT, "Loop mode", "Play once, loop, or back and forth", [SHIFT + L];
    Slower: Time, ICON_REMOVE, "Slower", "Lowers the playback speed", [SHIFT + Comma];
    Faster: Time, ICON_ADD, "Faster", "Raises the playback speed", [SHIFT + Period];
    AddMarker: Time, ICON_BOOKMARK_ADD, "Add marker", "Gives the frame on screen a name", [SHIFT + M];
    PreviousMarker: Time, ICON_KEYBOARD_ARROW_LEFT, "Previous marker", "Jumps to the last named frame before this one", [NONE + PageUp];
    NextMarker: Time, ICON_KEYBOARD_ARROW_RIGHT, "Next marker", "Jumps to the next named frame after this one", [NONE + PageDown];
    RemoveMarker: Time, ICON_BOOKMARK_REMOVE, "Remove marker", "Takes the name of the frame on screen away", [];

    Focus: View, ICON_CENTER_FOCUS_STRONG, "Focus", "Moves to the selected point, or to the whole scene", [NONE + F];
    ShowAll: View, ICON_FIT_SCREEN, "Show whole scene", "Goes back to where the whole scene is in view", [SHIFT + F];
    LookThrough: View, ICON_VIDEOCAM, "Look through camera", "Sees the scene through the camera of the current frame", [NONE + C];
    ViewFront: View, ICON_VIEW_IN_AR, "View from the front", "Looks along z, as the first camera", [ALT + Num1];
    ViewTop: View, ICON_VIEW_IN_AR, "View from above", "Looks down along y", [ALT + Num2];
    ViewSide: View, ICON_VIEW_IN_AR, "View from the side", "Looks along x, from the right", [ALT + Num3];
    Orthographic: View, ICON_GRID_ON, "Parallel view", "Shows sizes without perspective (orthographic)", [SHIFT + O];
    LevelToGround: View, ICON_STRAIGHTEN, "Level to ground", "Turns the view so that the scene's largest plane is level", [NONE + U];
    LevelToCamera: View, ICON_RESTART_ALT, "Level to first camera", "Takes up from the first camera again", [SHIFT + U];
    ToggleUnderlay: View, ICON_OPACITY, "Picture over the view", "Fades the source frame over the view through its camera", [NONE + R];
    ToggleSource: View, ICON_PICTURE_IN_PICTURE, "Source frame", "Shows the source frame in a corner of the view", [NONE + V];
    DockSource: View, ICON_SPLITSCREEN_VERTICAL_ADD, "Dock source frame", "Gives the source frame a place beside the view", [SHIFT + V];
    ToggleStats: View, ICON_MONITORING, "Statistics", "Shows rate, time and points of the view", [SHIFT + I];
    ToggleFrustums: View, ICON_PHOTO_CAMERA, "Cameras", "Shows the cameras of all frames", [SHIFT + C];
    ToggleGrid: View, ICON_GRID_4X4, "Grid", "Shows the ground grid", [SHIFT + G];
    ToggleAxes: View, ICON_VIEW_IN_AR, "Axes", "Shows the directions of the world", [SHIFT + A];

    ColourRgb: Look, ICON_PALETTE, "Colour by RGB", "Points have the colours of the frame", [NONE + Num1];
    ColourDepth: Look, ICON_PALETTE, "Colour by depth", "Colours show the depth in the frame's camera", [NONE + Num2];
    ColourHeight: Look, ICON_PALETTE, "Colour by height", "Colours show the height above the floor", [NONE + Num3];
    ColourConfidence: Look, ICON_PALETTE, "Colour by confidence", "Colours show how sure the model is", [NONE + Num4];
    ColourNormal: Look, ICON_PALETTE, "Colour by normal", "Colours show the direction of the surface", [NONE + Num5];
    ColourFrame: Look, ICON_PALETTE, "Colour by frame", "Colours show the index of the frame", [NONE + Num6];
    ColourFlow: Look, ICON_PALETTE, "Colour by flow", "Colours show direction and length of the scene flow", [NONE + Num7];
    ColourMask: Look, ICON_PALETTE, "Colour by motion", "Colours show how likely a point moves", [NONE + Num8];
    DrawPoints: Look, ICON_GRAIN, "Draw points", "Every pixel becomes a point", [NONE + P];
    DrawSurface: Look, ICON_TEXTURE, "Draw a surface", "The frame's grid becomes a surface, cut at depth edges", [NONE + S];
    DrawSmooth: Look, ICON_BLUR_ON, "Draw smooth points", "Points at the same depth are blended", [];
    ToggleGhosts: Look, ICON_ANIMATION, "Ghosts", "Shows frames before and after this one", [NONE + G];
    ToggleEyeDome: Look, ICON_TONALITY, "Outlines", "Darkens steps of depth (eye-dome lighting)", [NONE + T];
    ToggleFreeze: Look, ICON_LAYERS, "Freeze still parts", "Draws the still parts of the whole clip with every frame", [];
    CycleMask: Look, ICON_DIRECTIONS_RUN, "Moving points", "Tints moving points, then shows only moving or only still ones", [SHIFT + D];
    LargerPoints: Look, ICON_ADD, "Larger points", "Draws the points larger", [NONE + CloseBracket];
    SmallerPoints: Look, ICON_REMOVE, "Smaller points", "Draws the points smaller", [NONE + OpenBracket];

    MeasureDistance: Tools, ICON_SQUARE_FOOT, "Measure a distance", "Click two points of the scene", [NONE + M];
    MeasureAngle: Tools, ICON_ARCHITECTURE, "Measure an angle", "Click three points; the angle is at the second", [NONE + A];
    ToggleClipBox: Tools, ICON_CROP, "Clip box", "Hides everything outside a box", [NONE + B];
    Compare: Tools, ICON_COMPARE, "Compare with…", "Opens a second scene beside this one", [];
    CompareWipe: Tools, ICON_SPLITSCREEN_VERTICAL_ADD, "Side by side or wipe", "Changes how two scenes share the window", [];
    CompareLink: Tools, ICON_LINK, "Link the views", "Sees both scenes from the same place at the same time", [];
    CompareEnd: Tools, ICON_CLOSE, "End the comparison", "Goes back to the first scene alone", [];
    FindAction: Tools, ICON_SEARCH, "Find an action…", "Searches every action and recent file", [COMMAND + K];
    Dismiss: Tools, ICON_CLOSE, "Cancel", "Leaves the tool, or closes the newest notice", [NONE + Escape];

    ToggleCreate: Window, ICON_DOCK_TO_RIGHT, "Create panel", "Shows or hides the Create panel", [COMMAND + Num1];
    ToggleInspect: Window, ICON_DOCK_TO_LEFT, "Inspect panel", "Shows or hides the Inspect panel", [COMMAND + Num2];
    ToggleTimeline: Window, ICON_DOCK_TO_BOTTOM, "Timeline", "Shows or hides the timeline", [COMMAND + Num3];
    TogglePanels: Window, ICON_FULLSCREEN, "Hide panels", "Hides everything but the scene; Tab does the same over the scene", [NONE + H];
    ShowModels: Window, ICON_INVENTORY_2, "Models", "Lists public models and fetches them when you agree", [COMMAND + M];
    ToggleTheme: Window, ICON_CONTRAST, "Dark or light", "Switches between the dark and the light appearance", [COMMAND + T];
    ToggleMotion: Window, ICON_SPEED, "Reduce motion", "Panels and cameras move without transitions", [];
    ShowShortcuts: Window, ICON_KEYBOARD, "Keyboard shortcuts", "Lists every shortcut", [NONE + F1, NONE + Questionmark];
}

impl Action {
    /// Name, tooltip, icon, group and keys of the action.
    pub fn spec(self) -> &'static ActionSpec {
        &SPECS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_actions_share_a_shortcut() {
        let mut seen = std::collections::HashMap::new();
        for &action in Action::ALL {
            for key in action.spec().keys {
                let other = seen.insert(*key, action);
                assert_eq!(other, None, "{action:?} and {other:?} share {key:?}");
            }
        }
    }

    #[test]
    fn every_action_stands_in_the_table_once_with_words_and_an_icon() {
        let unique: std::collections::HashSet<_> = Action::ALL.iter().collect();
        assert_eq!(unique.len(), Action::ALL.len());
        for action in Action::ALL {
            let spec = action.spec();
            assert!(!spec.name.is_empty() && spec.tooltip.len() > spec.name.len());
            assert!(!spec.icon.codepoint.is_empty());
            assert!(!spec.name.ends_with(':') && !spec.tooltip.ends_with('.'));
        }
    }
}
