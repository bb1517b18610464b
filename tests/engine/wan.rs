//! The Wan DiT and its text encoders: shapes, names, identities and gradients.

use std::collections::HashMap;

use candle_core::{D, DType, Device, Tensor};
use one4d_engine::models::TextEncoder as _;
use one4d_engine::models::byte_text::{ByteTextEncoder, TextSpec};
use one4d_engine::models::clip_vision::{ClipVision, ClipVisionConfig};
use one4d_engine::models::umt5::{HUGGING_FACE, Umt5Config, Umt5Encoder};
use one4d_engine::models::wan::vae::{WanVae, WanVaeConfig};
use one4d_engine::models::wan::{WanConfig, WanDit, keys};
use one4d_engine::nn::{ParamStore, RopeTable, ShapeStore, WeightForm, Weights, apply_rope};
use one4d_engine::{Error, Result};
use one4d_tests::draw;

const CPU: &Device = &Device::Cpu;

fn fresh(store: &ParamStore) -> Weights {
    Weights::fresh(store, 11, DType::F32, CPU)
}

fn randn(shape: &[usize]) -> Tensor {
    draw::normal(1.0, shape)
}

fn max_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

/// A fresh network whose head is not zero, so that its output tells something.
fn awake(cfg: &WanConfig, store: &ParamStore) -> Result<WanDit> {
    let dit = WanDit::from_weights(cfg, &fresh(store))?;
    for (name, var) in store.vars() {
        if name.starts_with("head.head") || name.ends_with("bias") {
            var.set(&(randn(var.dims()) * 0.3)?)?;
        }
    }
    Ok(dit)
}

fn tensors(store: &ParamStore) -> HashMap<String, Tensor> {
    let tensor = |(name, var): (String, candle_core::Var)| (name, var.as_detached_tensor());
    store.vars().into_iter().map(tensor).collect()
}

fn byte_spec(max_len: usize) -> TextSpec {
    TextSpec::Umt5Bytes {
        file: "text.safetensors".to_owned(),
        dim: WanConfig::tiny().text_dim,
        ffn_dim: 32,
        layers: 2,
        heads: 2,
        max_len,
    }
}

fn tiny_with_image() -> WanConfig {
    WanConfig {
        image_dim: Some(20),
        ..WanConfig::tiny()
    }
}

#[test]
fn large_networks_have_the_published_tensors_and_parameters() -> Result<()> {
    let cases = [
        (WanConfig::fun_inp_14b(), 1303, 16_394_878_784),
        (WanConfig::fun_inp_1_3b(), 983, 1_564_428_608),
    ];
    for (cfg, tensors, scalars) in cases {
        let shapes = ShapeStore::default();
        WanDit::from_weights(&cfg, &Weights::dry(&shapes, DType::BF16, CPU))?;
        assert_eq!(shapes.shapes().len(), tensors);
        assert_eq!(shapes.num_scalars(), scalars);
        assert_eq!(
            shapes.shapes()["patch_embedding.weight"],
            [cfg.dim, 36, 1, 2, 2]
        );
    }
    for (cfg, scalars) in [
        (WanConfig::t2v_14b(), 14_288_491_584),
        (WanConfig::t2v_1_3b(), 1_418_996_800),
    ] {
        let shapes = ShapeStore::default();
        WanDit::from_weights(&cfg, &Weights::dry(&shapes, DType::BF16, CPU))?;
        assert_eq!(shapes.num_scalars(), scalars);
    }
    Ok(())
}

#[test]
fn umt5_xxl_has_the_published_tensors_and_parameters() -> Result<()> {
    let shapes = ShapeStore::default();
    Umt5Encoder::from_weights(&Umt5Config::xxl(), &Weights::dry(&shapes, DType::BF16, CPU))?;
    assert_eq!(shapes.shapes().len(), 242);
    assert_eq!(shapes.num_scalars(), 5_680_910_336);
    Ok(())
}

#[test]
fn rope_frequencies_are_the_references() -> Result<()> {
    let table = RopeTable::grid([2, 2, 2], 128, 10_000.0, CPU)?;
    let angle = |token: usize, index: usize| -> Result<f32> {
        let (sin, cos) = (
            table.sin.get(token)?.get(index)?,
            table.cos.get(token)?.get(index)?,
        );
        Ok(sin.to_scalar::<f32>()?.atan2(cos.to_scalar::<f32>()?))
    };
    // Token 4 is t = 1, token 2 is h = 1, token 1 is w = 1.
    let expected = [
        (4, 0, 1.0),
        (4, 1, 0.657_933_2),
        (4, 2, 0.432_876_1),
        (4, 21, 1.519_911e-4),
        (2, 22, 1.0),
        (2, 23, 0.644_946_7),
        (2, 42, 1.550_516e-4),
        (1, 43, 1.0),
        (1, 45, 0.415_956_2),
        (1, 63, 1.550_516e-4),
        (1, 0, 0.0),
    ];
    for (token, index, value) in expected {
        assert!(
            (angle(token, index)? - value).abs() < 1e-6,
            "{token} {index}"
        );
    }
    Ok(())
}

