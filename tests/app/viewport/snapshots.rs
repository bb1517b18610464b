//! A few pictures as they were when a person last looked at them. Numbers are tested elsewhere; these
//! catch what nobody thought of. `UPDATE_SNAPSHOTS=1` writes them anew, to be looked at again.

use std::path::PathBuf;

use image::RgbImage;
use one4d_studio::viewport::headless::{Look, render_with};
use one4d_studio::viewport::{ColourMode, DrawMode, Ghosts};

use super::*;

/// Size of a snapshot, pixels.
const SNAPSHOT: [u32; 2] = [240, 150];
/// A channel that is further off than this is another colour: drivers round in different ways.
const NOTICEABLE: u8 = 24;
/// So many of a thousand pixels may have another colour: a point on the border of two pixels.
const MOST_DIFFERENT: usize = 10;

fn file_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/viewport/{name}.png"))
}

fn looks() -> Vec<(&'static str, Look)> {
    let usual = ViewOptions::default();
    let look = |options| Look {
        options,
        ..Look::default()
    };
    vec![
        ("points", look(usual)),
        (
            "surface",
            look(ViewOptions {
                draw: DrawMode::Surface,
                ..usual
            }),
        ),
        (
            "smooth-light",
            Look {
                palette: Palette::LIGHT,
                ..look(ViewOptions {
                    draw: DrawMode::Smooth,
                    ..usual
                })
            },
        ),
        (
            "depth",
            look(ViewOptions {
                colour: ColourMode::Depth,
                ..usual
            }),
        ),
        (
            "ghosts",
            look(ViewOptions {
                ghosts: Some(Ghosts {
                    back: 3,
                    forward: 0,
                    stride: 1,
                    fade: true,
                }),
                colour: ColourMode::Frame,
                ..usual
            }),
        ),
    ]
}

/// Pixels, of a thousand, that look different.
fn difference(a: &RgbImage, b: &RgbImage) -> usize {
    let pairs = a.pixels().zip(b.pixels());
    let other = pairs.filter(|(a, b)| (0..3).any(|i| a.0[i].abs_diff(b.0[i]) > NOTICEABLE));
    other.count() * 1000 / a.pixels().len().max(1)
}

#[test]
fn pictures_look_as_they_did() {
    let Some((device, queue)) = gpu() else { return };
    let scene = room(5, 120, 208);
    let renderer = Renderer::new(device, queue);
    let mut changed = Vec::new();
    for (name, look) in looks() {
        let gpu = (device, queue);
        let picture = render_with(gpu, &renderer, &scene, 3, (&look, SNAPSHOT)).unwrap();
        let picture = image::DynamicImage::ImageRgba8(picture).to_rgb8();
        let file = file_of(name);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            picture.save(&file).unwrap();
            continue;
        }
        let before = image::open(&file).expect("the snapshot is there").to_rgb8();
        assert_eq!(before.dimensions(), picture.dimensions());
        let different = difference(&before, &picture);
        if different > MOST_DIFFERENT {
            changed.push(format!("{name}: {different} of 1000 pixels"));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join(", "));
}

#[test]
fn a_changed_picture_is_noticed() {
    let white = RgbImage::from_pixel(40, 25, image::Rgb([250; 3]));
    let mut other = white.clone();
    assert_eq!(difference(&white, &other), 0);
    for x in 0..40 {
        other.put_pixel(x, 3, image::Rgb([200; 3]));
    }
    assert_eq!(difference(&white, &other), 40);
}
