//! LoHa, LoKr and DoRA files: strengths, coarse and streamed bases, branches, settings, misfits.
//! That they are what other programs mean is shown by the parity cases `lora_*`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Tensor};
use one4d_engine::Result;
use one4d_engine::inspect;
use one4d_engine::job::JobCtx;
use one4d_engine::models::one4d::One4d;
use one4d_engine::models::wan::{LoraPlacement, LoraStack, WanDit};
use one4d_engine::nn::{WeightForm, Weights};
use one4d_tests::draw;

use super::lora::{
    Branches, CPU, Question, Tensors, base, config, relative, save, stack, values, weights,
};

const MODULES: [&str; 4] = [
    "blocks.0.self_attn.q",
    "blocks.1.cross_attn.k_img",
    "blocks.1.ffn.0",
    "time_projection.1",
];
const KINDS: [&str; 5] = ["loha", "lokr", "dora", "doha of columns", "dokr"];

fn randn(shape: &[usize]) -> Tensor {
    draw::normal(0.4, shape)
}

/// A file of a kind over [`MODULES`], small beside the weights.
fn file(kind: &str, base: &Tensors) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for module in MODULES {
        let (outputs, inputs) = base[&format!("{module}.weight")].dims2()?;
        let mut put = |part: &str, shape: &[usize]| {
            tensors.insert(format!("{module}.{part}"), randn(shape));
        };
        match kind {
            "dora" => {
                put("lora_A.weight", &[2, inputs]);
                put("lora_B.weight", &[outputs, 2]);
            }
            "lokr" | "dokr" => {
                put("lokr_w1", &[2, 4]);
                put("lokr_w2_a", &[outputs / 2, 3]);
                put("lokr_w2_b", &[3, inputs / 4]);
            }
            _ => {
                for pair in ["hada_w1", "hada_w2"] {
                    put(&format!("{pair}_a"), &[outputs, 2]);
                    put(&format!("{pair}_b"), &[2, inputs]);
                }
            }
        }
        let magnitudes = |len| -> Result<Tensor> { Ok(((randn(&[len]) + 1.5)? * 2.0)?.abs()?) };
        let scale = match kind {
            "dora" => Some(("lora_magnitude_vector", magnitudes(outputs)?)),
            "dokr" => Some(("dora_scale", magnitudes(outputs)?.unsqueeze(1)?)),
            "doha of columns" => Some(("dora_scale", magnitudes(inputs)?.unsqueeze(0)?)),
            _ => None,
        };
        if let Some((part, scale)) = scale {
            tensors.insert(format!("{module}.{part}"), scale);
        }
    }
    Ok(tensors)
}

fn applied(files: &[(&PathBuf, f64)], base: &Tensors) -> Result<Weights> {
    let base = weights(base);
    Ok(stack(files, &base)?.applied(&base, LoraPlacement::Merged))
}

fn weight(place: &Weights, module: &str, base: &Tensors) -> Result<Tensor> {
    let name = format!("{module}.weight");
    let init = one4d_engine::nn::Init::Const(0.0);
    place.get(base[&name].dims(), &name, init)
}

#[test]
fn a_strength_is_a_straight_way_from_the_base() -> Result<()> {
    let base = base()?;
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let path = save(&folder, "file.safetensors", file(kind, &base)?);
        let at = |strength: f64| applied(&[(&path, strength)], &base);
        let (whole, half, none) = (at(1.0)?, at(0.5)?, at(0.0)?);
        for module in MODULES {
            let plain = &base[&format!("{module}.weight")];
            let [whole, half, none] = [&whole, &half, &none].map(|w| weight(w, module, &base));
            let (whole, half) = (whole?, half?);
            assert_eq!(values(&none?)?, values(plain)?, "{kind} {module}");
            let middle = ((plain + &whole)? * 0.5)?;
            assert!(relative(&half, &middle)? < 1e-6, "{kind} {module}");
            assert!(
                relative(&whole, plain)? > 0.05,
                "{kind} does nothing to {module}"
            );
        }
    }
    Ok(())
}

