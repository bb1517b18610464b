//! Decoupled LoRA Control: what must not change, what each branch sees, and its file.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use one4d_engine::models::one4d::{
    AdapterConfig, AdapterFile, AdapterMeta, ConditioningKind, Coupling, DenoiserSpec, One4d,
    Prediction, XyzInput, save_adapters,
};
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::models::{Denoiser as _, DenoiserInputs, Velocities};
use one4d_engine::nn::{ParamStore, ShapeStore, Weights};
use one4d_engine::{Error, Result};
use one4d_tests::draw;

const CPU: &Device = &Device::Cpu;
const GRID: [usize; 3] = [2, 4, 6];

fn randn(shape: &[usize]) -> Tensor {
    draw::normal(1.0, shape)
}

fn values(x: &Tensor) -> Result<Vec<f32>> {
    Ok(x.flatten_all()?.to_vec1::<f32>()?)
}

fn max_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

fn config(image: bool) -> WanConfig {
    WanConfig {
        num_layers: 3,
        image_dim: image.then_some(20),
        ..WanConfig::tiny()
    }
}

/// Random weights of a base whose every layer, the head too, does something.
fn base_tensors(cfg: &WanConfig) -> Result<HashMap<String, Tensor>> {
    let store = ParamStore::default();
    WanDit::from_weights(cfg, &Weights::fresh(&store, 5, DType::F32, CPU))?;
    let mut tensors = HashMap::new();
    for (name, var) in store.vars() {
        let still = name.starts_with("head.head") || name.ends_with("bias");
        let tensor = if still {
            (randn(var.dims()) * 0.3)?
        } else {
            var.as_detached_tensor()
        };
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn weights(tensors: &HashMap<String, Tensor>) -> Weights {
    Weights::from_tensors(tensors.clone(), "base.safetensors", DType::F32, CPU)
}

struct Case {
    cfg: WanConfig,
    base: HashMap<String, Tensor>,
    adapters: AdapterConfig,
    store: ParamStore,
    model: One4d,
}

fn case_of(cfg: WanConfig, adapters: AdapterConfig) -> Result<Case> {
    let base = base_tensors(&cfg)?;
    let store = ParamStore::default();
    let fresh = Weights::fresh(&store, 9, DType::F32, CPU);
    let model = One4d::from_weights(&cfg, &adapters, &weights(&base), &fresh)?;
    Ok(Case {
        cfg,
        base,
        adapters,
        store,
        model,
    })
}

fn case(coupling: Coupling) -> Result<Case> {
    let cfg = config(false);
    let adapters = AdapterConfig {
        alpha: 2.0,
        ..AdapterConfig::new(coupling, 4, cfg.num_layers)
    };
    case_of(cfg, adapters)
}

impl Case {
    /// Gives every variable whose name holds `part` random values.
    fn stir(&self, part: &str) -> Result<usize> {
        let vars = self.store.vars();
        let chosen: Vec<_> = vars
            .iter()
            .filter(|(name, _)| name.contains(part))
            .collect();
        for (_, var) in &chosen {
            var.set(&(randn(var.dims()) * 0.2)?)?;
        }
        Ok(chosen.len())
    }

    fn latents(&self, rows: usize) -> Tensor {
        randn(&[rows, self.cfg.out_dim, GRID[0], GRID[1], GRID[2]])
    }

    fn inputs(&self, rows: usize) -> Result<DenoiserInputs> {
        let known = [1, 4, GRID[0], GRID[1], GRID[2]];
        Ok(DenoiserInputs {
            text: randn(&[rows, 7, self.cfg.text_dim]),
            mask: randn(&known).ge(0.0)?.to_dtype(DType::F32)?,
            condition: self.latents(1),
            image: None,
            xyz: None,
        })
    }

    /// What the base alone says to the rows of both branches, in one batch.
    fn base_says(
        &self,
        rgb: &Tensor,
        xyz: &Tensor,
        sigma: f64,
        given: &DenoiserInputs,
    ) -> Result<Tensor> {
        let dit = WanDit::from_weights(&self.cfg, &weights(&self.base))?;
        let conditioned = Tensor::cat(&[rgb, &given.mask, &given.condition], 1)?;
        let padded = xyz.pad_with_zeros(1, 0, self.cfg.in_dim - self.cfg.out_dim)?;
        let rows = given.text.dim(0)?;
        let mut batch = vec![conditioned; rows];
        batch.extend(vec![padded; rows]);
        let text = Tensor::cat(&[&given.text, &given.text], 0)?;
        dit.forward(&Tensor::cat(&batch, 0)?, &[1000.0 * sigma], &text, None)
    }
}

fn both(velocities: &Velocities) -> Result<Tensor> {
    Ok(Tensor::cat(&[&velocities.rgb, &velocities.xyz], 0)?)
}

#[test]
fn zero_adapters_and_links_leave_both_branches_equal_to_the_base_bit_for_bit() -> Result<()> {
    let case = case(Coupling::Decoupled)?;
    let (rgb, xyz, given) = (case.latents(1), case.latents(1), case.inputs(2)?);
    let velocities = case.model.velocities(&rgb, &xyz, 0.7, &given)?;
    assert_eq!(
        velocities.rgb.dims(),
        [2, case.cfg.out_dim, GRID[0], GRID[1], GRID[2]]
    );
    let base = case.base_says(&rgb, &xyz, 0.7, &given)?;
    assert!(base.abs()?.max_all()?.to_scalar::<f32>()? > 0.1);
    assert_eq!(values(&both(&velocities)?)?, values(&base)?);
    Ok(())
}

#[test]
fn each_branch_sees_its_own_adapter_only() -> Result<()> {
    for (stirred, own_rgb) in [("lora_B.rgb", true), ("lora_B.xyz", false)] {
        let case = case(Coupling::Decoupled)?;
        let (rgb, xyz, given) = (case.latents(1), case.latents(1), case.inputs(2)?);
        let before = case.model.velocities(&rgb, &xyz, 0.5, &given)?;
        assert_eq!(case.stir(stirred)?, 10 * case.cfg.num_layers);
        let after = case.model.velocities(&rgb, &xyz, 0.5, &given)?;
        let moved_rgb = max_difference(&before.rgb, &after.rgb)?;
        let moved_xyz = max_difference(&before.xyz, &after.xyz)?;
        let (own, other) = if own_rgb {
            (moved_rgb, moved_xyz)
        } else {
            (moved_xyz, moved_rgb)
        };
        assert!(own > 1e-3, "{stirred}: {own}");
        assert_eq!(other, 0.0, "{stirred}");
    }
    Ok(())
}

#[test]
fn an_adapter_is_the_weight_that_it_adds() -> Result<()> {
    let case = case(Coupling::Decoupled)?;
    case.stir("lora_B.rgb")?;
    let vars = case.store.vars();
    let mut merged = case.base.clone();
    for (name, a) in &vars {
        let Some(module) = name.strip_suffix(".lora_A.rgb.weight") else {
            continue;
        };
        let b = &vars[&format!("{module}.lora_B.rgb.weight")];
        let delta = (b.as_tensor().matmul(a.as_tensor())? * case.adapters.scale())?;
        let name = format!("{module}.weight");
        let sum = (&merged[&name] + delta.detach())?;
        merged.insert(name, sum);
    }
    let (rgb, xyz, given) = (case.latents(1), case.latents(1), case.inputs(1)?);
    let adapted = case.model.velocities(&rgb, &xyz, 0.4, &given)?.rgb;
    let merged = Case {
        base: merged,
        ..case
    };
    let expected = merged.base_says(&rgb, &xyz, 0.4, &given)?.narrow(0, 0, 1)?;
    assert!(max_difference(&adapted, &expected)? < 1e-4);
    Ok(())
}

#[test]
fn a_link_carries_features_one_way_and_reads_before_it_writes() -> Result<()> {
    let case = case(Coupling::Decoupled)?;
    let (rgb, xyz, given) = (case.latents(1), case.latents(1), case.inputs(1)?);
    let before = case.model.velocities(&rgb, &xyz, 0.5, &given)?;
    assert_eq!(case.stir("links.2.rgb_from_xyz")?, 1);
    let after = case.model.velocities(&rgb, &xyz, 0.5, &given)?;
    assert!(max_difference(&before.rgb, &after.rgb)? > 1e-3);
    assert_eq!(max_difference(&before.xyz, &after.xyz)?, 0.0);

    // With the last link alone open both ways, XYZ gets the RGB features from before the exchange.
    let alone = |part: &str| -> Result<Tensor> {
        let vars = case.store.vars();
        let kept = vars["links.2.xyz_from_rgb.weight"].as_tensor().copy()?;
        case.stir("links.2.xyz_from_rgb")?;
        let both_open = case.model.velocities(&rgb, &xyz, 0.5, &given)?.xyz;
        let other = &vars[part];
        other.set(&other.zeros_like()?)?;
        let one_open = case.model.velocities(&rgb, &xyz, 0.5, &given)?.xyz;
        vars["links.2.xyz_from_rgb.weight"].set(&kept)?;
        Ok((both_open - one_open)?)
    };
    let change = alone("links.2.rgb_from_xyz.weight")?;
    assert_eq!(change.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
    Ok(())
}

#[test]
fn the_xyz_branch_sees_neither_mask_nor_condition() -> Result<()> {
    let case = case(Coupling::Decoupled)?;
    let (rgb, xyz, given) = (case.latents(1), case.latents(1), case.inputs(1)?);
    let other = DenoiserInputs {
        mask: case.inputs(1)?.mask,
        condition: case.latents(1),
        ..given.clone()
    };
    let (a, b) = (
        case.model.velocities(&rgb, &xyz, 0.5, &given)?,
        case.model.velocities(&rgb, &xyz, 0.5, &other)?,
    );
    assert!(max_difference(&a.rgb, &b.rgb)? > 1e-3);
    assert_eq!(max_difference(&a.xyz, &b.xyz)?, 0.0);
    Ok(())
}

#[test]
fn a_batch_of_noise_levels_is_each_of_them_alone() -> Result<()> {
    for coupling in [Coupling::Decoupled, Coupling::Channel, Coupling::Spatial] {
        let case = case(coupling)?;
        case.stir("lora_B")?;
        case.stir("links")?;
        let (rgb, xyz, given) = (case.latents(2), case.latents(2), case.inputs(2)?);
        let together = case.model.forward(&rgb, &xyz, &[0.9, 0.2], &given)?;
        for (row, sigma) in [0.9, 0.2].into_iter().enumerate() {
            let inputs = DenoiserInputs {
                text: given.text.narrow(0, row, 1)?,
                ..given.clone()
            };
            let (rgb, xyz) = (rgb.narrow(0, row, 1)?, xyz.narrow(0, row, 1)?);
            let alone = case.model.velocities(&rgb, &xyz, sigma, &inputs)?;
            assert!(max_difference(&alone.rgb, &together.rgb.narrow(0, row, 1)?)? < 1e-5);
            assert!(max_difference(&alone.xyz, &together.xyz.narrow(0, row, 1)?)? < 1e-5);
        }
    }
    Ok(())
}

#[test]
fn every_adapter_variable_gets_a_gradient() -> Result<()> {
    for coupling in [Coupling::Decoupled, Coupling::Channel, Coupling::Spatial] {
        let cfg = config(true);
        let adapters = AdapterConfig::new(coupling, 4, cfg.num_layers);
        let case = case_of(cfg, adapters)?;
        case.stir("lora_B")?;
        let (rgb, xyz, given) = (case.latents(2), case.latents(2), case.inputs(2)?);
        let given = DenoiserInputs {
            image: Some(randn(&[2, 5, 20])),
            xyz: None,
            ..given
        };
        let out = both(&case.model.forward(&rgb, &xyz, &[0.3, 0.8], &given)?)?;
        let gradients = (out - randn(&[4, case.cfg.out_dim, GRID[0], GRID[1], GRID[2]]))?
            .sqr()?
            .mean_all()?
            .backward()?;
        for (name, var) in case.store.vars() {
            let Some(gradient) = gradients.get(&var) else {
                panic!("{coupling:?}: {name} has no gradient");
            };
            let largest = gradient.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(
                largest > 0.0 && largest.is_finite(),
                "{coupling:?}: {name} {largest}"
            );
        }
    }
    Ok(())
}

#[test]
fn fresh_single_sequence_couplings_start_from_the_base() -> Result<()> {
    // On channels a fresh entrance reads RGB alone and a fresh exit gives it twice.
    let case = case(Coupling::Channel)?;
    let (rgb, xyz, given) = (case.latents(1), case.latents(1), case.inputs(1)?);
    let velocities = case.model.velocities(&rgb, &xyz, 0.6, &given)?;
    let base = case.base_says(&rgb, &xyz, 0.6, &given)?.narrow(0, 0, 1)?;
    assert!(max_difference(&velocities.rgb, &base)? < 1e-5);
    assert!(max_difference(&velocities.xyz, &base)? < 1e-5);
    Ok(())
}

#[test]
fn halves_side_by_side_see_each_other_and_share_positions() -> Result<()> {
    let case = case(Coupling::Spatial)?;
    let (rgb, xyz) = (case.latents(1), case.latents(1));
    let nothing = DenoiserInputs {
        mask: Tensor::zeros((1, 4, GRID[0], GRID[1], GRID[2]), DType::F32, CPU)?,
        condition: rgb.zeros_like()?,
        ..case.inputs(1)?
    };
    let there = case.model.velocities(&rgb, &xyz, 0.6, &nothing)?;
    // Without condition, and domain embeddings still at zero, nothing tells the halves apart.
    let swapped = case.model.velocities(&xyz, &rgb, 0.6, &nothing)?;
    assert!(max_difference(&there.rgb, &swapped.xyz)? < 1e-5);
    let other = case
        .model
        .velocities(&rgb, &case.latents(1), 0.6, &nothing)?;
    assert!(max_difference(&there.rgb, &other.rgb)? > 1e-4);
    case.stir("domain_embeddings")?;
    let told = case.model.velocities(&rgb, &xyz, 0.6, &nothing)?;
    let told_swapped = case.model.velocities(&xyz, &rgb, 0.6, &nothing)?;
    assert!(max_difference(&told.rgb, &told_swapped.xyz)? > 1e-4);
    Ok(())
}

fn save(case: &Case, folder: &std::path::Path) -> Result<std::path::PathBuf> {
    let path = folder.join("adapters.safetensors");
    let meta = AdapterMeta {
        adapters: case.adapters.clone(),
        base_model: "tiny".to_owned(),
        base_hash: "00ff".to_owned(),
        normalisation: "clip quantiles".to_owned(),
        training_step: 42,
    };
    let vars = case.store.vars();
    let tensors = vars
        .into_iter()
        .map(|(name, var)| (name, var.as_detached_tensor()));
    save_adapters(&path, &tensors.collect(), &meta)?;
    Ok(path)
}

#[test]
fn adapter_files_come_back_as_they_were() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("temporary folder", e))?;
    for (coupling, xyz_input) in [
        (Coupling::Decoupled, XyzInput::ZeroPadded),
        (Coupling::Decoupled, XyzInput::OwnHead),
        (Coupling::Channel, XyzInput::ZeroPadded),
        (Coupling::Spatial, XyzInput::ZeroPadded),
    ] {
        let cfg = config(false);
        let adapters = AdapterConfig {
            alpha: 2.0,
            xyz_input,
            linked_blocks: if coupling == Coupling::Decoupled {
                vec![1]
            } else {
                vec![]
            },
            ..AdapterConfig::new(coupling, 4, cfg.num_layers)
        };
        let case = case_of(cfg, adapters)?;
        for part in ["lora_B", "links", "xyz", "joint", "domain"] {
            case.stir(part)?;
        }
        let path = save(&case, folder.path())?;
        let spec = DenoiserSpec {
            config: case.cfg.clone(),
            base: String::new(),
            adapters: String::new(),
            coupling,
            prediction: Prediction::Velocity,
            conditioning: ConditioningKind::Unified,
            adapter_scale: None,
        };
        let loaded = One4d::load(&spec, &weights(&case.base), &path, CPU)?;
        let file = AdapterFile::open(&path, DType::F32, CPU)?;
        assert_eq!(file.meta.map(|meta| meta.training_step), Some(42));
        let (rgb, xyz, given) = (case.latents(1), case.latents(1), case.inputs(2)?);
        let before = both(&case.model.velocities(&rgb, &xyz, 0.5, &given)?)?;
        let after = both(&loaded.velocities(&rgb, &xyz, 0.5, &given)?)?;
        assert_eq!(values(&before)?, values(&after)?);

        let other = match coupling {
            Coupling::Spatial => Coupling::Channel,
            _ => Coupling::Spatial,
        };
        let spec = DenoiserSpec {
            coupling: other,
            ..spec
        };
        let refused = One4d::load(&spec, &weights(&case.base), &path, CPU);
        assert!(matches!(refused, Err(Error::Weights { .. })));
    }
    Ok(())
}

#[test]
fn adapter_files_of_other_programs_are_read_by_their_shapes() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("temporary folder", e))?;
    let case = case(Coupling::Decoupled)?;
    for part in ["lora_B", "links", "xyz"] {
        case.stir(part)?;
    }
    // PEFT's names, an alpha tensor for every pair, and no description.
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    for (name, var) in case.store.vars() {
        if let Some((module, rest)) = name.split_once(".lora_") {
            let alpha = Tensor::new(&[case.adapters.alpha as i64], CPU)?;
            tensors.insert(format!("base_model.model.{module}.alpha"), alpha);
            tensors.insert(
                format!("base_model.model.{module}.lora_{rest}"),
                var.as_detached_tensor(),
            );
        } else {
            tensors.insert(name, var.as_detached_tensor());
        }
    }
    let path = folder.path().join("foreign.safetensors");
    candle_core::safetensors::save(&tensors, &path)?;
    let spec = DenoiserSpec {
        config: case.cfg.clone(),
        base: String::new(),
        adapters: String::new(),
        coupling: Coupling::Decoupled,
        prediction: Prediction::Velocity,
        conditioning: ConditioningKind::Unified,
        adapter_scale: None,
    };
    let loaded = One4d::load(&spec, &weights(&case.base), &path, CPU)?;
    assert_eq!(loaded.adapter_config().rank, 4);
    assert_eq!(
        loaded.adapter_config().linked_blocks,
        case.adapters.linked_blocks
    );
    let (rgb, xyz, given) = (case.latents(1), case.latents(1), case.inputs(1)?);
    let before = both(&case.model.velocities(&rgb, &xyz, 0.5, &given)?)?;
    let after = both(&loaded.velocities(&rgb, &xyz, 0.5, &given)?)?;
    assert!(max_difference(&before, &after)? < 1e-5);

    tensors.remove("links.0.rgb_from_xyz.weight");
    candle_core::safetensors::save(&tensors, &path)?;
    let message = One4d::load(&spec, &weights(&case.base), &path, CPU)
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(
        message.contains("links.0.rgb_from_xyz.weight [48, 48] is missing"),
        "{message}"
    );
    Ok(())
}

