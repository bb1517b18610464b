//! LoRA files in the Create panel: dropped, checked against the model, weighed, used with the preset
//! "fast", found again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use egui::Role;
use egui_kittest::kittest::Queryable as _;
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::nn::{ParamStore, Weights};
use one4d_engine::pipeline::{Preset, Request};
use one4d_engine::worker::JobRequest;
use one4d_studio::state::command::{Action, AppCommand, CreateEdit, Pick};
use one4d_studio::state::loras::{LoraEdit, LoraState};

use super::stage::{Do, Stage4d, write_manifest};

/// A model whose base is there, so that files can be checked against it.
fn with_base() -> Stage4d {
    let mut stage = Stage4d::new();
    let folder = stage.folder.path().join("model");
    write_manifest(&folder);
    let store = ParamStore::default();
    let fresh = Weights::fresh(&store, 3, DType::F32, &Device::Cpu);
    WanDit::from_weights(&WanConfig::tiny(), &fresh).unwrap();
    let named = |(name, var): (String, candle_core::Var)| (name, var.as_detached_tensor());
    let tensors: HashMap<String, Tensor> = store.vars().into_iter().map(named).collect();
    candle_core::safetensors::save(&tensors, folder.join("base.safetensors")).unwrap();
    stage.open(&folder);
    stage.until("the model is read", |s| s.model.facts.name == "Test model");
    let image = stage.image("cat.png", 64, 64);
    stage.drop_files(&[image]);
    stage.until("the image is taken", |s| s.create.missing().is_none());
    stage
}

/// A LoRA of rank 2 for a module of the tiny base, or of a network that is `wider` by so much.
fn lora(folder: &Path, name: &str, wider: usize) -> PathBuf {
    let dim = WanConfig::tiny().dim + wider;
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let module = "diffusion_model.blocks.0.self_attn.q";
    let tensors = HashMap::from([
        (format!("{module}.lora_A.weight"), zeros(&[2, dim])),
        (format!("{module}.lora_B.weight"), zeros(&[dim, 2])),
    ]);
    let path = folder.join(name);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    path
}

fn asked(stage: &Stage4d) -> Request {
    match stage.asked.recv().unwrap() {
        JobRequest::Generate { request, .. } => request,
        other => panic!("another job: {other:?}"),
    }
}

fn edit(stage: &mut Stage4d, path: &Path, edit: LoraEdit) {
    stage.command(AppCommand::Create(CreateEdit::Lora(path.to_owned(), edit)));
}

#[test]
fn a_dropped_file_is_checked_weighed_and_reaches_the_run() {
    let mut stage = with_base();
    let path = lora(stage.folder.path(), "style.safetensors", 0);
    stage.drop_files(std::slice::from_ref(&path));
    stage.until("it is checked", |s| {
        let entries = s.create.loras.entries();
        entries
            .iter()
            .any(|e| matches!(e.state, LoraState::Fits(_)))
    });
    stage.harness.run_steps(8);
    stage.check_names();
    assert!(stage.state().scene.is_none(), "it is no scene");
    edit(&mut stage, &path, LoraEdit::Strength(0.75));
    stage.command(AppCommand::Act(Action::Generate));
    let request = asked(&stage);
    assert_eq!(request.loras.len(), 1);
    assert_eq!(
        (&request.loras[0].path, request.loras[0].strength),
        (&path, 0.75)
    );
    assert_eq!(
        (request.preset, request.steps),
        (Preset::Standard, Some(12))
    );
    stage.send(Do::Finish(one4d_engine::worker::Output::default()));
    stage.harness.run_steps(4);
    stage
        .harness
        .get_by_role_and_label(Role::Button, "Use style.safetensors")
        .click_accesskit();
    stage.until("it is left out", |s| !s.create.loras.entries()[0].on);
    stage.command(AppCommand::Act(Action::Generate));
    assert!(asked(&stage).loras.is_empty());
}