#[test]
fn magnitudes_are_those_of_the_file() -> Result<()> {
    let base = base()?;
    let folder = tempfile::tempdir().unwrap();
    for (kind, axis) in [("dora", 1), ("dokr", 1), ("doha of columns", 0)] {
        let tensors = file(kind, &base)?;
        let path = save(&folder, "file.safetensors", tensors.clone());
        let changed = applied(&[(&path, 1.0)], &base)?;
        for module in MODULES {
            let lengths = weight(&changed, module, &base)?.sqr()?.sum(axis)?.sqrt()?;
            let scale = ["lora_magnitude_vector", "dora_scale"].into_iter();
            let mut scale = scale.filter_map(|part| tensors.get(&format!("{module}.{part}")));
            let scale = scale.next().unwrap().flatten_all()?;
            assert!(relative(&lengths, &scale)? < 1e-5, "{kind} {module}");
        }
    }
    Ok(())
}

#[test]
fn the_order_of_files_of_all_kinds_does_not_matter() -> Result<()> {
    let (base, question) = (base()?, Question::new());
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (index, kind) in KINDS.into_iter().enumerate() {
        let name = format!("{index}.safetensors");
        files.push((
            save(&folder, &name, file(kind, &base)?),
            0.3 - 0.1 * index as f64,
        ));
    }
    let listed: Vec<(&PathBuf, f64)> = files.iter().map(|(path, s)| (path, *s)).collect();
    let back: Vec<(&PathBuf, f64)> = listed.iter().rev().copied().collect();
    let said = question.ask(&applied(&listed, &base)?)?;
    assert_eq!(
        values(&said)?,
        values(&question.ask(&applied(&back, &base)?)?)?
    );
    Ok(())
}

#[test]
fn beside_coarse_and_streamed_layers_and_branches_they_are_as_merged() -> Result<()> {
    let base = base()?;
    let folder = tempfile::tempdir().unwrap();
    let base_file = save(&folder, "base.safetensors", base.clone());
    let branches = Branches::new(&base)?;
    let say = |model: &One4d| -> Result<Tensor> { Ok(Tensor::cat(&branches.ask(model)?, 0)?) };
    let plain = say(&branches.build(&weights(&base))?)?;
    let others = save(&folder, "lora.safetensors", file("dora", &base)?);
    for kind in KINDS {
        let path = save(&folder, "file.safetensors", file(kind, &base)?);
        let files = [(&path, 0.6), (&others, 0.3)];
        let place = Weights::from_files(&[&base_file], DType::F32, CPU)?;
        let loras = stack(&files, &place)?;
        let merged = say(&branches.build(&loras.applied(&place, LoraPlacement::Merged))?)?;
        let effect = relative(&plain, &merged)?;
        for (form, streamed, bound) in [
            (WeightForm::Plain, false, 1e-5),
            (WeightForm::Plain, true, 1e-5),
            (WeightForm::Bf16, false, 0.03),
            (WeightForm::Bf16, true, 0.03),
        ] {
            let mut place = loras.applied(&place, LoraPlacement::Beside).in_form(form);
            if streamed {
                place = place.streamed();
            }
            let mut model = branches.build(&place)?;
            model.put_beside(&loras)?;
            let error = relative(&say(&model)?, &merged)?;
            let what = format!("{kind}, {form:?}, streamed {streamed}");
            assert!(error < bound, "{what}: {error}");
            assert!(effect > 3.0 * bound, "{what} changes {effect}");
        }
    }
    Ok(())
}

fn described(path: &Path, tensors: &Tensors, settings: &str) {
    let head = HashMap::from([("lora_adapter_metadata".to_owned(), settings.to_owned())]);
    std::fs::write(path, safetensors::serialize(tensors, Some(head)).unwrap()).unwrap();
}

