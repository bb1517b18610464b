//! LoRA files on the base: every dialect, several at once, on top of the branches' adapters.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use one4d_engine::Result;
use one4d_engine::job::JobCtx;
use one4d_engine::models::one4d::{AdapterConfig, Coupling, One4d};
use one4d_engine::models::wan::keys::DIFFUSERS;
use one4d_engine::models::wan::{LoraPlacement, LoraStack, WanConfig, WanDit};
use one4d_engine::models::{Denoiser as _, DenoiserInputs};
use one4d_engine::nn::{ParamStore, WeightForm, Weights};
use one4d_tests::draw;
use tempfile::TempDir;

pub(super) const CPU: &Device = &Device::Cpu;
const RANK: usize = 3;
const ALPHA: f64 = 1.5;
/// Modules of every kind of name: plain, with underscores of their own, outside the blocks.
const MODULES: [&str; 5] = [
    "blocks.0.self_attn.q",
    "blocks.1.cross_attn.k_img",
    "blocks.1.ffn.0",
    "blocks.0.cross_attn.o",
    "time_projection.1",
];

pub(super) type Tensors = HashMap<String, Tensor>;

fn randn(shape: &[usize]) -> Tensor {
    draw::normal(0.3, shape)
}

pub(super) fn config() -> WanConfig {
    WanConfig {
        image_dim: Some(20),
        ..WanConfig::tiny()
    }
}

/// A base whose every layer does something.
pub(super) fn base() -> Result<Tensors> {
    let store = ParamStore::default();
    WanDit::from_weights(&config(), &Weights::fresh(&store, 5, DType::F32, CPU))?;
    let stirred = |(name, var): (String, candle_core::Var)| {
        let noise = randn(var.dims());
        Ok((name, (var.as_detached_tensor() + noise)?))
    };
    store.vars().into_iter().map(stirred).collect()
}

pub(super) fn weights(tensors: &Tensors) -> Weights {
    Weights::from_tensors(tensors.clone(), "base.safetensors", DType::F32, CPU)
}

/// A and B of every module.
fn pairs(base: &Tensors) -> Result<Vec<(&'static str, Tensor, Tensor)>> {
    let pair = |module: &'static str| {
        let (outputs, inputs) = base[&format!("{module}.weight")].dims2()?;
        Ok((module, randn(&[RANK, inputs]), randn(&[outputs, RANK])))
    };
    MODULES.into_iter().map(pair).collect()
}

/// The base with `factor * B A` in its weights.
fn with_pairs(base: &Tensors, pairs: &[(&str, Tensor, Tensor)], factor: f64) -> Result<Tensors> {
    let mut changed = base.clone();
    for (module, a, b) in pairs {
        let name = format!("{module}.weight");
        let weight = (&base[&name] + (b.matmul(a)? * factor)?)?;
        changed.insert(name, weight);
    }
    Ok(changed)
}

pub(super) fn save(folder: &TempDir, name: &str, tensors: Tensors) -> PathBuf {
    let path = folder.path().join(name);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    path
}

/// What the network says, `[2, C, T', H', W']`, of inputs that are always the same.
pub(super) struct Question {
    x: Tensor,
    text: Tensor,
    image: Tensor,
}

impl Question {
    pub(super) fn new() -> Self {
        let cfg = config();
        Self {
            x: randn(&[2, cfg.in_dim, 2, 4, 6]),
            text: randn(&[2, 5, cfg.text_dim]),
            image: randn(&[2, 7, 20]),
        }
    }

    pub(super) fn ask(&self, weights: &Weights) -> Result<Tensor> {
        let dit = WanDit::from_weights(&config(), weights)?;
        weights.finish()?;
        self.put_to(&dit)
    }

    pub(super) fn put_to(&self, dit: &WanDit) -> Result<Tensor> {
        dit.forward(&self.x, &[700.0], &self.text, Some(&self.image))
    }
}

/// Both branches with adapters that do something, and inputs that are always the same.
pub(super) struct Branches {
    adapters: AdapterConfig,
    store: ParamStore,
    latents: [Tensor; 2],
    inputs: DenoiserInputs,
}

impl Branches {
    pub(super) fn new(base: &Tensors) -> Result<Self> {
        let cfg = config();
        let latents = || randn(&[1, cfg.out_dim, 2, 4, 6]);
        let branches = Self {
            adapters: AdapterConfig::new(Coupling::Decoupled, 2, cfg.num_layers),
            store: ParamStore::default(),
            latents: [latents(), latents()],
            inputs: DenoiserInputs {
                text: randn(&[2, 5, cfg.text_dim]),
                mask: Tensor::ones((1, 4, 2, 4, 6), DType::F32, CPU)?,
                condition: latents(),
                image: Some(randn(&[2, 7, 20])),
                xyz: None,
            },
        };
        branches.build(&weights(base))?;
        for (name, var) in branches.store.vars() {
            if name.contains("lora_B") || name.contains("links") {
                var.set(&randn(var.dims()))?;
            }
        }
        Ok(branches)
    }

