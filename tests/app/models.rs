//! The model manager as a person and as a script use it, against a hub on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use egui_kittest::kittest::Queryable as _;
use one4d_engine::hub::{self, CATALOGUE, HubSettings, State};
use one4d_engine::worker::JobRequest;
use one4d_studio::state::command::{Action, AppCommand};
use one4d_studio::state::models::{ModelsEdit, Work};
use one4d_tests::hub_server::{COMMIT, HubFile, HubModel, HubServer, Reply};
use serde_json::Value;

use super::stage::Stage4d;

const NAME: &str = "fast-i2v-14b";
const FILE: &str = "wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors";

/// The hub's copy of a small entry of the catalogue, with a content of our own.
fn model(bytes: usize) -> HubModel {
    let entry = hub::find(NAME).unwrap();
    let files = vec![
        HubFile::large(FILE, bytes, 3),
        HubFile::small("README.md", "---\nlicense: apache-2.0\n---\n"),
    ];
    HubModel::new(entry.hub_id, files)
}

fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let program = tests.parent()?.parent()?.join("one4d");
    program.is_file().then_some(program)
}

/// The program with an environment of its own below `home`.
fn one4d(server: &HubServer, home: &Path, arguments: &[&str]) -> Option<Command> {
    let Some(program) = program() else {
        println!("skipped: the program one4d was not built beside the tests");
        return None;
    };
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", home)
        .env("HF_HOME", home.join("hf"))
        .env("HF_ENDPOINT", &server.address)
        .stdin(Stdio::null())
        .args(arguments);
    Some(command)
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn blob(home: &Path, model: &HubModel) -> PathBuf {
    let cache = hub::RepoCache::new(&home.join("hf/hub"), &model.id);
    cache.blob(&model.files[0].hash())
}

#[test]
fn nothing_is_asked_or_written_before_somebody_agrees() {
    let home = tempfile::tempdir().unwrap();
    let model = model(10_000);
    let server = HubServer::honest(model.clone());
    let run = |arguments: &[&str]| Some(one4d(&server, home.path(), arguments)?.output().unwrap());
    let Some(listed) = run(&["models", "list", "--json"]) else {
        return;
    };
    assert!(listed.status.success(), "{}", said(&listed));
    let report: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(report["models"].as_array().unwrap().len(), CATALOGUE.len());
    assert_eq!(report["models"][0]["found"]["state"], "absent");
    let located = run(&["models", "locate", NAME]).unwrap();
    assert_eq!(located.status.code(), Some(1));
    assert!(
        said(&located).contains("models fetch fast-i2v-14b"),
        "{}",
        said(&located)
    );
    assert!(server.seen().is_empty(), "looking asks nobody");
    // Without a terminal nobody can agree.
    let fetched = run(&["models", "fetch", NAME]).unwrap();
    assert_eq!(fetched.status.code(), Some(2));
    for words in [
        model.id.as_str(),
        COMMIT,
        "apache-2.0",
        "10 KB",
        "models--lightx2v",
        "Free",
        "--yes",
    ] {
        assert!(
            said(&fetched).contains(words),
            "{words}: {}",
            said(&fetched)
        );
    }
    assert!(server.files_seen().is_empty());
    assert!(!home.path().join("hf").exists(), "nothing is written");
    let wrong = run(&["models", "fetch", "no such name"]).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(server.files_seen().is_empty());
}

#[test]
fn fetch_locate_verify_and_doctor_agree() {
    let home = tempfile::tempdir().unwrap();
    let model = model(300_000);
    let server = HubServer::honest(model.clone());
    let run = |arguments: &[&str]| Some(one4d(&server, home.path(), arguments)?.output().unwrap());
    let Some(fetched) = run(&["models", "fetch", NAME, "--yes"]) else {
        return;
    };
    assert!(fetched.status.success(), "{}", said(&fetched));
    assert_eq!(
        std::fs::read(blob(home.path(), &model)).unwrap(),
        model.files[0].bytes
    );
    let asked = server.seen().len();
    let located = run(&["models", "locate", NAME]).unwrap();
    let path = String::from_utf8(located.stdout).unwrap();
    assert!(
        path.trim().ends_with(&format!("snapshots/{COMMIT}/{FILE}")),
        "{path}"
    );
    let by_id = run(&["models", "locate", &model.id]).unwrap();
    assert!(said(&by_id).contains(FILE), "{}", said(&by_id));
    assert!(run(&["models", "verify", NAME]).unwrap().status.success());
    let doctor = run(&["doctor"]).unwrap();
    assert!(
        said(&doctor).contains(&format!("{NAME} (300 KB)")),
        "{}",
        said(&doctor)
    );
    let listed = run(&["models", "list", "--here"]).unwrap();
    assert!(
        said(&listed).contains("apache-2.0") && !said(&listed).contains("4dnex"),
        "{}",
        said(&listed)
    );
    assert_eq!(server.seen().len(), asked, "none of these asks the hub");
    std::fs::write(blob(home.path(), &model), b"damage").unwrap();
    let damaged = run(&["models", "verify", NAME]).unwrap();
    assert_eq!(damaged.status.code(), Some(1));
    assert!(said(&damaged).contains("damaged"), "{}", said(&damaged));
    // Offline there is no way to mend it.
    let mut offline = one4d(&server, home.path(), &["models", "fetch", NAME, "--yes"]).unwrap();
    let offline = offline.env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert_eq!(offline.status.code(), Some(1));
    assert_eq!(server.seen().len(), asked);
}

#[test]
fn a_killed_download_goes_on_in_the_next_process_and_two_share_one() {
    let home = tempfile::tempdir().unwrap();
    let model = model(2_000_000);
    let server = HubServer::start(model.clone(), |model, seen| {
        let mut reply = model.honest(seen);
        if seen.path.ends_with(FILE) && seen.nth == 0 {
            reply.drip = Some((20_000, Duration::from_millis(10)));
        }
        reply
    });
    let arguments = ["models", "fetch", NAME, "--yes"];
    let Some(mut first) = one4d(&server, home.path(), &arguments) else {
        return;
    };
    let mut first = first
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let partial = blob(home.path(), &model).with_extension("incomplete");
    let arrived = || std::fs::metadata(&partial).map_or(0, |about| about.len());
    for _ in 0..5000 {
        if arrived() > 300_000 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let before = arrived();
    assert!((300_000..2_000_000).contains(&before), "{before}");
    let both: Vec<_> = (0..2)
        .map(|_| {
            let mut command = one4d(&server, home.path(), &arguments).unwrap();
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(
        std::fs::read(blob(home.path(), &model)).unwrap(),
        model.files[0].bytes
    );
    let asked: Vec<usize> = server
        .files_seen()
        .iter()
        .filter(|seen| seen.path.ends_with(FILE))
        .map(one4d_tests::hub_server::Seen::from)
        .collect();
    assert_eq!(
        asked,
        [0, before as usize],
        "the second process waits for the first"
    );
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_keeps_the_beginning() {
    let home = tempfile::tempdir().unwrap();
    let model = model(900_000);
    let server = HubServer::honest(model.clone());
    let Some(program) = program() else {
        println!("skipped: the program one4d was not built beside the tests");
        return;
    };
    // Files may not grow beyond 200 blocks; the signal that goes with it is ignored.
    let script = format!(
        "trap '' XFSZ; ulimit -f 200; exec {} models fetch {NAME} --yes",
        program.display()
    );
    let run = |script: &str| {
        Command::new("bash")
            .args(["-c", script])
            .env("HOME", home.path())
            .env("HF_HOME", home.path().join("hf"))
            .env("HF_ENDPOINT", &server.address)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let full = run(&script);
    assert_eq!(full.status.code(), Some(1), "{}", said(&full));
    assert!(said(&full).contains("incomplete"), "{}", said(&full));
    let partial = std::fs::read(blob(home.path(), &model).with_extension("incomplete")).unwrap();
    assert!(!partial.is_empty() && model.files[0].bytes.starts_with(&partial));
    let again = run(&format!(
        "exec {} models fetch {NAME} --yes",
        program.display()
    ));
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(
        std::fs::read(blob(home.path(), &model)).unwrap(),
        model.files[0].bytes
    );
}

#[test]
fn registered_folders_are_searched() {
    let home = tempfile::tempdir().unwrap();
    let server = HubServer::honest(model(1));
    let folder = home.path().join("ComfyUI");
    std::fs::create_dir_all(folder.join("vae")).unwrap();
    std::fs::write(folder.join("vae/wan_2.1_vae.safetensors"), b"x").unwrap();
    let path = folder.to_str().unwrap();
    let run = |arguments: &[&str]| Some(one4d(&server, home.path(), arguments)?.output().unwrap());
    let Some(registered) = run(&["models", "register", path]) else {
        return;
    };
    assert!(registered.status.success(), "{}", said(&registered));
    let located = run(&["models", "locate", "wan-vae"]).unwrap();
    assert!(
        said(&located).contains("vae/wan_2.1_vae.safetensors"),
        "{}",
        said(&located)
    );
    assert!(
        run(&["models", "register", path, "--remove"])
            .unwrap()
            .status
            .success()
    );
    assert_eq!(
        run(&["models", "locate", "wan-vae"]).unwrap().status.code(),
        Some(1)
    );
    let missing = home.path().join("none");
    let refused = run(&["models", "register", missing.to_str().unwrap()]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
}

fn index() -> usize {
    CATALOGUE
        .iter()
        .position(|entry| entry.name == NAME)
        .unwrap()
}

/// A studio with the page of models open.
fn page(server: &HubServer) -> Stage4d {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = HubSettings::new(&server.address, &folder.path().join("hub"));
    settings.patience.attempts = 2;
    settings.patience.first_wait = Duration::from_millis(1);
    let mut stage = Stage4d::with_hub(folder, settings);
    stage.command(AppCommand::Act(Action::ShowModels));
    stage.until("the disk was looked at", |s| s.models.looked.is_some());
    stage.check_names();
    stage
}

/// Presses the button of the entry by way of its command; its label is one of many alike.
fn press(stage: &mut Stage4d, edit: ModelsEdit) {
    stage.command(AppCommand::Models(edit));
    stage.harness.run_steps(2);
}

/// What takes few steps goes where such files are listed, as if it had been dropped.
fn add_to_the_list(stage: &mut Stage4d) {
    stage.command(AppCommand::Act(Action::ShowModels));
    stage.harness.run_steps(2);
    stage
        .harness
        .get_by_label("Add to LoRA files")
        .click_accesskit();
    stage.until("the page is closed", |s| !s.models.open);
    // What it is comes from the media thread, which only a step of the window hears.
    stage.until("it is opened", |s| !s.jobs.cards().is_empty());
    let opened = stage.asked.recv_timeout(Duration::from_secs(10));
    let Ok(JobRequest::Open(path)) = opened else {
        panic!("these bytes are no LoRA, so they are opened as a scene: {opened:?}");
    };
    assert!(path.ends_with(FILE), "{}", path.display());
}

#[test]
fn a_download_in_the_studio_is_agreed_to_paused_and_finished() {
    let model = model(3_000_000);
    let server = HubServer::start(model.clone(), |model, seen| {
        let mut reply = model.honest(seen);
        if seen.path.ends_with(FILE) && seen.nth == 0 {
            reply.drip = Some((30_000, Duration::from_millis(10)));
        }
        reply
    });
    let mut stage = page(&server);
    let entry = index();
    stage.harness.get_by_label("LightX2V LoRA, image to video");
    assert!(server.seen().is_empty(), "opening the page asks nobody");
    press(&mut stage, ModelsEdit::Ask(entry));
    stage.until("the question stands", |s| s.models.sheet.is_some());
    stage
        .harness
        .get_by_label("Download LightX2V LoRA, image to video?");
    stage.harness.get_by_label("Licence apache-2.0");
    stage
        .harness
        .get_by_label("Model lightx2v/Wan2.1-Distill-Loras");
    stage.check_names();
    assert!(server.files_seen().is_empty());
    stage.harness.get_by_label("Cancel").click();
    stage.harness.run_steps(3);
    assert!(stage.state().models.sheet.is_none() && server.files_seen().is_empty());
    press(&mut stage, ModelsEdit::Ask(entry));
    stage.until("the question stands again", |s| s.models.sheet.is_some());
    stage.harness.get_by_label("Download 3.0 MB").click();
    stage.harness.run_steps(2);
    stage.until("bytes arrive", |s| {
        s.models
            .running()
            .is_some_and(|(_, run)| run.progress.done > 300_000)
    });
    assert!(stage.state().is_working());
    stage.harness.get_by_label("Pause").click_accesskit();
    stage.until("it pauses", |s| {
        matches!(s.models.work.get(&entry), Some(Work::Paused(..)))
    });
    stage.harness.get_by_label("Resume").click_accesskit();
    stage.until("it is here", |s| s.models.state_of(NAME) == State::Present);
    assert!(stage.state().models.work.is_empty());
    assert!(
        stage
            .state()
            .notices
            .list()
            .iter()
            .any(|n| n.title.ends_with("is here"))
    );
    let asked = server.files_seen();
    let last = asked
        .iter()
        .rfind(|seen| seen.path.ends_with(FILE))
        .unwrap();
    assert!(last.from() >= 300_000, "{}", last.from());
    press(&mut stage, ModelsEdit::Verify(entry));
    stage.until("it is compared", |s| {
        s.notices
            .list()
            .iter()
            .any(|n| n.title.ends_with("as it should be"))
    });
    stage.check_names();
    stage.harness.key_press(egui::Key::Escape);
    stage.harness.run_steps(2);
    assert!(!stage.state().models.open);
    add_to_the_list(&mut stage);
}

#[test]
fn a_download_that_is_given_up_leaves_nothing() {
    let model = model(3_000_000);
    let server = HubServer::start(model.clone(), |model, seen| {
        let mut reply = model.honest(seen);
        reply.drip = seen
            .is_file()
            .then_some((30_000, Duration::from_millis(10)));
        reply
    });
    let mut stage = page(&server);
    let entry = index();
    press(&mut stage, ModelsEdit::Ask(entry));
    stage.until("the question stands", |s| s.models.sheet.is_some());
    press(&mut stage, ModelsEdit::Agree);
    stage.until("bytes arrive", |s| {
        s.models
            .running()
            .is_some_and(|(_, run)| run.progress.done > 100_000)
    });
    press(&mut stage, ModelsEdit::Cancel(entry));
    stage.until("it has ended", |s| s.models.work.is_empty());
    let blobs = stage
        .folder
        .path()
        .join("hub/models--lightx2v--Wan2.1-Distill-Loras/blobs");
    let is_partial = |entry: std::fs::DirEntry| entry.path().extension().is_some();
    for _ in 0..2000 {
        if !std::fs::read_dir(&blobs).unwrap().flatten().any(is_partial) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("a beginning was left");
}

#[test]
fn a_server_that_refuses_is_told_of_and_asked_again() {
    let model = model(5000);
    let server = HubServer::start(model.clone(), |model, seen| {
        if seen.nth == 0 {
            return Reply::new(403, "").with("X-Error-Code", "GatedRepo");
        }
        model.honest(seen)
    });
    let mut stage = page(&server);
    let entry = index();
    press(&mut stage, ModelsEdit::Ask(entry));
    stage.until("the refusal is told", |s| {
        matches!(s.models.work.get(&entry), Some(Work::Failed(reason)) if reason.contains("terms"))
    });
    assert!(
        stage
            .state()
            .notices
            .list()
            .iter()
            .any(|n| n.title.ends_with("cannot be fetched"))
    );
    stage.check_names();
    stage.harness.get_by_label("Try again").click_accesskit();
    stage.until("the question stands", |s| s.models.sheet.is_some());
}