#[test]
fn rope_keeps_norms_and_depends_on_distance_only() -> Result<()> {
    let (frames, head_dim) = (9, 24);
    let table = RopeTable::grid([frames, 1, 1], head_dim, 10_000.0, CPU)?;
    let everywhere = |x: &Tensor| x.broadcast_as((1, frames, 1, head_dim))?.contiguous();
    let (q, k) = (randn(&[1, 1, 1, head_dim]), randn(&[1, 1, 1, head_dim]));
    let q = apply_rope(&everywhere(&q)?, &table)?;
    let k = apply_rope(&everywhere(&k)?, &table)?;
    let norms = q.sqr()?.sum(D::Minus1)?.flatten_all()?.to_vec1::<f32>()?;
    assert!(norms.iter().all(|n| (n - norms[0]).abs() < 1e-4 * norms[0]));

    let q = q.reshape((frames, head_dim))?;
    let scores = q
        .matmul(&k.reshape((frames, head_dim))?.t()?)?
        .to_vec2::<f32>()?;
    for distance in 0..frames {
        for at in 0..frames - distance {
            let difference = scores[at][at + distance] - scores[0][distance];
            assert!(difference.abs() < 1e-4, "{at} {distance}");
        }
    }
    Ok(())
}

#[test]
fn both_layouts_give_the_same_network() -> Result<()> {
    let cfg = tiny_with_image();
    let store = ParamStore::default();
    let dit = awake(&cfg, &store)?;
    let official = tensors(&store);
    let renamed = |map: fn(&str) -> String| -> HashMap<String, Tensor> {
        official
            .iter()
            .map(|(name, tensor)| (map(name), tensor.clone()))
            .collect()
    };
    let mut theirs = renamed(|name| keys::DIFFUSERS.theirs(name));
    let stray = Tensor::zeros(cfg.dim, DType::F32, CPU)?;
    theirs.insert("blocks.0.attn2.norm_added_q.weight".to_owned(), stray);
    let prefixed = renamed(|name| format!("model.diffusion_model.{name}"));

    let (x, text) = (randn(&[1, 12, 2, 4, 6]), randn(&[1, 5, 24]));
    let image = randn(&[1, 7, 20]);
    let expected = dit.forward(&x, &[500.0], &text, Some(&image))?;
    assert!(expected.abs()?.max_all()?.to_scalar::<f32>()? > 0.1);
    for tensors in [official.clone(), theirs, prefixed] {
        let weights = Weights::from_tensors(tensors, "case", DType::F32, CPU);
        let dit = WanDit::from_weights(&cfg, &weights)?;
        weights.finish()?;
        let out = dit.forward(&x, &[500.0], &text, Some(&image))?;
        assert_eq!(max_difference(&out, &expected)?, 0.0);
    }
    Ok(())
}

#[test]
fn a_wrong_checkpoint_is_named_tensor_by_tensor() -> Result<()> {
    let store = ParamStore::default();
    WanDit::from_weights(&WanConfig::tiny(), &fresh(&store))?;
    let mut tensors = tensors(&store);
    tensors.remove("blocks.1.ffn.2.weight");
    tensors.insert("blocks.9.x".to_owned(), randn(&[1]));
    let weights = Weights::from_tensors(tensors, "wrong.safetensors", DType::F32, CPU);
    WanDit::from_weights(&WanConfig::tiny(), &weights)?;
    let message = weights
        .finish()
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(
        message.contains("blocks.1.ffn.2.weight [48, 96] is missing"),
        "{message}"
    );
    assert!(message.contains("blocks.9.x is unexpected"), "{message}");
    Ok(())
}

#[test]
fn rows_of_a_batch_do_not_see_each_other() -> Result<()> {
    let dit = awake(&WanConfig::tiny(), &ParamStore::default())?;
    let (x, text) = (randn(&[2, 12, 2, 4, 4]), randn(&[2, 6, 24]));
    let both = dit.forward(&x, &[900.0, 100.0], &text, None)?;
    for (row, time) in [900.0, 100.0].into_iter().enumerate() {
        let (x, text) = (x.narrow(0, row, 1)?, text.narrow(0, row, 1)?);
        let alone = dit.forward(&x, &[time], &text, None)?;
        assert!(max_difference(&alone, &both.narrow(0, row, 1)?)? < 1e-5);
    }
    Ok(())
}