    pub(super) fn build(&self, base: &Weights) -> Result<One4d> {
        let own = Weights::fresh(&self.store, 9, DType::F32, CPU);
        One4d::from_weights(&config(), &self.adapters, base, &own)
    }

    /// Velocities of RGB and of XYZ.
    pub(super) fn ask(&self, model: &One4d) -> Result<[Tensor; 2]> {
        let [rgb, xyz] = &self.latents;
        let said = model.velocities(rgb, xyz, 0.6, &self.inputs)?;
        Ok([said.rgb, said.xyz])
    }
}

pub(super) fn stack(files: &[(&PathBuf, f64)], base: &Weights) -> Result<Arc<LoraStack>> {
    let files: Vec<_> = files.iter().map(|(p, s)| ((*p).clone(), *s)).collect();
    Ok(Arc::new(LoraStack::open(&files, base, &JobCtx::silent())?))
}

fn merged(files: &[(&PathBuf, f64)], base: &Tensors) -> Result<Weights> {
    let base = weights(base);
    Ok(stack(files, &base)?.applied(&base, LoraPlacement::Merged))
}

pub(super) fn relative(a: &Tensor, b: &Tensor) -> Result<f32> {
    let norm = |x: &Tensor| -> Result<f32> { Ok(x.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt()) };
    Ok(norm(&(a - b)?)? / norm(b)?)
}

pub(super) fn values(x: &Tensor) -> Result<Vec<f32>> {
    Ok(x.flatten_all()?.to_vec1()?)
}

/// Names of A, B and alpha of a module as a dialect writes them; no alpha means that it is in B.
type Dialect = fn(&str) -> [String; 3];

const DIALECTS: [(&str, Dialect); 8] = [
    ("kohya", |module| flat("lora_unet_", module)),
    ("VideoX-Fun", |module| flat("lora_unet__", module)),
    ("PEFT", |module| {
        [
            format!("{module}.lora_A.weight"),
            format!("{module}.lora_B.weight"),
            String::new(),
        ]
    }),
    ("DiffSynth", |module| {
        [
            format!("{module}.lora_A.default.weight"),
            format!("{module}.lora_B.default.weight"),
            String::new(),
        ]
    }),
    ("ComfyUI", |module| {
        [
            format!("diffusion_model.{module}.lora_down.weight"),
            format!("diffusion_model.{module}.lora_up.weight"),
            format!("diffusion_model.{module}.alpha"),
        ]
    }),
    ("ComfyUI, A and B", |module| {
        [
            format!("diffusion_model.{module}.lora_A.weight"),
            format!("diffusion_model.{module}.lora_B.weight"),
            format!("diffusion_model.{module}.alpha"),
        ]
    }),
    ("diffusers", |module| {
        let theirs = DIFFUSERS.theirs(module);
        [
            format!("transformer.{theirs}.lora_A.weight"),
            format!("transformer.{theirs}.lora_B.weight"),
            String::new(),
        ]
    }),
    ("diffusers of old", |module| {
        let theirs = DIFFUSERS.theirs(module);
        [
            format!("transformer.{theirs}.lora.down.weight"),
            format!("transformer.{theirs}.lora.up.weight"),
            String::new(),
        ]
    }),
];

fn flat(prefix: &str, module: &str) -> [String; 3] {
    let module = format!("{prefix}{}", module.replace('.', "_"));
    [
        format!("{module}.lora_down.weight"),
        format!("{module}.lora_up.weight"),
        format!("{module}.alpha"),
    ]
}

