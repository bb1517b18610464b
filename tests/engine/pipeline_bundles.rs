//! Bundles of every make in the pipeline: damaged, in shards, with LoRA files, side by side.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use image::RgbImage;
use one4d_engine::Result;
use one4d_engine::job::JobCtx;
use one4d_engine::models::clip_image::OnDemandClip;
use one4d_engine::models::clip_vision::{ClipVision, ClipVisionConfig};
use one4d_engine::models::one4d::{ConditioningKind, Coupling, Prediction};
use one4d_engine::models::umt5::{Umt5Config, Umt5Encoder};
use one4d_engine::models::umt5_text::OnDemandText;
use one4d_engine::models::wan::WanDit;
use one4d_engine::nn::{ParamStore, Weights};
use one4d_engine::pipeline::{
    BundleManifest, FastSpec, ImageSpec, LoraChoice, LoraSpec, LoraWish, Observed, ObservedFrame,
    Preset, Request, SamplingDefaults, TextSpec, bundle_parts,
};
use one4d_tests::bundle::SIZE;
use one4d_tests::draw;
use tempfile::TempDir;

use super::pipeline::{MODEL, files_in, request, run};

#[test]
fn a_bundle_with_a_missing_or_foreign_weight_file_never_half_loads() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "codec.safetensors",
        "text.safetensors",
        "base.safetensors",
        "adapters.safetensors",
    ] {
        let copy = folder.path().join(name.replace('.', "-"));
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(&*MODEL).unwrap() {
            let file = file.unwrap();
            if file.file_name().to_string_lossy() != name {
                std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
            }
        }
        let broken = || Request {
            model: Some(copy.clone()),
            ..request(Observed::Nothing)
        };
        let missing = run(broken(), None, &JobCtx::silent())
            .err()
            .unwrap()
            .to_string();
        assert!(missing.contains(name), "{missing}");
        let other = if name.starts_with("text") {
            "codec.safetensors"
        } else {
            "text.safetensors"
        };
        std::fs::copy(MODEL.join(other), copy.join(name)).unwrap();
        let foreign = run(broken(), None, &JobCtx::silent()).err().unwrap();
        assert!(foreign.to_string().contains(name), "{foreign}");
    }
}