#[test]
fn a_file_that_does_not_fit_says_why_before_the_run() {
    let mut stage = with_base();
    let path = lora(stage.folder.path(), "wide.safetensors", 8);
    let broken = stage.folder.path().join("broken.safetensors");
    std::fs::write(&broken, b"no tensors").unwrap();
    stage.choose(Pick::Loras, &path);
    stage.choose(Pick::Loras, &broken);
    stage.until("both are refused", |s| {
        let entries = s.create.loras.entries();
        entries.len() == 2 && entries.iter().all(|e| matches!(e.state, LoraState::Bad(_)))
    });
    let LoraState::Bad(problems) = &stage.state().create.loras.entries()[0].state else {
        panic!("it fits");
    };
    assert!(problems[0].contains("network of width 56"), "{problems:?}");
    assert!(problems[1].contains("blocks.0.self_attn.q"), "{problems:?}");
    stage.harness.run_steps(8);
    stage
        .harness
        .get_all_by_label("Does not fit Test model")
        .next()
        .unwrap();
    stage.check_names();
    stage.command(AppCommand::Act(Action::Generate));
    stage.harness.run_steps(2);
    assert!(stage.state().jobs.cards().is_empty());
    edit(&mut stage, &path, LoraEdit::Remove);
    edit(&mut stage, &broken, LoraEdit::On(false));
    stage.command(AppCommand::Act(Action::Generate));
    assert!(asked(&stage).loras.is_empty());
}

#[test]
fn a_distilled_file_gives_the_fast_preset_in_one_click() {
    let mut stage = with_base();
    assert!(stage.harness.query_by_label("Standard").is_none());
    let path = lora(stage.folder.path(), "wan_lightx2v_4step.safetensors", 0);
    stage.choose(Pick::Loras, &path);
    stage.until("it is checked", |s| {
        matches!(s.create.loras.entries()[0].state, LoraState::Fits(_))
    });
    stage.harness.run_steps(8);
    stage.harness.get_by_label("Its name says so (“lightx2v”)");
    stage.harness.get_by_label("Fast, 4 steps").click();
    stage.until("fast it is", |s| s.create.preset == Preset::Fast);
    stage.check_names();
    stage.command(AppCommand::Act(Action::Generate));
    let request = asked(&stage);
    assert_eq!((request.preset, request.loras.len()), (Preset::Fast, 1));
    assert_eq!((request.steps, request.guidance), (Some(4), Some(1.0)));
    assert_eq!(request.shift, Some(5.0));
    stage.send(Do::Finish(one4d_engine::worker::Output::default()));
    stage.harness.run_steps(8);
    edit(&mut stage, &path, LoraEdit::Distilled(false));
    let create = &stage.state().create;
    assert_eq!((create.preset, create.steps), (Preset::Standard, 12));
    stage.harness.run_steps(2);
    assert!(stage.harness.query_by_label("Fast, 4 steps").is_none());
}

#[test]
fn files_and_model_are_found_again_by_the_next_session() {
    let mut stage = with_base();
    let path = lora(stage.folder.path(), "style.safetensors", 0);
    stage.choose(Pick::Loras, &path);
    edit(&mut stage, &path, LoraEdit::Strength(1.25));
    let file = stage.folder.path().join("config/session.json");
    let is_kept = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("1.25"));
    for _ in 0..1500 {
        if is_kept() {
            break;
        }
        stage.harness.step();
    }
    assert!(is_kept(), "the session is written");
    let folder = stage.into_folder();
    let mut again = Stage4d::at(folder, Vec::new());
    again.until("it is checked anew", |s| {
        let entries = s.create.loras.entries();
        entries.len() == 1 && matches!(entries[0].state, LoraState::Fits(_))
    });
    assert_eq!(again.state().model.facts.name, "Test model");
    assert_eq!(again.state().create.loras.entries()[0].strength, 1.25);
}