#[test]
fn adapters_of_the_paper_have_the_papers_size() -> Result<()> {
    let cfg = WanConfig::fun_inp_14b();
    let (base, adapters) = (ShapeStore::default(), ShapeStore::default());
    One4d::from_weights(
        &cfg,
        &AdapterConfig::default(),
        &Weights::dry(&base, DType::BF16, CPU),
        &Weights::dry(&adapters, DType::BF16, CPU),
    )?;
    let sum = |part: &str| -> usize {
        let shapes = adapters.shapes();
        let chosen = shapes.iter().filter(|(name, _)| name.contains(part));
        chosen
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    };
    assert_eq!(sum("lora_"), 718_274_560); // 685.00 * 2^20
    assert_eq!(sum("links."), 262_144_000); // 250.00 * 2^20
    assert_eq!(sum("xyz.patch_embedding"), 742_400);
    assert_eq!(adapters.num_scalars(), 718_274_560 + 262_144_000 + 742_400);
    assert_eq!(base.num_scalars(), 16_394_878_784);
    Ok(())
}

#[test]
fn a_base_without_condition_channels_and_links_past_the_end_are_refused() {
    let refused = |cfg: &WanConfig, adapters: &AdapterConfig| {
        let (base, own) = (ShapeStore::default(), ShapeStore::default());
        let base = Weights::dry(&base, DType::F32, CPU);
        let own = Weights::dry(&own, DType::F32, CPU);
        let result = One4d::from_weights(cfg, adapters, &base, &own);
        matches!(result, Err(Error::Invalid { .. }))
    };
    let adapters = AdapterConfig::new(Coupling::Decoupled, 4, 2);
    assert!(refused(&WanConfig::t2v_1_3b(), &adapters));
    let far = AdapterConfig {
        linked_blocks: vec![5],
        ..adapters
    };
    assert!(refused(&WanConfig::tiny(), &far));
}