/// Moves the tensors of a file into two shards with an index, in a folder of their own.
fn shard(file: &Path, folder: &Path) {
    let tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    std::fs::create_dir(folder).unwrap();
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort();
    let (first, second) = names.split_at(names.len() / 2);
    let mut map = serde_json::Map::new();
    for (number, part) in [first, second].into_iter().enumerate() {
        let shard = format!("model-{}-of-2.safetensors", number + 1);
        let held: HashMap<String, Tensor> = part
            .iter()
            .map(|name| ((*name).clone(), tensors[*name].clone()))
            .collect();
        candle_core::safetensors::save(&held, folder.join(&shard)).unwrap();
        map.extend(
            part.iter()
                .map(|name| ((*name).clone(), shard.clone().into())),
        );
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    std::fs::remove_file(file).unwrap();
}

fn small_umt5() -> Umt5Config {
    Umt5Config {
        vocab_size: 300,
        dim: 16,
        ffn_dim: 24,
        num_heads: 2,
        head_dim: 8,
        num_layers: 1,
        ..Umt5Config::xxl()
    }
}

#[test]
fn a_model_in_shards_with_a_tokenizer_of_its_own_generates() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for name in files_in(&MODEL) {
        std::fs::copy(MODEL.join(&name), folder.path().join(name)).unwrap();
    }
    let at = |name: &str| folder.path().join(name);
    shard(&at("base.safetensors"), &at("transformer"));
    let config = small_umt5();
    let store = ParamStore::default();
    let fresh = Weights::fresh(&store, 3, DType::F32, &Device::Cpu);
    Umt5Encoder::from_weights(&config, &fresh)?;
    let values: HashMap<String, Tensor> = store
        .vars()
        .into_iter()
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    candle_core::safetensors::save(&values, at("text.safetensors")).unwrap();
    shard(&at("text.safetensors"), &at("text_encoder"));
    let words = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/cases/tokenizer/tokenizer.json");
    std::fs::copy(words, at("tokenizer.json")).unwrap();
    let mut manifest = BundleManifest::read(folder.path())?;
    manifest.denoiser.base = "transformer".to_owned();
    manifest.text = TextSpec::Umt5 {
        weights: "text_encoder".to_owned(),
        tokenizer: "tokenizer.json".to_owned(),
        config,
        max_len: 24,
    };
    std::fs::write(at("model.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let generated = |prompt: &str| {
        let request = Request {
            prompt: prompt.to_owned(),
            model: Some(folder.path().to_owned()),
            ..request(Observed::Nothing)
        };
        run(request, None, &JobCtx::silent()).map(|(_, scene)| scene)
    };
    let (a, b) = (generated("a red ball")?, generated("two blue boxes")?);
    assert!(
        a.rgb.as_slice() != b.rgb.as_slice(),
        "the prompt is not read"
    );
    let same = generated("a  red &#98;all")?;
    assert!(
        a.rgb.as_slice() == same.rgb.as_slice(),
        "the prompt is not cleaned"
    );

    let found = one4d_engine::inspect::inspect(folder.path())?;
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    std::fs::remove_file(at("transformer").join("model-2-of-2.safetensors")).unwrap();
    let error = generated("a red ball").unwrap_err().to_string();
    assert!(
        error.contains("model-2-of-2.safetensors is missing"),
        "{error}"
    );
    Ok(())
}

/// A LoRA for the tiny model, strong enough to be seen.
fn lora_file(folder: &TempDir) -> PathBuf {
    let base = Weights::open(&MODEL.join("base.safetensors"), DType::F32, &Device::Cpu).unwrap();
    let mut tensors = HashMap::new();
    for module in ["blocks.0.self_attn.v", "blocks.1.ffn.0", "blocks.1.ffn.2"] {
        let shape = base.shape(&format!("{module}.weight")).unwrap();
        tensors.insert(
            format!("{module}.lora_A.weight"),
            draw::normal(1.0, &[2, shape[1]]),
        );
        tensors.insert(
            format!("{module}.lora_B.weight"),
            draw::normal(1.0, &[shape[0], 2]),
        );
    }
    let path = folder.path().join("style.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    path
}

#[test]
fn loras_and_the_fast_preset_reach_the_run() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = lora_file(&folder);
    let with = |strengths: &[f64], preset, steps| {
        let choice = |strength: &f64| LoraChoice {
            path: path.clone(),
            strength: *strength,
        };
        let request = Request {
            loras: strengths.iter().map(choice).collect(),
            preset,
            steps,
            ..request(Observed::Nothing)
        };
        run(request, None, &JobCtx::silent())
    };
    let (_, plain) = with(&[], Preset::Standard, Some(2))?;
    let (_, off) = with(&[0.0], Preset::Standard, Some(2))?;
    let (_, on) = with(&[1.0], Preset::Standard, Some(2))?;
    assert_eq!(plain.rgb.as_slice(), off.rgb.as_slice());
    assert_ne!(plain.rgb.as_slice(), on.rgb.as_slice());
    assert_ne!(plain.meta.model_hash, on.meta.model_hash);
    let (output, _) = with(&[1.0], Preset::Fast, None)?;
    let settled = &output.report["settled"];
    assert_eq!(settled["steps"], 4);
    assert_eq!(settled["guidance"], 1.0);
    assert_eq!(settled["shift"], 5.0);
    let error = with(&[], Preset::Fast, None).unwrap_err().to_string();
    assert!(error.contains("distilled"), "{error}");
    let named = |name: &str, strength| LoraChoice {
        path: name.into(),
        strength,
    };
    let few = |loras: Vec<LoraChoice>| {
        let request = Request {
            loras,
            ..Request::default()
        };
        let way = request.few_steps();
        (way.steps, way.shift)
    };
    let causvid = || named("CausVid_rank32.safetensors", 0.8);
    let eight = |strength| named("mine_8step.safetensors", strength);
    assert_eq!(few(vec![named("style.safetensors", 1.0)]), (4, 5.0));
    assert_eq!(few(vec![named("style", 1.0), causvid()]), (4, 8.0));
    assert_eq!(few(vec![eight(1.0), causvid()]), (8, 5.0));
    assert_eq!(few(vec![eight(0.0), causvid()]), (4, 8.0));
    std::fs::write(&path, b"no file of tensors").unwrap();
    let error = with(&[1.0], Preset::Standard, Some(1))
        .unwrap_err()
        .to_string();
    assert!(error.contains("style.safetensors"), "{error}");
    Ok(())
}

#[test]
fn a_bundle_brings_its_own_fast_preset() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = lora_file(&folder);
    for name in ["codec", "text", "base", "adapters"] {
        let name = format!("{name}.safetensors");
        std::fs::copy(MODEL.join(&name), folder.path().join(&name)).unwrap();
    }
    let mut manifest = BundleManifest::read(&MODEL)?;
    manifest.fast = Some(FastSpec {
        lora: LoraSpec {
            file: "style.safetensors".to_owned(),
            strength: 0.5,
        },
        sampling: SamplingDefaults {
            steps: 3,
            ..SamplingDefaults::distilled()
        },
    });
    let text = serde_json::to_vec(&manifest).unwrap();
    std::fs::write(folder.path().join("model.json"), text).unwrap();
    let with = |preset, loras: Vec<LoraChoice>, steps| {
        let request = Request {
            model: Some(folder.path().to_owned()),
            preset,
            loras,
            steps,
            guidance: Some(1.0),
            shift: Some(2.0),
            ..request(Observed::Nothing)
        };
        run(request, None, &JobCtx::silent())
    };
    // What the plan of a model folder counts is what its run loads.
    let planned = |preset, loras| {
        let wish = LoraWish { loras, preset };
        let parts = bundle_parts(folder.path(), &wish)?;
        Result::Ok((parts.lora_files, parts.lora_values))
    };
    let (files, values) = planned(Preset::Fast, Vec::new())?;
    assert_eq!((files, values > 0), (1, true));
    assert_eq!(planned(Preset::Standard, Vec::new())?, (0, 0));
    let twice = LoraChoice {
        path: path.clone(),
        strength: 1.0,
    };
    assert_eq!(planned(Preset::Fast, vec![twice])?, (2, 2 * values));
    let (output, fast) = with(Preset::Fast, Vec::new(), None)?;
    assert_eq!(output.report["settled"]["steps"], 3);
    let chosen = LoraChoice {
        path,
        strength: 0.5,
    };
    let (_, by_hand) = with(Preset::Standard, vec![chosen], Some(3))?;
    assert_eq!(fast.rgb.as_slice(), by_hand.rgb.as_slice());
    Ok(())
}

