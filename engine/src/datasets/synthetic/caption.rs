//! Captions: the place, what stands in it, what it does, and how the camera moves.

use std::collections::BTreeMap;

use super::world::{Object, World};

/// Longest caption in bytes, so that a byte-level text encoder reads it whole.
pub(super) const MAX_CAPTION_BYTES: usize = 120;

/// Describes a world in at most [`MAX_CAPTION_BYTES`] bytes.
///
/// Moving objects come first; what does not fit is left out, never cut.
pub(super) fn caption(world: &World) -> String {
    let camera = format!(
        ". The camera {}{}.",
        world.path.motion.words(),
        if world.path.shake.is_some() {
            ", hand held"
        } else {
            ""
        }
    );
    let mut text = world.place.clone();
    let mut joint = " with ";
    for phrase in phrases(&world.objects) {
        if text.len() + joint.len() + phrase.len() + camera.len() > MAX_CAPTION_BYTES {
            break;
        }
        text.push_str(joint);
        text.push_str(&phrase);
        joint = ", ";
    }
    text + &camera
}

fn phrases(objects: &[Object]) -> Vec<String> {
    let named = || objects.iter().filter(|object| !object.name.is_empty());
    let mut phrases: Vec<String> = named()
        .filter(|object| !object.verb.is_empty())
        .map(|object| format!("{} {}", with_article(&object.name), object.verb))
        .collect();
    let mut still: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for object in named().filter(|object| object.verb.is_empty()) {
        let count = still.entry(&object.name).or_default();
        *count += 1;
        if *count == 1 {
            order.push(object.name.as_str());
        }
    }
    phrases.extend(order.into_iter().map(|name| match still.get(name) {
        Some(1) | None => with_article(name),
        Some(count) => format!("{count} {name}s"),
    }));
    phrases
}

fn with_article(name: &str) -> String {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {name}", if vowel { "an" } else { "a" })
}