#[test]
fn every_variable_gets_a_gradient_from_one_step() -> Result<()> {
    let cfg = tiny_with_image();
    let (store, text_store) = (ParamStore::default(), ParamStore::default());
    let dit = awake(&cfg, &store)?;
    let encoder = ByteTextEncoder::from_weights(&byte_spec(16), &fresh(&text_store))?;

    let text = encoder.encode_batch(&["a red ball", "two"])?;
    let x = randn(&[2, cfg.in_dim, 2, 4, 4]);
    let image = randn(&[2, 7, 20]);
    let out = dit.forward(&x, &[700.0, 30.0], &text, Some(&image))?;
    let loss = (out - randn(&[2, cfg.out_dim, 2, 4, 4]))?
        .sqr()?
        .mean_all()?;
    let gradients = loss.backward()?;
    for (name, var) in store.vars().into_iter().chain(text_store.vars()) {
        let Some(gradient) = gradients.get(&var) else {
            panic!("{name} has no gradient");
        };
        let largest = gradient.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(largest > 0.0 && largest.is_finite(), "{name}: {largest}");
    }
    Ok(())
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() -> Result<()> {
    let dit = WanDit::from_weights(&WanConfig::tiny(), &fresh(&ParamStore::default()))?;
    let text = randn(&[1, 6, 24]);
    let refused = |x: &[usize], times: &[f64], text: &Tensor| -> Result<bool> {
        let result = dit.forward(&randn(x), times, text, None);
        Ok(matches!(result, Err(Error::Shape { .. })))
    };
    assert!(refused(&[1, 11, 2, 4, 4], &[1.0], &text)?);
    assert!(refused(&[1, 12, 2, 3, 4], &[1.0], &text)?);
    assert!(refused(&[2, 12, 2, 4, 4], &[1.0, 2.0, 3.0], &text)?);
    assert!(refused(&[1, 12, 2, 4, 4], &[1.0], &randn(&[1, 6, 23]))?);
    assert!(refused(&[2, 12, 2, 4, 4], &[1.0], &randn(&[3, 6, 24]))?);
    let image = randn(&[1, 7, 20]);
    let with_image = dit.forward(&randn(&[1, 12, 2, 4, 4]), &[1.0], &text, Some(&image));
    assert!(matches!(with_image, Err(Error::Invalid { .. })));
    Ok(())
}

#[test]
fn reference_configurations_are_read_in_both_layouts() -> Result<()> {
    let official = serde_json::json!({
        "_class_name": "WanModel", "model_type": "i2v", "dim": 5120, "ffn_dim": 13824,
        "num_heads": 40, "num_layers": 40, "in_dim": 36, "out_dim": 16, "freq_dim": 256,
        "text_len": 512, "eps": 1e-6, "hidden_size": 5120,
    });
    assert_eq!(
        WanConfig::from_reference(&official)?,
        WanConfig::fun_inp_14b()
    );
    let diffusers = serde_json::json!({
        "_class_name": "WanTransformer3DModel", "attention_head_dim": 128,
        "num_attention_heads": 12, "num_layers": 30, "in_channels": 36, "out_channels": 16,
        "ffn_dim": 8960, "freq_dim": 256, "text_dim": 4096, "patch_size": [1, 2, 2],
        "qk_norm": "rms_norm_across_heads", "cross_attn_norm": true, "eps": 1e-6,
        "image_dim": 1280, "added_kv_proj_dim": 1536, "rope_max_seq_len": 1024,
        "pos_embed_seq_len": null,
    });
    assert_eq!(
        WanConfig::from_reference(&diffusers)?,
        WanConfig::fun_inp_1_3b()
    );
    for wrong in [
        serde_json::json!({"dim": 100, "num_heads": 7}),
        serde_json::json!({"dim": "wide"}),
    ] {
        assert!(WanConfig::from_reference(&wrong).is_err());
    }
    Ok(())
}

#[test]
fn text_past_its_end_is_zero_and_does_not_matter() -> Result<()> {
    let encoder = ByteTextEncoder::from_weights(&byte_spec(12), &fresh(&ParamStore::default()))?;
    let batch = encoder.encode_batch(&["ab", "a longer text than fits"])?;
    assert_eq!(batch.dims(), [2, 12, 24]);
    let alone = encoder.encode("ab")?;
    assert!(max_difference(&alone, &batch.narrow(0, 0, 1)?)? < 1e-5);
    let rest = alone
        .narrow(1, 3, 9)?
        .abs()?
        .max_all()?
        .to_scalar::<f32>()?;
    assert_eq!(rest, 0.0);
    assert!(alone.get(0)?.get(2)?.abs()?.max_all()?.to_scalar::<f32>()? > 0.0);
    assert_eq!(encoder.tokenize("é").len(), 3);
    assert_eq!(encoder.tokenize(""), [1]);
    Ok(())
}

#[test]
fn hugging_face_names_load_the_same_encoder() -> Result<()> {
    let store = ParamStore::default();
    let cfg = Umt5Config {
        vocab_size: 50,
        dim: 16,
        ffn_dim: 24,
        num_heads: 3,
        head_dim: 5,
        num_layers: 2,
        ..Umt5Config::xxl()
    };
    let ours = Umt5Encoder::from_weights(&cfg, &fresh(&store))?;
    let theirs: HashMap<String, Tensor> = tensors(&store)
        .into_iter()
        .map(|(name, tensor)| (HUGGING_FACE.theirs(&name), tensor))
        .collect();
    assert!(
        theirs.contains_key("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight")
    );
    assert!(theirs.contains_key("encoder.final_layer_norm.weight"));
    let weights = Weights::from_tensors(theirs, "case", DType::F32, CPU);
    let loaded = Umt5Encoder::from_weights(&cfg, &weights)?;
    weights.finish()?;
    let ids = Tensor::new(&[[4u32, 9, 1, 0]], CPU)?;
    let mask = Tensor::new(&[[1f32, 1.0, 1.0, 0.0]], CPU)?;
    let difference = max_difference(&ours.forward(&ids, &mask)?, &loaded.forward(&ids, &mask)?)?;
    assert_eq!(difference, 0.0);
    Ok(())
}

#[test]
fn a_small_file_taken_for_a_large_network_is_refused_without_the_memory_of_one() {
    let tiny = ParamStore::default();
    WanDit::from_weights(&WanConfig::tiny(), &fresh(&tiny)).unwrap();
    for form in [
        WeightForm::Plain,
        WeightForm::Bf16,
        WeightForm::Stored,
        WeightForm::Q4K,
    ] {
        // In f32 the network would take 65 GB.
        let weights = Weights::from_tensors(tensors(&tiny), "tiny", DType::F32, CPU);
        let weights = weights.in_form(form);
        WanDit::from_weights(&WanConfig::fun_inp_14b(), &weights).unwrap();
        let error = weights.finish().unwrap_err().to_string();
        assert!(error.contains("must be [5120, 5120]"), "{form:?}: {error}");
    }
    let weights = Weights::from_tensors(HashMap::new(), "nothing", DType::F32, CPU);
    Umt5Encoder::from_weights(&Umt5Config::xxl(), &weights).unwrap();
    let error = weights.finish().unwrap_err().to_string();
    assert!(error.contains("[256384, 4096] is missing"), "{error}");
}

#[test]
fn a_configuration_out_of_bounds_is_refused_by_its_key() {
    let nothing = || Weights::from_tensors(HashMap::new(), "nothing", DType::F32, CPU);
    let much = [1 << 21, 1 << 32, usize::MAX];
    for value in much {
        let named = |result: Result<()>, key: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
        };
        type Set<T> = fn(&mut T, usize);
        let wan: [(&str, Set<WanConfig>); 6] = [
            ("dim", |c, n| c.dim = n),
            ("ffn_dim", |c, n| c.ffn_dim = n),
            ("text_dim", |c, n| c.text_dim = n),
            ("num_layers", |c, n| c.num_layers = n),
            ("image_len", |c, n| c.image_len = Some(n)),
            ("patch_size", |c, n| c.patch[2] = n),
        ];
        for (key, set) in wan {
            let mut config = WanConfig::tiny();
            set(&mut config, value);
            named(WanDit::from_weights(&config, &nothing()).map(drop), key);
        }
        let umt5: [(&str, Set<Umt5Config>); 3] = [
            ("vocab_size", |c, n| c.vocab_size = n),
            ("d_ff", |c, n| c.ffn_dim = n),
            ("num_layers", |c, n| c.num_layers = n),
        ];
        for (key, set) in umt5 {
            let mut config = Umt5Config::xxl();
            set(&mut config, value);
            named(
                Umt5Encoder::from_weights(&config, &nothing()).map(drop),
                key,
            );
        }
        let clip: [(&str, Set<ClipVisionConfig>); 2] = [
            ("hidden_size", |c, n| c.dim = n),
            ("image_size", |c, n| c.image_size = n),
        ];
        for (key, set) in clip {
            let mut config = ClipVisionConfig::default();
            set(&mut config, value);
            named(ClipVision::from_weights(&config, &nothing()).map(drop), key);
        }
        let vae: [(&str, Set<WanVaeConfig>); 3] = [
            ("base_dim", |c, n| c.base_dim = n),
            ("decoder_base_dim", |c, n| c.decoder_base_dim = Some(n)),
            ("num_res_blocks", |c, n| c.num_res_blocks = n),
        ];
        for (key, set) in vae {
            let mut config = WanVaeConfig::tiny();
            set(&mut config, value);
            named(WanVae::new(&config, &nothing()).map(drop), key);
        }
    }
}