/// A random model of 4DNeX's kind: a base with an image path, adapters named as they are published.
fn side_by_side_bundle(folder: &Path) {
    let fresh = |store: &ParamStore, seed| Weights::fresh(store, seed, DType::F32, &Device::Cpu);
    let save = |name: &str, tensors: HashMap<String, Tensor>| {
        candle_core::safetensors::save(&tensors, folder.join(name)).unwrap();
    };
    let values = |store: &ParamStore| -> HashMap<String, Tensor> {
        let named = |(name, var): (String, Var)| (name, var.as_detached_tensor());
        store.vars().into_iter().map(named).collect()
    };
    for name in ["codec.safetensors", "text.safetensors"] {
        std::fs::copy(MODEL.join(name), folder.join(name)).unwrap();
    }
    let mut manifest = BundleManifest::read(&MODEL).unwrap();
    let tower = ClipVisionConfig {
        image_size: 16,
        patch_size: 8,
        dim: 12,
        ffn_dim: 16,
        num_heads: 2,
        num_layers: 2,
        eps: 1e-5,
    };
    let store = ParamStore::default();
    ClipVision::from_weights(&tower, &fresh(&store, 4)).unwrap();
    save("clip.safetensors", values(&store));
    manifest.image = Some(ImageSpec::ClipVision {
        weights: "clip.safetensors".to_owned(),
        config: tower,
    });
    let spec = &mut manifest.denoiser;
    spec.config.image_dim = Some(12);
    spec.config.image_len = None;
    spec.coupling = Coupling::Spatial;
    spec.conditioning = ConditioningKind::SideBySide;
    spec.prediction = Prediction::Velocity;
    spec.adapter_scale = Some(0.5);
    let store = ParamStore::default();
    WanDit::from_weights(&spec.config, &fresh(&store, 5)).unwrap();
    // A fresh head is zero, which would hide everything before it.
    let moved = |(name, var): (String, Var)| {
        let noise = draw::normal(0.1, var.dims());
        (name, (var.as_detached_tensor() + noise).unwrap())
    };
    let base = store.vars().into_iter().map(moved).collect();
    save("base.safetensors", base);
    let (rank, dim) = (2, spec.config.dim);
    let mut adapters = HashMap::new();
    let mut put = |name: String, shape: [usize; 2]| {
        adapters.insert(name, draw::normal(0.2, &shape));
    };
    for block in 0..spec.config.num_layers {
        for module in ["to_q", "to_k", "to_v", "to_out.0"] {
            for attention in ["attn1", "attn2"] {
                let path = format!("transformer.blocks.{block}.{attention}.{module}");
                put(format!("{path}.lora_A.weight"), [rank, dim]);
                put(format!("{path}.lora_B.weight"), [dim, rank]);
            }
        }
    }
    put("learnable_domain_embeddings".to_owned(), [2, dim]);
    save("adapters.safetensors", adapters);
    let text = serde_json::to_vec(&manifest).unwrap();
    std::fs::write(folder.join("model.json"), text).unwrap();
}

