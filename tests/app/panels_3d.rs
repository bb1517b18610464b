//! The studio with its 3D view: picks in one scene and in two, drops on a half, pictures and exports
//! of what is seen. Skipped without a graphics adapter.

use std::sync::Arc;
use std::time::Instant;

use egui::{Pos2, Rect, Role, pos2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use glam::DVec3;
use one4d_engine::scene::Scene4d;
use one4d_engine::worker::{ExportFormat, JobRequest, Output};
use one4d_studio::state::command::{Action, AppCommand, ExportEdit, Pick, Target, TimeEdit};
use one4d_studio::state::compare::Comparing;
use one4d_studio::viewport::bounds::SceneBounds;
use one4d_studio::viewport::filter::PointFilter;
use one4d_studio::viewport::frame_data::FrameData;
use one4d_studio::viewport::frame_gpu::FrameGpu;
use one4d_studio::viewport::picking::PickWindow;
use one4d_studio::viewport::renderer::{DrawnFrame, PictureEye};
use one4d_studio::viewport::scene_lines::Fade;
use one4d_studio::viewport::uniforms::point_uniforms;
use one4d_studio::viewport::{ClipBox, ViewOptions, ViewportState, headless_device, raster};
use one4d_tests::scenes::room;

use super::stage::{Do, Stage4d};

fn has_adapter() -> bool {
    let found = headless_device().ok().flatten().is_some();
    if !found {
        println!("skipped: no graphics adapter, not even a software one");
    }
    found
}

/// Opens a scene from a file of a name and stops at a frame.
fn open(stage: &mut Stage4d, name: &str, scene: &Arc<Scene4d>, target: Target) {
    let path = stage.folder.path().join(name);
    std::fs::write(&path, b"the puppet does not read it").unwrap();
    stage.command(AppCommand::OpenPaths(vec![path], target));
    give(stage, scene);
    stage.command(AppCommand::Time(TimeEdit::Seek(1)));
}

fn give(stage: &mut Stage4d, scene: &Arc<Scene4d>) {
    stage.send(Do::Show(Arc::clone(scene)));
    stage.send(Do::Finish(Output::default()));
    stage.until("it has been asked for", |s| s.jobs.num_active() > 0);
    stage.until("it has been opened", |s| s.jobs.num_active() == 0);
}

/// Goes on until what the views wait for is on them.
fn settle(stage: &mut Stage4d) {
    let begin = Instant::now();
    for _ in 0..12 {
        stage.harness.step();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    while stage.state().shown.is_loading {
        assert!(begin.elapsed().as_secs() < 20, "the frame never came");
        stage.harness.step();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    stage.harness.render().unwrap();
    stage.harness.step();
}

/// What the CPU says is at a pixel of a view of frame 1: column and row of the frame.
struct Truth {
    words: Vec<u64>,
    size: [u32; 2],
    width: usize,
}

impl Truth {
    fn new(scene: &Scene4d, view: &ViewportState, size: [u32; 2]) -> Self {
        let (device, queue) = headless_device().unwrap().unwrap();
        let data = FrameData::encode(scene, 1);
        let frame = FrameGpu::upload(&device, &queue, &data).unwrap();
        let eye = PictureEye {
            eye: view.eye(scene, 1),
            near: SceneBounds::of(scene).near(),
            fade: Fade::under(DVec3::ZERO, 1.0, 0.0),
        };
        let drawn = DrawnFrame::whole(&frame);
        let uniforms = point_uniforms(&drawn, 0, &eye, &view.options, size);
        Self {
            words: raster::rasterize(&data, &uniforms),
            size,
            width: scene.width,
        }
    }

    fn at(&self, at: [u32; 2]) -> Option<(usize, usize)> {
        let window = PickWindow::around(at, self.size);
        let word = window.choose(&window.cut(&self.words, self.size[0]))?;
        let pixel = (word as u32 & ((1 << 19) - 1)) as usize;
        Some((pixel % self.width, pixel / self.width))
    }
}

/// The views on screen, from left to right.
fn views(stage: &Stage4d) -> Vec<Rect> {
    let mut views: Vec<Rect> = stage
        .harness
        .get_all_by_label("3D view")
        // Pictures begin and end with a pixel of the screen.
        .map(|node| Rect::from_min_max(node.rect().min.round(), node.rect().max.round()))
        .collect();
    views.sort_by(|a, b| a.left().total_cmp(&b.left()));
    views
}

/// Pixels of a view that lie away from what is drawn over it.
fn places(view: Rect, dice: &mut u64) -> [u32; 2] {
    let mut below = |limit: f32| {
        *dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((*dice >> 33) as f32 / (1_u64 << 31) as f32 * limit) as u32
    };
    [
        20 + below(view.width() - 40.0),
        140 + below(view.height() - 280.0),
    ]
}

/// "x … at pixel 12, 34" as column and row.
fn readout(stage: &Stage4d) -> Option<(usize, usize)> {
    let node = stage.harness.query_by_label_contains("at pixel")?;
    let node = node.accesskit_node();
    let words = node.value().or_else(|| node.label())?;
    let (_, pixel) = words.rsplit_once("at pixel ")?;
    let (column, row) = pixel.split_once(", ")?;
    Some((column.parse().ok()?, row.parse().ok()?))
}

/// What is read out with the pointer at a place, once it is what is expected or long enough after.
fn read_at(
    stage: &mut Stage4d,
    at: Pos2,
    expected: Option<(usize, usize)>,
) -> Option<(usize, usize)> {
    stage.harness.event(egui::Event::PointerMoved(at));
    let begin = Instant::now();
    loop {
        // Asked for, copied, and taken.
        stage.harness.run_steps(4);
        let found = readout(stage);
        if found == expected || begin.elapsed().as_secs() > 5 {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn two_scenes_side_by_side_tell_the_exact_pixel_under_the_pointer() {
    if !has_adapter() {
        return;
    }
    let mut stage = Stage4d::in_3d();
    let first = Arc::new(room(3, 60, 100));
    let second = Arc::new(room(3, 48, 80));
    open(&mut stage, "first.one4d", &first, Target::ByKind);
    open(&mut stage, "second.one4d", &second, Target::Compare);
    stage.until("both are there", |s| s.comparing.both().is_some());
    settle(&mut stage);
    let views = views(&stage);
    assert_eq!(views.len(), 2);
    let mut dice = 3;
    let mut met = 0;
    for (view, scene) in [(views[0], &first), (views[1], &second)] {
        let size = [view.width(), view.height()].map(|v| v.round() as u32);
        let truth = Truth::new(scene, &stage.state().view, size);
        for _ in 0..30 {
            let at = places(view, &mut dice);
            let pointer = view.min + egui::vec2(at[0] as f32, at[1] as f32);
            let expected = truth.at(at);
            let found = read_at(&mut stage, pointer, expected);
            assert_eq!(found, expected, "{at:?} of {size:?}");
            met += usize::from(found.is_some());
        }
    }
    assert!(met > 15, "{met} of 60 met a point");
}

#[test]
fn a_file_let_go_over_the_right_half_is_compared_and_over_the_left_opened() {
    let mut stage = Stage4d::with_scene(3);
    let before = stage.state().scene.as_ref().unwrap().serial;
    let path = stage.folder.path().join("other.one4d");
    std::fs::write(&path, b"the puppet does not read it").unwrap();
    let other = super::timeline::small_scene(4);
    // The middle of the window lies between the panels.
    stage.drop_at(&path, pos2(900.0, 300.0));
    give(&mut stage, &other);
    stage.until("it is compared", |s| s.comparing.both().is_some());
    assert_eq!(stage.state().scene.as_ref().unwrap().serial, before);
    stage.command(AppCommand::Act(Action::CompareEnd));
    stage.drop_at(&path, pos2(420.0, 300.0));
    give(&mut stage, &other);
    stage.until("it is opened", |s| {
        s.scene.as_ref().is_some_and(|open| open.serial > before)
    });
    assert!(matches!(stage.state().comparing, Comparing::No));
}

#[test]
fn a_picture_is_written_where_the_dialog_said_in_its_size() {
    if !has_adapter() {
        return;
    }
    let mut stage = Stage4d::in_3d();
    open(
        &mut stage,
        "room.one4d",
        &Arc::new(room(2, 30, 50)),
        Target::ByKind,
    );
    settle(&mut stage);
    stage.command(AppCommand::Act(Action::Screenshot));
    stage.harness.step();
    let size = stage.state().shot.as_ref().unwrap().picture_px();
    // The person typed no ending.
    let typed = stage.folder.path().join("deep/view");
    let path = typed.with_extension("png");
    stage.choose(Pick::Screenshot, &typed);
    let begin = Instant::now();
    while !stage
        .state()
        .notices
        .list()
        .iter()
        .any(|n| n.body.contains("view.png"))
    {
        assert!(begin.elapsed().as_secs() < 60, "the picture never came");
        std::thread::sleep(std::time::Duration::from_millis(5));
        stage.harness.step();
    }
    let image = image::open(&path).expect("a whole picture");
    assert_eq!([image.width(), image.height()], size);
    let colours: std::collections::BTreeSet<_> = image.to_rgb8().pixels().map(|p| p.0).collect();
    assert!(colours.len() > 100, "{} colours", colours.len());
}

#[test]
fn an_export_leaves_out_what_the_view_hides_and_says_so() {
    let mut stage = Stage4d::with_scene(3);
    stage.command(AppCommand::Act(Action::Export));
    assert!(
        !stage.state().export.as_ref().unwrap().as_shown,
        "nothing out of the usual is hidden"
    );
    stage.command(AppCommand::Export(ExportEdit::Cancel));
    // The left half of the plane three units away.
    let clip_box = ClipBox {
        centre: [-2.0, 0.0, 3.0],
        half: [2.0, 9.0, 9.0],
        yaw_rad: 0.0,
    };
    let options = ViewOptions {
        clip_box: Some(clip_box),
        ..stage.state().view.options
    };
    stage.command(AppCommand::ViewOptions(options));
    while stage.asked.try_recv().is_ok() {}
    for as_shown in [true, false] {
        stage.command(AppCommand::Act(Action::Export));
        stage.harness.run_steps(4);
        assert!(
            stage.state().export.as_ref().unwrap().as_shown,
            "as the view"
        );
        stage
            .harness
            .get_by_role_and_label(Role::CheckBox, "Only points that the view shows");
        stage.command(AppCommand::Export(ExportEdit::AsShown(as_shown)));
        stage.command(AppCommand::Export(ExportEdit::Toggle(ExportFormat::Ply)));
        stage.command(AppCommand::Export(ExportEdit::Range(1, 2)));
        stage.pick_export_folder();
        stage.command(AppCommand::Export(ExportEdit::Start));
        stage.until("the export is asked for", |s| s.jobs.num_active() > 0);
        stage.send(Do::Finish(Output::default()));
        stage.until("the export is done", |s| s.jobs.num_active() == 0);
        let Ok(JobRequest::Export(request)) = stage.asked.recv() else {
            panic!("another job");
        };
        let scene = &stage.state().scene.as_ref().unwrap().scene;
        let filter = PointFilter::of(&stage.state().view.options);
        let kept = filter.kept(&FrameData::encode(scene, 1));
        let some = kept.iter().filter(|kept| **kept).count();
        assert!(some > 0 && some < kept.len(), "the box cuts the plane");
        let valid = request.scene.frame_valid(1);
        for (kept, valid) in kept.iter().zip(valid) {
            assert_eq!(*valid != 0, *kept || !as_shown);
        }
        assert_eq!(
            request.scene.frame_valid(0),
            scene.frame_valid(0),
            "out of range"
        );
    }
}

#[test]
fn short_memory_is_told_once_with_what_helps() {
    let mut stage = Stage4d::with_scene(9);
    let mut shown = stage.state().shown.clone();
    shown.frames_that_fit = Some(4);
    for _ in 0..3 {
        stage.command(AppCommand::Shown(shown.clone()));
    }
    let notices = stage.state().notices.list();
    let told: Vec<_> = notices
        .iter()
        .filter(|notice| notice.title == "The graphics memory is short")
        .collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].body.contains("4 of the 9 frames"),
        "{}",
        told[0].body
    );
    assert!(told[0].remedy.is_some());
}
