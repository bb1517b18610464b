//! Keys to actions: consumes the table of [`crate::state::action`].

use egui::{Context, Key, KeyboardShortcut, ModifierNames, Modifiers};

use crate::state::{Action, AppState};

/// The keys of a shortcut as people write them: "Ctrl+O".
pub fn text(shortcut: KeyboardShortcut) -> String {
    let text = shortcut.format(&ModifierNames::NAMES, cfg!(target_os = "macos"));
    match shortcut.logical_key {
        Key::ArrowLeft => text.replace("Left", "←").replace("Arrow", ""),
        Key::ArrowRight => text.replace("Right", "→").replace("Arrow", ""),
        Key::CloseBracket => text.replace("CloseBracket", "]"),
        Key::OpenBracket => text.replace("OpenBracket", "["),
        Key::Comma => text.replace("Comma", ","),
        Key::Period => text.replace("Period", "."),
        Key::Escape => text.replace("Escape", "Esc"),
        Key::Questionmark => text.replace("Questionmark", "?"),
        _ => text,
    }
}

/// Takes the actions whose keys were pressed.
///
/// Keys that type something are left to a text field that has the keyboard, and while a dialog is
/// open all but Escape are left alone.
pub fn pressed(ctx: &Context, state: &AppState) -> Vec<Action> {
    if state.is_modal() {
        return Vec::new();
    }
    let typing = ctx.egui_wants_keyboard_input();
    // While the right button is held, letters fly.
    let flying = ctx.input(|input| input.pointer.secondary_down());
    let menu = egui::Popup::is_any_open(ctx);
    let mut keys: Vec<_> = Action::ALL
        .iter()
        .flat_map(|&action| action.spec().keys.iter().map(move |&key| (action, key)))
        .filter(|(_, key)| !(typing || flying) || !types_something(*key))
        // An open menu is what Escape closes first.
        .filter(|(_, key)| !menu || key.logical_key != Key::Escape)
        .collect();
    // A shortcut also answers when more modifiers are held, so those with more come first.
    keys.sort_by_key(|(_, key)| std::cmp::Reverse(num_modifiers(key.modifiers)));
    ctx.input_mut(|input| {
        keys.into_iter()
            .filter(|(_, key)| input.consume_shortcut(key))
            .map(|(action, _)| action)
            .collect()
    })
}

fn types_something(key: KeyboardShortcut) -> bool {
    !key.modifiers.command && !key.modifiers.ctrl && key.logical_key != Key::F1
}

fn num_modifiers(modifiers: Modifiers) -> usize {
    [modifiers.alt, modifiers.shift, modifiers.command]
        .into_iter()
        .filter(|&held| held)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_people_write_them() {
        let first = |action: Action| text(action.spec().keys[0]);
        assert_eq!(first(Action::PlayPause), "Space");
        assert_eq!(first(Action::PreviousFrame), "←");
        assert_eq!(first(Action::LargerPoints), "]");
        if !cfg!(target_os = "macos") {
            assert_eq!(first(Action::Generate), "Ctrl+Enter");
            assert_eq!(first(Action::OpenFolder), "Ctrl+Shift+O");
        }
    }
}