#[test]
fn every_dialect_is_the_weight_that_it_adds() -> Result<()> {
    let (base, question) = (base()?, Question::new());
    let pairs = pairs(&base)?;
    let folder = tempfile::tempdir().unwrap();
    let strength = 0.7;
    let factor = ALPHA / RANK as f64;
    let expected = question.ask(&weights(&with_pairs(&base, &pairs, strength * factor)?))?;
    let plain = question.ask(&weights(&base))?;
    assert!(relative(&plain, &expected)? > 1e-3, "the LoRA does nothing");
    for (dialect, names) in DIALECTS {
        // Alphas come as any number, with an axis or without.
        let alphas = [
            Tensor::new(ALPHA as f32, CPU)?,
            Tensor::new(&[ALPHA], CPU)?,
            Tensor::new(&[ALPHA as f32], CPU)?.to_dtype(DType::BF16)?,
        ];
        let mut tensors = Tensors::new();
        for (index, (module, a, b)) in pairs.iter().enumerate() {
            let [down, up, alpha] = names(module);
            tensors.insert(down, a.clone());
            let in_b = if alpha.is_empty() { factor } else { 1.0 };
            tensors.insert(up, (b * in_b)?);
            if !alpha.is_empty() {
                tensors.insert(alpha, alphas[index % alphas.len()].clone());
            }
        }
        let path = save(&folder, "lora.safetensors", tensors);
        let said = question.ask(&merged(&[(&path, strength)], &base)?)?;
        let error = relative(&said, &expected)?;
        assert!(error < 1e-5, "{dialect}: {error}");
    }
    Ok(())
}

#[test]
fn whole_numbers_and_descriptions_are_alphas_too() -> Result<()> {
    let (base, question) = (base()?, Question::new());
    let pairs = pairs(&base)?;
    let folder = tempfile::tempdir().unwrap();
    let expected = question.ask(&weights(&with_pairs(&base, &pairs, 6.0 / RANK as f64)?))?;
    let mut tensors = Tensors::new();
    for (module, a, b) in &pairs {
        tensors.insert(format!("{module}.lora_A.weight"), a.clone());
        tensors.insert(format!("{module}.lora_B.weight"), b.clone());
    }
    let path = folder.path().join("described.safetensors");
    let text = r#"{"transformer.lora_alpha": 6, "transformer.r": 3}"#;
    let head = HashMap::from([("lora_adapter_metadata".to_owned(), text.to_owned())]);
    std::fs::write(&path, safetensors::serialize(&tensors, Some(head)).unwrap()).unwrap();
    let described = question.ask(&merged(&[(&path, 1.0)], &base)?)?;
    assert!(relative(&described, &expected)? < 1e-5);
    for (module, ..) in &pairs {
        tensors.insert(format!("{module}.alpha"), Tensor::new(&[6_i64], CPU)?);
    }
    let path = save(&folder, "whole.safetensors", tensors);
    let whole = question.ask(&merged(&[(&path, 1.0)], &base)?)?;
    assert!(relative(&whole, &expected)? < 1e-5);
    Ok(())
}

/// Two files over the same and other modules.
fn two_files(base: &Tensors, folder: &TempDir) -> Result<[PathBuf; 2]> {
    let file = |name: &str, take: usize| -> Result<PathBuf> {
        let mut tensors = Tensors::new();
        for (module, a, b) in pairs(base)?.into_iter().take(take) {
            tensors.insert(format!("diffusion_model.{module}.lora_down.weight"), a);
            tensors.insert(format!("diffusion_model.{module}.lora_up.weight"), b);
        }
        let shape = base["blocks.0.modulation"].dims();
        tensors.insert("diffusion_model.blocks.0.diff_m".to_owned(), randn(shape));
        Ok(save(folder, name, tensors))
    };
    Ok([file("b.safetensors", 5)?, file("a.safetensors", 2)?])
}

#[test]
fn strength_nought_is_none_and_the_order_does_not_matter() -> Result<()> {
    let (base, question) = (base()?, Question::new());
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = two_files(&base, &folder)?;
    let plain = question.ask(&weights(&base))?;
    let off = question.ask(&merged(&[(&a, 0.0), (&b, 0.0)], &base)?)?;
    assert_eq!(values(&off)?, values(&plain)?);
    let forth = question.ask(&merged(&[(&a, 0.6), (&b, -0.4)], &base)?)?;
    let back = question.ask(&merged(&[(&b, -0.4), (&a, 0.6)], &base)?)?;
    assert_eq!(values(&forth)?, values(&back)?);
    let alone = question.ask(&merged(&[(&a, 0.6)], &base)?)?;
    let beside_nought = question.ask(&merged(&[(&a, 0.6), (&b, 0.0)], &base)?)?;
    assert_eq!(values(&alone)?, values(&beside_nought)?);
    assert!(relative(&alone, &forth)? > 1e-3);
    Ok(())
}

