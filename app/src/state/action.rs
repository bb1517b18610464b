//! Actions: commands without a payload, with their names, tooltips and keys in one table.

use egui::{Key, KeyboardShortcut, Modifiers};
use egui_material_icons::{MaterialIcon, icons};

/// A command without a payload; see [`Action::spec`] for its name, tooltip and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table below says what each one does")]
pub enum Action {
    NewInput,
    Open,
    OpenFolder,
    Export,
    Quit,
    Generate,
    PlayPause,
    PreviousFrame,
    NextFrame,
    BackTen,
    ForwardTen,
    FirstFrame,
    LastFrame,
    SetIn,
    SetOut,
    ClearRange,
    CycleLoop,
    Slower,
    Faster,
    ToggleCreate,
    ToggleInspect,
    ToggleTimeline,
    TogglePanels,
    ToggleTheme,
    ToggleMotion,
    ShowShortcuts,
    Dismiss,
    Focus,
    LookThrough,
    ToggleFrustums,
    ToggleGrid,
    ToggleAxes,
    LargerPoints,
    SmallerPoints,
}

/// Groups of the sheet of shortcuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Files and jobs.
    File,
    /// Playback.
    Time,
    /// The scene's view.
    View,
    /// Panels and appearance.
    Window,
}

impl Group {
    /// Every group, in order.
    pub const ALL: [Self; 4] = [Self::File, Self::Time, Self::View, Self::Window];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::File => "Files and jobs",
            Self::Time => "Time",
            Self::View => "View",
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

const NO_KEYS: &[KeyboardShortcut] = &[];

macro_rules! keys {
    ($($modifier:ident + $key:ident),+) => {
        const { &[$(KeyboardShortcut::new(Modifiers::$modifier, Key::$key)),+] as &[KeyboardShortcut] }
    };
}

const COMMAND_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

impl Action {
    /// Every action, in the order of the sheet.
    pub const ALL: &'static [Self] = &[
        Self::NewInput,
        Self::Open,
        Self::OpenFolder,
        Self::Export,
        Self::Generate,
        Self::Quit,
        Self::PlayPause,
        Self::PreviousFrame,
        Self::NextFrame,
        Self::BackTen,
        Self::ForwardTen,
        Self::FirstFrame,
        Self::LastFrame,
        Self::SetIn,
        Self::SetOut,
        Self::ClearRange,
        Self::CycleLoop,
        Self::Slower,
        Self::Faster,
        Self::Focus,
        Self::LookThrough,
        Self::ToggleFrustums,
        Self::ToggleGrid,
        Self::ToggleAxes,
        Self::LargerPoints,
        Self::SmallerPoints,
        Self::ToggleCreate,
        Self::ToggleInspect,
        Self::ToggleTimeline,
        Self::TogglePanels,
        Self::ToggleTheme,
        Self::ToggleMotion,
        Self::ShowShortcuts,
        Self::Dismiss,
    ];

