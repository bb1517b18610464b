//! Picks: a click gives the very pixel that the CPU twin would draw there, and the scene's own point.

use egui_kittest::kittest::Queryable as _;
use one4d_studio::viewport::eye::Lens;
use one4d_studio::viewport::picking::{PICK_REACH_PX, PickWindow};
use one4d_studio::viewport::uniforms::point_uniforms;
use one4d_studio::viewport::{DrawMode, PointSize, raster as twin, raster_surface as surface_twin};

use super::window::{Window, window_of};
use super::*;

/// Even numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(limit)) as u32
    }

    fn place(&mut self, size: [u32; 2]) -> [u32; 2] {
        size.map(|n| self.below(n))
    }
}

/// What the twin has in a whole picture.
fn on_cpu(
    data: &FrameData,
    frame: &FrameGpu,
    (eye, options): (&PictureEye, &ViewOptions),
    size: [u32; 2],
) -> Vec<u64> {
    let uniforms = point_uniforms(&DrawnFrame::whole(frame), 0, eye, options, size);
    if options.draw == DrawMode::Surface {
        surface_twin::rasterize(data, &uniforms)
    } else {
        twin::rasterize(data, &uniforms)
    }
}

fn pick(words: &[u64], at: [u32; 2], size: [u32; 2]) -> Option<u64> {
    let window = PickWindow::around(at, size);
    window.choose(&window.cut(words, size[0]))
}

/// Points and a surface, seen through both lenses, from so near that they fill half of the picture.
fn sights() -> Vec<(&'static str, PictureEye, ViewOptions)> {
    let scene = room(3, 90, 156);
    let bounds = SceneBounds::of(&scene);
    let mut orbit = Orbit::fit(&bounds, DVec3::ZERO);
    orbit.distance *= 0.6;
    let opening = picture_eye(orbit.eye(), &bounds);
    let parallel = PictureEye {
        eye: Eye {
            lens: Lens::Orthographic(4.0),
            ..opening.eye
        },
        ..opening
    };
    let points = points_only();
    let discs = ViewOptions {
        point_size: PointSize::World(0.05),
        ..points
    };
    let surface = ViewOptions {
        draw: DrawMode::Surface,
        edge_threshold: Some(0.1),
        ..points
    };
    vec![
        ("points", opening, points),
        ("points, parallel", parallel, points),
        ("discs", opening, discs),
        ("surface", opening, surface),
        ("surface, parallel", parallel, surface),
    ]
}

#[test]
fn a_thousand_clicks_give_the_pixel_and_point_of_the_cpu_twin() {
    let Some(gpu) = gpu() else { return };
    // Graphics hardware may fuse a product and a sum, which moves a point that lies within rounding
    // of the border between two pixels; software does not.
    let is_software = gpu.0.adapter_info().device_type == wgpu::DeviceType::Cpu;
    let allowed = if is_software { 0 } else { 2 };
    let (scene, _) = room_from_its_opening_view();
    let data = FrameData::encode(&scene, 1);
    let points = scene.frame_points(1);
    let mut dice = Dice(7);
    for (name, eye, options) in sights() {
        let out = raster(gpu, best_path(gpu), &data, (&eye, &options));
        let twin = on_cpu(&data, &out.frame, (&eye, &options), SIZE);
        let (mut met, mut missed, mut differ) = (0, 0, 0);
        for _ in 0..1000 {
            let at = dice.place(SIZE);
            let found = pick(&out.visibility, at, SIZE);
            let expected = pick(&twin, at, SIZE);
            if found.map(|w| w as u32) != expected.map(|w| w as u32) {
                differ += 1;
                continue;
            }
            let Some(word) = found else {
                missed += 1;
                assert!(is_background(&out.visibility, at), "{name}: {at:?}");
                continue;
            };
            met += 1;
            let pixel = out.frame.id_layout().unpack(word as u32).pixel as usize;
            let point: [f32; 3] = points[pixel * 3..pixel * 3 + 3].try_into().unwrap();
            let kept = DVec3::from_array(point.map(f64::from));
            // Codes have 16 bits; the picture is drawn from them, the answer comes from the scene.
            let coded = data
                .quantiser
                .decode([0, 1, 2].map(|i| data.positions[pixel][i]));
            assert!(coded.distance(kept) < 2e-3, "{name}: {coded} and {kept}");
            let distance = eye.eye.distance_of((word >> 32) as u32, eye.near).unwrap();
            assert!(
                (distance / eye.eye.distance(kept) - 1.0).abs() < 0.02,
                "{name}"
            );
        }
        assert!(differ <= allowed, "{name}: {differ} of 1000 differ");
        assert!(
            met > 300 && missed > 50,
            "{name}: {met} met, {missed} missed"
        );
        if is_software {
            let id = |w: &u64| *w as u32;
            let same = out.visibility.iter().map(id).eq(twin.iter().map(id));
            assert!(same, "{name}: every pixel of the picture is the twin's");
        }
    }
}

