//! The committed cases of the reference implementations, and what the runner must refuse.

use std::path::{Path, PathBuf};

use anyhow::Result;
use one4d_tests::parity::{Case, cases_in, relative_error};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("parity/cases")
}

/// Runs the committed cases whose names begin with `prefix`.
fn agree(prefix: &str) -> Result<()> {
    let mut compared = 0;
    for folder in cases_in(&cases())? {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with(prefix) {
            continue;
        }
        for comparison in Case::read(&folder)?.run()? {
            assert!(comparison.passes(), "{name}: {comparison:?}");
            compared += 1;
        }
    }
    assert!(compared > 0, "no case begins with {prefix:?}");
    Ok(())
}

#[test]
fn transformer_agrees_with_diffusers() -> Result<()> {
    agree("dit_")
}

#[test]
fn every_kind_of_lora_file_agrees_with_the_program_that_wrote_it() -> Result<()> {
    agree("lora_")
}

#[test]
fn codec_agrees_with_diffusers() -> Result<()> {
    agree("vae_")
}

#[test]
fn text_encoder_agrees_with_transformers() -> Result<()> {
    agree("umt5")
}

#[test]
fn image_encoder_agrees_with_transformers() -> Result<()> {
    agree("clip")
}

#[test]
fn halves_in_width_agree_with_diffusers_modules() -> Result<()> {
    agree("4dnex")
}

#[test]
fn whole_pipelines_agree_with_diffusers() -> Result<()> {
    agree("pipeline_")
}

#[test]
fn tokenizer_agrees_with_transformers() -> Result<()> {
    agree("tokenizer")
}

#[test]
fn euler_agrees_with_diffusers() -> Result<()> {
    agree("euler_")
}

#[test]
fn unipc_agrees_with_diffusers() -> Result<()> {
    agree("unipc_")
}

/// A copy of a committed case with one key of its configuration changed.
fn changed(case: &str, key: &str, value: serde_json::Value) -> Result<tempfile::TempDir> {
    let (source, copy) = (cases().join(case), tempfile::tempdir()?);
    for entry in std::fs::read_dir(&source)? {
        let entry = entry?;
        std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
    }
    let path = copy.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    config[key] = value;
    std::fs::write(&path, config.to_string())?;
    Ok(copy)
}

#[test]
fn what_is_not_supported_is_named() -> Result<()> {
    let cases = [
        (
            "euler_shift_1",
            "_class_name",
            "Elsewhere".into(),
            "Elsewhere",
        ),
        (
            "euler_shift_1",
            "stochastic_sampling",
            true.into(),
            "stochastic_sampling",
        ),
        ("euler_shift_1", "use_dynamic_shifting", true.into(), "mu"),
        (
            "unipc_shift_1",
            "prediction_type",
            "epsilon".into(),
            "epsilon",
        ),
        ("unipc_shift_1", "solver_type", "bh7".into(), "bh7"),
        (
            "unipc_shift_1",
            "use_karras_sigmas",
            true.into(),
            "use_karras_sigmas",
        ),
        ("vae_1_frame", "is_residual", true.into(), "is_residual"),
        ("vae_1_frame", "num_res_blocks", 2.into(), "missing"),
        ("dit_t2v", "num_layers", 1.into(), "unexpected"),
    ];
    for (case, key, value, named) in cases {
        let folder = changed(case, key, value)?;
        let error = Case::read(folder.path())?.run().err();
        let message = error.map(|e| format!("{e:#}")).unwrap_or_default();
        assert!(message.contains(named), "{case} {key}: {message:?}");
    }
    Ok(())
}

#[test]
fn another_shift_does_not_pass() -> Result<()> {
    let folder = changed("unipc_shift_3", "flow_shift", 3.1.into())?;
    let comparisons = Case::read(folder.path())?.run()?;
    assert!(comparisons.iter().all(|c| !c.passes()), "{comparisons:?}");
    Ok(())
}

#[test]
fn relative_error_has_its_definition() -> Result<()> {
    let tensor = |values: &[f32]| candle_core::Tensor::new(values, &candle_core::Device::Cpu);
    let error = relative_error(&tensor(&[3.0, 4.5])?, &tensor(&[3.0, 4.0])?)?;
    assert!((error - 0.1).abs() < 1e-9, "{error}");
    assert!(relative_error(&tensor(&[1.0])?, &tensor(&[1.0, 2.0])?).is_err());
    assert!(relative_error(&tensor(&[f32::NAN])?, &tensor(&[1.0])?)?.is_nan());
    Ok(())
}
