//! A real window on a real display whose graphics device goes again and again: each time another
//! window opens and goes on, until it is no accident any more. Needs a display, else it is skipped.

#![expect(clippy::print_stdout, reason = "a skipped test says so")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use one4d_studio::state::session::Session;
use one4d_studio::viewport::headless_device;
use one4d_studio::{StudioOptions, run_studio};
use one4d_tests::scenes::room;

/// Pictures that a device lives for; the scene comes within the first two windows and plays.
const LIFE_PICTURES: usize = 12;

fn main() {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if !has_display || headless_device().ok().flatten().is_none() {
        println!("skipped: no display or no graphics adapter, not even a software one");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("room.one4d");
    room(5, 60, 100).save(&path).unwrap();
    a_lost_device_costs_a_window_and_nothing_else(folder.path().join("studio"), path);
    println!("a lost device costs a window and nothing else: ok");
}

fn a_lost_device_costs_a_window_and_nothing_else(root: PathBuf, path: PathBuf) {
    let losses = Rc::new(Cell::new(0));
    let counted = Rc::clone(&losses);
    let mut pictures = 0;
    let options = StudioOptions {
        root: Some(root.clone()),
        on_picture: Some(Box::new(move |device: &wgpu::Device| {
            pictures += 1;
            if pictures % LIFE_PICTURES == 0 {
                device.destroy();
                counted.set(counted.get() + 1);
            }
        })),
        ..StudioOptions::default()
    };
    let ended = run_studio(vec![path.clone()], options);
    let message = ended
        .expect_err("devices that go all the time end it")
        .to_string();
    assert!(message.contains("lost 4 times"), "{message}");
    assert_eq!(losses.get(), 4, "a window a device");
    let session = find(&root, "session.json").expect("the session is saved");
    let session: Session = serde_json::from_slice(&std::fs::read(session).unwrap()).unwrap();
    assert_eq!(session.last_scene.as_deref(), Some(path.as_path()));
    assert!(session.scene(&path).is_some(), "the scene was on screen");
}

/// A file of a name below a folder.
fn find(folder: &std::path::Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| {
            if path.is_dir() {
                find(&path, name)
            } else {
                path.ends_with(name).then_some(path)
            }
        })
}
