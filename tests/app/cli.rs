//! The program itself, as a person or a script runs it: exit codes, JSON, nothing half written.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use one4d_tests::bundle::tiny_bundle;
use serde_json::Value;

static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap().keep();
    tiny_bundle(&folder)
});

/// The program beside the test binary; `None` if only the tests were built.
fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let program = tests.parent()?.parent()?.join("one4d");
    program.is_file().then_some(program)
}

fn one4d(arguments: &[&str]) -> Option<Output> {
    let Some(program) = program() else {
        println!("skipped: the program one4d was not built beside the tests");
        return None;
    };
    Some(Command::new(program).args(arguments).output().unwrap())
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stdout)))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn render_inspect_and_export_speak_json() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clips");
    let small = ["--frames", "5", "--height", "32", "--width", "48", "--json"];
    let mut render = vec!["render", "--seed", "3", "--out", text(&out)];
    render.extend(small);
    let Some(rendered) = one4d(&render) else {
        return;
    };
    assert!(rendered.status.success());
    let scene = json(&rendered)["files"][0].as_str().unwrap().to_owned();
    let inspected = json(&one4d(&["inspect", &scene, "--json"]).unwrap());
    assert!(inspected["text"].as_str().unwrap().contains("4D scene"));
    let exports = folder.path().join("exports");
    let export = [
        "export",
        &scene,
        "--format",
        "ply,glb",
        "--out",
        text(&exports),
        "--json",
    ];
    let exported = one4d(&export).unwrap();
    assert_eq!(exported.status.code(), Some(0));
    let written = json(&exported);
    let files = written["files"].as_array().unwrap();
    assert_eq!(files.len(), 5 + 5 + 1);
    assert!(
        files
            .iter()
            .all(|file| Path::new(file.as_str().unwrap()).is_file())
    );
}

#[test]
fn generate_reports_every_stage() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let model = text(&MODEL).to_owned();
    let arguments = [
        "generate",
        "--prompt",
        "a room",
        "--model",
        &model,
        "--steps",
        "2",
        "--out",
        text(&out),
        "--json",
    ];
    let Some(output) = one4d(&arguments) else {
        return;
    };
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = json(&output);
    assert_eq!(report["stages"].as_array().unwrap().len(), 8);
    assert!(report["secs"].as_f64().unwrap() > 0.0);
    assert!(out.join("scene.one4d").is_file());
}

#[test]
fn wrong_use_is_code_two_and_failure_is_code_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(folder.path()).to_owned();
    let model = text(&MODEL).to_owned();
    let missing = text(&folder.path().join("none.png")).to_owned();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["generate", "--out", &out], 2, "prompt"),
        (
            &[
                "generate", "--image", "a.png", "--image", "b.png", "--at", "0", "--out", &out,
            ],
            2,
            "--at",
        ),
        (
            &[
                "generate", "--prompt", "x", "--steps", "many", "--out", &out,
            ],
            2,
            "many",
        ),
        (
            &[
                "generate", "--image", &missing, "--model", &model, "--out", &out,
            ],
            1,
            "none.png",
        ),
        (&["inspect", &missing], 1, "none.png"),
        (
            &["export", &missing, "--format", "ply", "--out", &out],
            1,
            "none.png",
        ),
    ];
    for (arguments, code, words) in cases {
        let Some(output) = one4d(arguments) else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{words:?} not in {said:?}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "nothing may be left behind");
}

#[test]
fn doctor_says_what_will_run_here() {
    let Some(output) = one4d(&["doctor", "--json"]) else {
        return;
    };
    assert!(output.status.success());
    let report = json(&output);
    assert!(report["gflops_f32"].as_f64().unwrap() > 0.0);
    assert!(report["graphics"].is_array());
}