    /// Name, tooltip, icon, group and keys of the action: the one table, a row an action.
    #[rustfmt::skip]
    pub fn spec(self) -> ActionSpec {
        use Group::{File, Time, View, Window};
        let (name, tooltip, icon, group, keys) = match self {
            Self::NewInput => ("New scene", "Clears the inputs and starts over", icons::ICON_ADD, File, keys![COMMAND + N]),
            Self::Open => ("Open…", "Opens an image, a video or a saved scene", icons::ICON_FOLDER_OPEN, File, keys![COMMAND + O]),
            Self::OpenFolder => ("Open folder…", "Opens a folder of frames or a saved scene", icons::ICON_FOLDER, File, OPEN_FOLDER),
            Self::Export => ("Export…", "Writes the scene as PLY, GLB or a scene file", icons::ICON_IOS_SHARE, File, keys![COMMAND + E]),
            Self::Generate => ("Generate scene", "Makes a 4D scene from the inputs", icons::ICON_AUTO_AWESOME, File, keys![COMMAND + Enter]),
            Self::Quit => ("Quit", "Closes the studio", icons::ICON_LOGOUT, File, keys![COMMAND + Q]),
            Self::PlayPause => ("Play or pause", "Plays the scene over time", icons::ICON_PLAY_ARROW, Time, keys![NONE + Space, NONE + K]),
            Self::PreviousFrame => ("Previous frame", "Steps one frame back", icons::ICON_CHEVRON_LEFT, Time, keys![NONE + ArrowLeft, NONE + Comma]),
            Self::NextFrame => ("Next frame", "Steps one frame forward", icons::ICON_CHEVRON_RIGHT, Time, keys![NONE + ArrowRight, NONE + Period]),
            Self::BackTen => ("Back ten frames", "Steps ten frames back", icons::ICON_KEYBOARD_DOUBLE_ARROW_LEFT, Time, keys![SHIFT + ArrowLeft]),
            Self::ForwardTen => ("Forward ten frames", "Steps ten frames forward", icons::ICON_KEYBOARD_DOUBLE_ARROW_RIGHT, Time, keys![SHIFT + ArrowRight]),
            Self::FirstFrame => ("First frame", "Jumps to the first frame", icons::ICON_SKIP_PREVIOUS, Time, keys![NONE + Home]),
            Self::LastFrame => ("Last frame", "Jumps to the last frame", icons::ICON_SKIP_NEXT, Time, keys![NONE + End]),
            Self::SetIn => ("Set in", "Playback starts at this frame", icons::ICON_LINE_START, Time, keys![NONE + I]),
            Self::SetOut => ("Set out", "Playback ends at this frame", icons::ICON_LINE_END, Time, keys![NONE + O]),
            Self::ClearRange => ("Clear in and out", "Playback covers the whole scene", icons::ICON_CLOSE, Time, keys![NONE + X]),
            Self::CycleLoop => ("Loop mode", "Play once, loop, or back and forth", icons::ICON_REPEAT, Time, keys![SHIFT + L]),
            Self::Slower => ("Slower", "Lowers the playback speed", icons::ICON_FAST_REWIND, Time, keys![NONE + J]),
            Self::Faster => ("Faster", "Raises the playback speed", icons::ICON_FAST_FORWARD, Time, keys![NONE + L]),
            Self::ToggleCreate => ("Create panel", "Shows or hides the Create panel", icons::ICON_DOCK_TO_RIGHT, Window, keys![COMMAND + Num1]),
            Self::ToggleInspect => ("Inspect panel", "Shows or hides the Inspect panel", icons::ICON_DOCK_TO_LEFT, Window, keys![COMMAND + Num2]),
            Self::ToggleTimeline => ("Timeline", "Shows or hides the timeline", icons::ICON_DOCK_TO_BOTTOM, Window, keys![COMMAND + Num3]),
            Self::TogglePanels => ("Hide panels", "Hides everything but the scene; Tab does the same over the scene", icons::ICON_FIT_SCREEN, Window, keys![NONE + H]),
            Self::ToggleTheme => ("Dark or light", "Switches between the dark and the light appearance", icons::ICON_CONTRAST, Window, keys![COMMAND + T]),
            Self::ToggleMotion => ("Reduce motion", "Panels and cameras move without transitions", icons::ICON_SPEED, Window, NO_KEYS),
            Self::ShowShortcuts => ("Keyboard shortcuts", "Lists every shortcut", icons::ICON_KEYBOARD, Window, keys![NONE + F1]),
            Self::Dismiss => ("Dismiss", "Closes the newest notice", icons::ICON_CLOSE, Window, keys![NONE + Escape]),
            Self::Focus => ("Show whole scene", "Goes back to where the whole scene is in view", icons::ICON_CENTER_FOCUS_STRONG, View, keys![NONE + F]),
            Self::LookThrough => ("Look through camera", "Sees the scene through the camera of the current frame", icons::ICON_VIDEOCAM, View, keys![NONE + C]),
            Self::ToggleFrustums => ("Cameras", "Shows the cameras of all frames", icons::ICON_PHOTO_CAMERA, View, keys![SHIFT + C]),
            Self::ToggleGrid => ("Grid", "Shows the ground grid", icons::ICON_GRID_4X4, View, keys![SHIFT + G]),
            Self::ToggleAxes => ("Axes", "Shows the directions of the world", icons::ICON_VIEW_IN_AR, View, keys![SHIFT + A]),
            Self::LargerPoints => ("Larger points", "Draws the points larger", icons::ICON_ADD, View, keys![NONE + CloseBracket]),
            Self::SmallerPoints => ("Smaller points", "Draws the points smaller", icons::ICON_REMOVE, View, keys![NONE + OpenBracket]),
        };
        ActionSpec {
            name,
            tooltip,
            icon,
            group,
            keys,
        }
    }
}

const OPEN_FOLDER: &[KeyboardShortcut] = &[KeyboardShortcut::new(COMMAND_SHIFT, Key::O)];

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