#[test]
fn merged_and_beside_agree_on_top_of_both_branches_adapters() -> Result<()> {
    let base = base()?;
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = two_files(&base, &folder)?;
    let branches = Branches::new(&base)?;
    let files: [(&PathBuf, f64); 2] = [(&a, 0.5), (&b, 1.0)];
    let loras = stack(&files, &weights(&base))?;
    let base = weights(&base);
    let say = |place: &Weights| branches.ask(&branches.build(place)?);
    let plain = say(&base)?;
    let merged = say(&loras.applied(&base, LoraPlacement::Merged))?;
    let mut beside = branches.build(&loras.applied(&base, LoraPlacement::Beside))?;
    beside.put_beside(&loras)?;
    let beside = branches.ask(&beside)?;
    for branch in 0..2 {
        let error = relative(&beside[branch], &merged[branch])?;
        assert!(error < 1e-5, "branch {branch}: {error}");
        let effect = relative(&plain[branch], &merged[branch])?;
        assert!(
            effect > 1e-3,
            "branch {branch} does not see the LoRA: {effect}"
        );
    }
    Ok(())
}

#[test]
fn streamed_and_narrow_bases_take_the_files_beside_their_layers() -> Result<()> {
    let (base, folder) = (base()?, TempDir::new().unwrap());
    let path = save(&folder, "base.safetensors", base.clone());
    let [first, second] = two_files(&base, &folder)?;
    let files = [(&first, 0.7), (&second, -0.4)];
    let question = Question::new();
    let truth = question.ask(&merged(&files, &base)?)?;
    let change = relative(&question.ask(&weights(&base))?, &truth)?;
    for (form, streamed, bound) in [
        (WeightForm::Plain, true, 1e-4),
        (WeightForm::Bf16, false, 0.03),
        (WeightForm::Bf16, true, 0.03),
    ] {
        let place = Weights::from_files(&[&path], DType::F32, CPU)?;
        let stack = stack(&files, &place)?;
        let mut place = stack.applied(&place, LoraPlacement::Beside).in_form(form);
        if streamed {
            place = place.streamed();
        }
        let mut dit = WanDit::from_weights(&config(), &place)?;
        place.finish()?;
        dit.put_beside(&stack)?;
        let (x, text) = (&question.x, &question.text);
        let out = dit.forward(x, &[700.0], text, Some(&question.image))?;
        let error = relative(&out, &truth)?;
        assert!(change > 3.0 * bound, "the files change {change}");
        assert!(error < bound, "{form:?}, streamed {streamed}: {error}");
    }
    Ok(())
}

#[test]
fn full_changes_of_weights_and_biases_are_added() -> Result<()> {
    let (base, question) = (base()?, Question::new());
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = Tensors::new();
    let mut changed = base.clone();
    for (theirs, ours) in [
        (
            "diffusion_model.blocks.0.self_attn.q.diff",
            "blocks.0.self_attn.q.weight",
        ),
        (
            "diffusion_model.blocks.0.self_attn.q.diff_b",
            "blocks.0.self_attn.q.bias",
        ),
        (
            "diffusion_model.blocks.1.norm3.diff",
            "blocks.1.norm3.weight",
        ),
        ("diffusion_model.blocks.1.diff_m", "blocks.1.modulation"),
        ("diffusion_model.head.diff_m", "head.modulation"),
    ] {
        let change = randn(base[ours].dims());
        changed.insert(ours.to_owned(), (&base[ours] + (&change * 0.5)?)?);
        tensors.insert(theirs.to_owned(), change);
    }
    let path = save(&folder, "full.safetensors", tensors);
    let said = question.ask(&merged(&[(&path, 0.5)], &base)?)?;
    assert!(relative(&said, &question.ask(&weights(&changed))?)? < 1e-6);
    Ok(())
}