#[test]
fn an_evaluation_that_is_not_whole_exits_with_three() {
    use one4d_tests::benchmark_files::{SIZE, depth, dpt, write, write_predictions};
    let folder = tempfile::tempdir().unwrap();
    let (root, pred) = (folder.path().join("sintel"), folder.path().join("pred"));
    let frames: Vec<Vec<f32>> = (0..2).map(|t| depth(0, t)).collect();
    for (t, frame) in frames.iter().enumerate() {
        let name = format!("training/depth/alley_1/frame_{:04}.dpt", t + 1);
        write(&root.join(name), dpt(SIZE.0, SIZE.1, frame)).unwrap();
    }
    write_predictions(&pred.join("alley_1"), &frames).unwrap();
    let csv = folder.path().join("depth.csv");
    let mut arguments = vec![
        "eval",
        "depth",
        "--dataset",
        "sintel",
        "--preset",
        "exact-l1",
    ];
    arguments.extend([
        "--root",
        text(&root),
        "--pred",
        text(&pred),
        "--csv",
        text(&csv),
    ]);
    arguments.push("--json");
    let Some(output) = one4d(&arguments) else {
        return;
    };
    assert_eq!(output.status.code(), Some(3));
    let report = json(&output);
    assert_eq!(
        (&report["measured"], &report["of"]),
        (&1.into(), &23.into())
    );
    assert!(
        std::fs::read_to_string(&csv)
            .unwrap()
            .contains("alley_2,missing")
    );
    arguments.extend(["--sequence", "alley_1"]);
    assert_eq!(one4d(&arguments).unwrap().status.code(), Some(0));
    arguments.extend(["--gt", "x"]);
    assert_eq!(one4d(&arguments).unwrap().status.code(), Some(2));
    let check = [
        "datasets",
        "check",
        "--dataset",
        "bedlam",
        "--root",
        text(&root),
    ];
    let output = one4d(&check).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("looked for"));
}

/// What a command printed for people, results and errors.
fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn the_folder_of_a_run_is_enough_to_export_videos_and_to_inspect() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let generate = [
        "generate",
        "--prompt",
        "a room",
        "--model",
        text(&MODEL),
        "--device",
        "cpu",
        "--out",
        text(&run),
    ];
    let Some(generated) = one4d(&generate) else {
        return;
    };
    let said = printed(&generated);
    assert!(generated.status.success(), "{said}");
    assert!(said.contains("plan: about "), "{said}");
    let videos = folder.path().join("videos");
    let export = [
        "export",
        text(&run),
        "--format",
        "mp4,mp4-depth",
        "--out",
        text(&videos),
    ];
    let exported = one4d(&export).unwrap();
    assert!(exported.status.success(), "{}", printed(&exported));
    assert!(videos.join("frames.mp4").is_file() && videos.join("depth.mp4").is_file());
    let inspected = printed(&one4d(&["inspect", text(&run)]).unwrap());
    assert!(inspected.contains("4D scene"), "{inspected}");
    let manifest = MODEL.join("model.json");
    let inspected = printed(&one4d(&["inspect", text(&manifest)]).unwrap());
    assert!(inspected.contains("model bundle"), "{inspected}");
}

#[test]
fn what_is_refused_comes_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "notes").unwrap();
    let lora = format!("{}:strong", text(&file));
    let cases: [(&[&str], &str); 8] = [
        (&["plan", "wan-1.3b", "--frames", "80"], "1, 5, 9"),
        (&["plan", "wan-1.3b", "--height", "481"], "multiple of 16"),
        (&["plan", "wan-2b"], "wan-14b and wan-1.3b"),
        (&["plan", text(folder.path())], "models assemble"),
        (&["plan", "--step-cache", "2"], "0 computes every step"),
        (
            &["generate", "--prompt", "x", "--lora", &lora, "--out", "x"],
            "`strong` is no strength",
        ),
        (&["models", "locate", "4dnext"], "one4d models list"),
        (
            &[
                "generate",
                "--prompt",
                "x",
                "--cfg",
                "-1",
                "--out",
                text(folder.path()),
            ],
            "1 switches guidance off",
        ),
    ];
    for (arguments, words) in cases {
        let Some(refused) = one4d(arguments) else {
            return;
        };
        let said = printed(&refused);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let inspected = printed(&one4d(&["inspect", text(&file)]).unwrap());
    assert!(inspected.contains("can be inspected"), "{inspected}");
}