#[test]
fn encoders_are_checked_before_they_are_needed() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    side_by_side_bundle(folder.path());
    let path = folder.path().join("clip.safetensors");
    let Some(ImageSpec::ClipVision { config, .. }) = BundleManifest::read(folder.path())?.image
    else {
        panic!("the model has an image encoder");
    };
    let open = || OnDemandClip::new(config.clone(), &path, &Device::Cpu);
    assert!(open().is_ok());
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu)?;
    tensors.remove("pre_norm.weight");
    candle_core::safetensors::save(&tensors, &path)?;
    let said = open().err().unwrap().to_string();
    assert!(
        said.contains("clip.safetensors") && said.contains("pre_norm.weight [12] is missing"),
        "{said}"
    );

    let path = folder.path().join("umt5.safetensors");
    let words = Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/cases/tokenizer/tokenizer.json");
    let config = small_umt5();
    let open = || {
        let tokens = (words.as_path(), 24);
        OnDemandText::new(config.clone(), &path, tokens, DType::F32, &Device::Cpu)
    };
    let store = ParamStore::default();
    let fresh = Weights::fresh(&store, 3, DType::F32, &Device::Cpu);
    Umt5Encoder::from_weights(&config, &fresh)?;
    let named = |(name, var): (String, Var)| (name, var.as_detached_tensor());
    let mut tensors: HashMap<String, Tensor> = store.vars().into_iter().map(named).collect();
    candle_core::safetensors::save(&tensors, &path)?;
    assert!(open().is_ok());
    let wrong = Tensor::zeros((3, 3), DType::F32, &Device::Cpu)?;
    tensors.insert("blocks.0.attn.q.weight".to_owned(), wrong);
    candle_core::safetensors::save(&tensors, &path)?;
    let said = open().err().unwrap().to_string();
    assert!(
        said.contains("umt5.safetensors") && said.contains("blocks.0.attn.q.weight is [3, 3]"),
        "{said}"
    );
    Ok(())
}

#[test]
fn halves_side_by_side_make_a_scene_of_one_image() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    side_by_side_bundle(folder.path());
    let pictures = tempfile::tempdir().unwrap();
    let [red, blue] = [[220, 40, 30], [20, 60, 230]].map(|colour| {
        let path = pictures.path().join(format!("{}.png", colour[0]));
        RgbImage::from_pixel(48, 32, image::Rgb(colour))
            .save(&path)
            .unwrap();
        path
    });
    let generated = |path: &Path, at| {
        let observed = Observed::Frames(vec![ObservedFrame {
            path: path.to_owned(),
            at,
        }]);
        let request = Request {
            model: Some(folder.path().to_owned()),
            ..request(observed)
        };
        run(request, None, &JobCtx::silent()).map(|(_, scene)| scene)
    };
    let (a, b) = (generated(&red, 0)?, generated(&blue, 0)?);
    assert_eq!([a.num_frames, a.height, a.width], SIZE);
    assert!(
        a.rgb.as_slice() != b.rgb.as_slice(),
        "the image is not seen"
    );
    // A picture of another shape makes a clip of its own, not a cut-out of it.
    let wide = pictures.path().join("wide.png");
    RgbImage::from_fn(96, 24, |x, y| image::Rgb([x as u8, 3 * y as u8, 90]))
        .save(&wide)
        .unwrap();
    let scene = generated(&wide, 0)?;
    assert_eq!(
        [scene.num_frames, scene.height, scene.width],
        [SIZE[0], 16, 64]
    );
    for error in [
        generated(&red, 4).unwrap_err(),
        run(
            Request {
                model: Some(folder.path().to_owned()),
                ..request(Observed::Nothing)
            },
            None,
            &JobCtx::silent(),
        )
        .unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("one image, at the first frame"),
            "{error}"
        );
    }
    // How strong adapters without alphas are is not assumed.
    let mut manifest = BundleManifest::read(folder.path())?;
    manifest.denoiser.adapter_scale = None;
    let text = serde_json::to_vec(&manifest).unwrap();
    std::fs::write(folder.path().join("model.json"), text).unwrap();
    let error = generated(&red, 0).unwrap_err().to_string();
    assert!(error.contains("adapter_scale"), "{error}");
    Ok(())
}