fn is_background(words: &[u64], at: [u32; 2]) -> bool {
    let reach = PICK_REACH_PX as i64;
    let [x, y] = at.map(i64::from);
    (y - reach..=y + reach)
        .flat_map(|y| (x - reach..=x + reach).map(move |x| (x, y)))
        .filter(|(x, y)| (0..i64::from(SIZE[0])).contains(x) && (0..i64::from(SIZE[1])).contains(y))
        .all(|(x, y)| words[(y * i64::from(SIZE[0]) + x) as usize] == 0)
}

/// Clicks at pixels of the screen through the window and compares what the widget answers.
fn click_through(
    harness: &mut egui_kittest::Harness<'static, Window>,
    (scene, frame_idx): (&Scene4d, usize),
    clicks: usize,
    dice: &mut Dice,
) -> usize {
    let (device, queue) = gpu().unwrap();
    let scale = harness.ctx.pixels_per_point();
    let rect = harness.get_by_label("3D view").rect();
    let origin = [rect.min.x, rect.min.y].map(|v| (v * scale).round());
    let size = [
        (rect.max.x * scale).round() - origin[0],
        (rect.max.y * scale).round() - origin[1],
    ]
    .map(|v| v as u32);
    let state = harness.state().state;
    let eye = picture_eye(state.eye(scene, frame_idx), &SceneBounds::of(scene));
    let data = FrameData::encode(scene, frame_idx);
    let frame = FrameGpu::upload(device, queue, &data).unwrap();
    let words = on_cpu(&data, &frame, (&eye, &state.options), size);
    let points = scene.frame_points(frame_idx);
    harness.render().unwrap();
    let mut met = 0;
    for _ in 0..clicks {
        let at = dice.place(size);
        // The upper left corner of a pixel of the screen, as a mouse reports it.
        let pointer = egui::pos2(
            (origin[0] + at[0] as f32) / scale,
            (origin[1] + at[1] as f32) / scale,
        );
        let answer = click(harness, pointer);
        let expected = pick(&words, at, size).map(|word| {
            let pixel = frame.id_layout().unpack(word as u32).pixel as usize;
            let point = DVec3::from_array([0, 1, 2].map(|i| f64::from(points[pixel * 3 + i])));
            (frame_idx, pixel % scene.width, pixel / scene.width, point)
        });
        let found = answer.map(|(pick, point)| (pick.frame_idx, pick.column, pick.row, point));
        assert_eq!(found, expected, "at {at:?} of {size:?}, scale {scale}");
        met += usize::from(found.is_some());
    }
    met
}

fn click(
    harness: &mut egui_kittest::Harness<'static, Window>,
    at: egui::Pos2,
) -> Option<(one4d_studio::viewport::Pick, DVec3)> {
    // Long enough that two clicks are no double click.
    harness.run_steps(8);
    harness.state_mut().clicks.clear();
    harness.event(egui::Event::PointerMoved(at));
    for pressed in [true, false] {
        harness.event(egui::Event::PointerButton {
            pos: at,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::NONE,
        });
        harness.step();
    }
    wait_until(|| {
        harness.step();
        !harness.state().clicks.is_empty()
    });
    harness.state_mut().clicks.pop().unwrap()
}

#[test]
fn clicks_through_the_window_are_exact_at_any_pixel_density() {
    if gpu().is_none() {
        return;
    }
    let scene = Arc::new(room(3, 90, 156));
    let mut dice = Dice(11);
    let mut met = 0;
    for (scale, margin) in [(1.0, 13.0), (1.5, 7.3)] {
        for draw in [DrawMode::Points, DrawMode::Surface] {
            let mut harness = window_of(Some(Arc::clone(&scene)), scale, margin);
            harness.state_mut().state.options = ViewOptions {
                draw,
                ..points_only()
            };
            super::window::show(&mut harness, 1);
            harness.state_mut().state.orbit.distance *= 0.6;
            harness.run_steps(8);
            met += click_through(&mut harness, (&scene, 1), 40, &mut dice);
        }
    }
    assert!(met > 50, "{met} of 160 clicks met a point");
}