#[test]
fn what_does_not_fit_is_named_and_nothing_is_applied() -> Result<()> {
    let base = base()?;
    let folder = tempfile::tempdir().unwrap();
    let cfg = config();
    let good = |tensors: &mut Tensors| -> Result<()> {
        let module = "blocks.0.self_attn.q";
        tensors.insert(format!("{module}.lora_A.weight"), randn(&[2, cfg.dim]));
        tensors.insert(format!("{module}.lora_B.weight"), randn(&[cfg.dim, 2]));
        Ok(())
    };
    let pair = |module: &str, inputs: usize| -> Result<Vec<(String, Tensor)>> {
        Ok(vec![
            (format!("{module}.lora_A.weight"), randn(&[2, inputs])),
            (format!("{module}.lora_B.weight"), randn(&[cfg.dim, 2])),
        ])
    };
    let one = |name: &str, shape: &[usize]| -> Result<Vec<(String, Tensor)>> {
        Ok(vec![(name.to_owned(), randn(shape))])
    };
    let cases: [(Vec<(String, Tensor)>, &str); 8] = [
        (
            pair("blocks.7.self_attn.q", cfg.dim)?,
            "the base has no blocks.7.self_attn.q",
        ),
        (
            pair("blocks.1.self_attn.q", cfg.dim + 1)?,
            "does not fit blocks.1.self_attn.q",
        ),
        (
            pair("blocks.1.self_attn.query", cfg.dim)?,
            "no blocks.1.self_attn.query",
        ),
        (
            one("blocks.1.ffn.0.lora_A.weight", &[2, cfg.dim])?,
            "has no other half",
        ),
        (one("blocks.1.ffn.0.alpha", &[1])?, "belongs to no pair"),
        (
            one("blocks.1.norm3.diff", &[3])?,
            "blocks.1.norm3.weight is",
        ),
        (one("blocks.1.ffn.0.oft_blocks", &[3])?, "OFT"),
        (one("conditioner.something", &[3])?, "no part of a LoRA"),
    ];
    for (extra, reason) in cases {
        let mut tensors = Tensors::new();
        good(&mut tensors)?;
        let first = extra[0].0.clone();
        tensors.extend(extra);
        let path = save(&folder, "wrong.safetensors", tensors);
        let error = stack(&[(&path, 1.0)], &weights(&base))
            .err()
            .unwrap()
            .to_string();
        let named = error.contains(reason) && error.contains(&first);
        assert!(named && error.contains("wrong.safetensors"), "{error}");
    }
    Ok(())
}

#[test]
fn a_file_for_another_width_is_told_in_a_word() -> Result<()> {
    let base = base()?;
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = Tensors::new();
    for block in 0..2 {
        for module in ["self_attn.q", "self_attn.k", "cross_attn.o"] {
            let name = format!("diffusion_model.blocks.{block}.{module}");
            tensors.insert(format!("{name}.lora_down.weight"), randn(&[2, 64]));
            tensors.insert(format!("{name}.lora_up.weight"), randn(&[64, 2]));
        }
    }
    let path = save(&folder, "wide.safetensors", tensors);
    let error = stack(&[(&path, 1.0)], &weights(&base)).err().unwrap();
    let said = error.to_string();
    let width = format!(
        "made for a network of width 64, and this one has {}",
        config().dim
    );
    assert!(
        said.contains(&width) && said.contains("and 5 more"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_change_for_other_input_channels_is_left_out_and_said() -> Result<()> {
    let (base, question) = (base()?, Question::new());
    let folder = tempfile::tempdir().unwrap();
    let cfg = config();
    let tensors = Tensors::from([
        (
            "patch_embedding.lora_A.weight".to_owned(),
            randn(&[2, cfg.out_dim, 1, 2, 2]),
        ),
        (
            "patch_embedding.lora_B.weight".to_owned(),
            randn(&[cfg.dim, 2, 1, 1, 1]),
        ),
    ]);
    let path = save(&folder, "text.safetensors", tensors);
    let loras = stack(&[(&path, 1.0)], &weights(&base))?;
    assert!(loras.is_empty());
    assert!(
        loras.notes()[0].contains("patch_embedding"),
        "{:?}",
        loras.notes()
    );
    let said = question.ask(&loras.applied(&weights(&base), LoraPlacement::Merged))?;
    assert_eq!(values(&said)?, values(&question.ask(&weights(&base))?)?);
    // For the base's own channels it is applied.
    let tensors = Tensors::from([
        (
            "patch_embedding.lora_A.weight".to_owned(),
            randn(&[2, cfg.in_dim, 1, 2, 2]),
        ),
        (
            "patch_embedding.lora_B.weight".to_owned(),
            randn(&[cfg.dim, 2, 1, 1, 1]),
        ),
    ]);
    let path = save(&folder, "image.safetensors", tensors);
    let changed = question.ask(&merged(&[(&path, 1.0)], &base)?)?;
    assert!(relative(&changed, &said)? > 1e-3);
    Ok(())
}

#[test]
fn a_base_in_diffusers_layout_takes_the_same_files() -> Result<()> {
    let (base, question) = (base()?, Question::new());
    let folder = tempfile::tempdir().unwrap();
    let [a, _] = two_files(&base, &folder)?;
    let theirs: Tensors = base
        .iter()
        .map(|(name, tensor)| (DIFFUSERS.theirs(name), tensor.clone()))
        .collect();
    let ours = question.ask(&merged(&[(&a, 0.8)], &base)?)?;
    assert_eq!(
        values(&question.ask(&merged(&[(&a, 0.8)], &theirs)?)?)?,
        values(&ours)?
    );
    Ok(())
}