#[test]
fn settings_are_found_in_and_beside_files() -> Result<()> {
    let base = base()?;
    let module = "blocks.0.self_attn.q";
    let (outputs, inputs) = base[&format!("{module}.weight")].dims2()?;
    let folder = tempfile::tempdir().unwrap();
    let pair = Tensors::from([
        (format!("{module}.lora_A.weight"), randn(&[4, inputs])),
        (format!("{module}.lora_B.weight"), randn(&[outputs, 4])),
    ]);
    let whole = Tensors::from([
        (format!("{module}.lokr_w1"), randn(&[2, inputs / 2])),
        (format!("{module}.lokr_w2"), randn(&[outputs / 2, 2])),
    ]);
    let plain = &base[&format!("{module}.weight")];
    let change = |path: &PathBuf| -> Result<Tensor> {
        Ok((weight(&applied(&[(path, 1.0)], &base)?, module, &base)? - plain)?)
    };
    for (tensors, settings, factor) in [
        (&pair, "{}", 1.0),
        (&pair, r#"{"lora_alpha": 6}"#, 1.5),
        (
            &pair,
            r#"{"transformer.lora_alpha": 6, "lora_alpha": 1}"#,
            1.5,
        ),
        (&pair, r#"{"lora_alpha": 6, "use_rslora": true}"#, 3.0),
        (
            &pair,
            r#"{"lora_alpha": 6, "alpha_pattern": {"self_attn.q": 2}}"#,
            0.5,
        ),
        (
            &pair,
            r#"{"lora_alpha": 6, "alpha_pattern": {"blocks\\.\\d+\\..*q": 2}}"#,
            0.5,
        ),
        // A pattern counts from a dot on, and to the end.
        (
            &pair,
            r#"{"lora_alpha": 6, "alpha_pattern": {"attn.q": 2, "self_attn": 3}}"#,
            1.5,
        ),
        (&pair, r#"{"lora_alpha": null}"#, 1.0),
        // Nothing shows the rank of two whole factors but the settings.
        (&whole, r#"{"alpha": 6}"#, 1.0),
        (&whole, r#"{"alpha": 6, "r": 4}"#, 1.5),
        (
            &whole,
            r#"{"alpha": 6, "r": 4, "rank_pattern": {"q": 12}}"#,
            0.5,
        ),
    ] {
        let bare = folder.path().join("bare.safetensors");
        described(&bare, tensors, "{}");
        let expected = (change(&bare)? * factor)?;
        let inside = folder.path().join("inside.safetensors");
        described(&inside, tensors, settings);
        assert!(relative(&change(&inside)?, &expected)? < 1e-5, "{settings}");
        let peft = save(&folder, "adapter_model.safetensors", tensors.clone());
        std::fs::write(folder.path().join("adapter_config.json"), settings).unwrap();
        assert!(
            relative(&change(&peft)?, &expected)? < 1e-5,
            "beside, {settings}"
        );
    }
    for (settings, reason) in [
        ("{", "unreadable settings"),
        (r#"{"lora_alpha": "many"}"#, "lora_alpha must be a number"),
        (r#"{"alpha_pattern": {"(": 2}}"#, "alpha_pattern"),
        (r#"{"r": 0}"#, "must be above 0"),
    ] {
        std::fs::write(folder.path().join("adapter_config.json"), settings).unwrap();
        let path = folder.path().join("adapter_model.safetensors");
        let error = LoraStack::open(&[(path, 1.0)], &weights(&base), &JobCtx::silent())
            .err()
            .unwrap();
        let said = error.to_string();
        assert!(
            said.contains(reason) && said.contains("adapter_config.json"),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn what_makes_no_product_is_named() -> Result<()> {
    let base = base()?;
    let module = "blocks.0.self_attn.q";
    let (outputs, inputs) = base[&format!("{module}.weight")].dims2()?;
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[(&str, &[usize])], &str); 9] = [
        (
            &[("hada_w1_a", &[outputs, 2]), ("hada_w1_b", &[2, inputs])],
            "has no hada_w2_a, hada_w2_b with it",
        ),
        (
            &[
                ("hada_w1_a", &[outputs, 2]),
                ("hada_w1_b", &[3, inputs]),
                ("hada_w2_a", &[outputs, 2]),
                ("hada_w2_b", &[2, inputs]),
            ],
            "are no pair",
        ),
        (
            &[
                ("hada_w1_a", &[outputs, 2]),
                ("hada_w1_b", &[2, inputs]),
                ("hada_w2_a", &[outputs, 2]),
                ("hada_w2_b", &[2, inputs + 1]),
            ],
            "two matrices of different shapes",
        ),
        (&[("lokr_w1", &[2, 2])], "either lokr_w2 or both"),
        (
            &[("lokr_w1", &[2, 2]), ("lokr_w2", &[outputs, inputs])],
            "does not fit blocks.0.self_attn.q",
        ),
        (&[("dora_scale", &[outputs, 1])], "belongs to no pair"),
        (
            &[
                ("lora_A.weight", &[2, inputs]),
                ("lora_B.weight", &[outputs, 2]),
                ("dora_scale", &[outputs + 1, 1]),
            ],
            "neither one magnitude for each",
        ),
        (
            &[
                ("lora_A.weight", &[2, inputs]),
                ("lora_B.weight", &[outputs, 2]),
                ("lokr_w1", &[1, 1]),
                ("lokr_w2", &[outputs, inputs]),
            ],
            "of different kinds for one module",
        ),
        (&[("hada_t1", &[2, 2, 1, 1, 1])], "belongs to no pair"),
    ];
    for (parts, reason) in cases {
        let named = |(part, shape): &(&str, &[usize])| (format!("{module}.{part}"), randn(shape));
        let path = save(
            &folder,
            "wrong.safetensors",
            parts.iter().map(named).collect(),
        );
        let error = LoraStack::open(&[(path, 1.0)], &weights(&base), &JobCtx::silent())
            .err()
            .unwrap();
        let said = error.to_string();
        let names_the_file = said.contains("wrong.safetensors") && said.contains(module);
        assert!(said.contains(reason) && names_the_file, "{said}");
    }
    Ok(())
}

#[test]
fn a_look_at_a_file_says_its_kind() -> Result<()> {
    let base = base()?;
    let folder = tempfile::tempdir().unwrap();
    for (kind, said, rank) in [
        ("loha", "LoHa", "2"),
        ("dokr", "LoKr", "3"),
        ("dora", "DoRA", "2"),
    ] {
        let path = save(&folder, "file.safetensors", file(kind, &base)?);
        let found = inspect::inspect(&path)?;
        assert_eq!(found.kind, inspect::Kind::Lora);
        let fact = |name: &str, value: &str| {
            let mut facts = found.facts.iter().filter(|fact| fact.name == name);
            assert!(
                facts.any(|fact| fact.value.contains(value)),
                "{kind}: {name}"
            );
        };
        fact("kind", said);
        fact("rank", rank);
    }
    Ok(())
}

#[test]
fn a_narrow_dit_takes_a_file_beside_its_stored_blocks() -> Result<()> {
    // Magnitudes are measured on what the file holds, not on its rounded form.
    let (base, question) = (base()?, Question::new());
    let folder = tempfile::tempdir().unwrap();
    let base_file = save(&folder, "base.safetensors", base.clone());
    let path = save(&folder, "file.safetensors", file("dora", &base)?);
    let place = Weights::from_files(&[&base_file], DType::F32, CPU)?;
    let loras: Arc<LoraStack> = stack(&[(&path, 1.0)], &place)?;
    let truth = question.ask(&loras.applied(&place, LoraPlacement::Merged))?;
    let beside = loras
        .applied(&place, LoraPlacement::Beside)
        .in_form(WeightForm::Q8_0);
    let mut dit = WanDit::from_weights(&config(), &beside)?;
    dit.put_beside(&loras)?;
    let said = question.put_to(&dit)?;
    let effect = relative(&question.ask(&place)?, &truth)?;
    let error = relative(&said, &truth)?;
    assert!(
        error < 0.02 && effect > 0.06,
        "error {error}, effect {effect}"
    );
    Ok(())
}
