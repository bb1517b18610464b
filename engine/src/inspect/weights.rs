//! Weight files, told apart by the names of their tensors.

use std::collections::BTreeSet;

use super::{Inspection, Kind, memory_need};
use crate::scene::TensorFile;

pub(super) fn describe(file: &TensorFile, found: &mut Inspection) {
    found.kind = kind(file);
    found.fact("tensors", file.tensors.len());
    found.fact("parameters", found.parameters);
    let dtypes: BTreeSet<String> = file.tensors.values().map(|t| t.dtype.to_string()).collect();
    found.fact("types", dtypes.into_iter().collect::<Vec<_>>().join(", "));
    let blocks = indices_after(file, "blocks.");
    if let Some(last) = blocks.last() {
        found.fact("blocks", last + 1);
    }
    match found.kind {
        Kind::Adapter => describe_adapter(file, found),
        Kind::Denoiser => {
            if let Some(patch) = file.tensors.get("patch_embedding.weight")
                && let &[width, channels, ..] = patch.shape.as_slice()
            {
                found.fact("width", width);
                found.fact("inputs", format!("{channels} latent channels"));
            }
            found
                .needs
                .push("a codec and a text encoder of the same family".to_owned());
        }
        _ => {}
    }
    for (key, value) in &file.metadata {
        let shown: String = value.chars().take(120).collect();
        found.fact(key, shown);
    }
    found.needs.push(memory_need(found.parameters));
}

fn kind(file: &TensorFile) -> Kind {
    let any = |test: &dyn Fn(&str) -> bool| file.tensors.keys().any(|name| test(name));
    if any(&|n| n.contains(".lora_A") || n.contains("lora_down") || n.starts_with("links.")) {
        Kind::Adapter
    } else if any(&|n| n.ends_with("patch_embedding.weight")) {
        Kind::Denoiser
    } else if any(&|n| n.contains("relative_attention_bias") || n.contains("pos_embedding"))
        && any(&|n| n.contains("embedding") || n.starts_with("shared."))
    {
        Kind::TextEncoder
    } else if any(&|n| n.starts_with("decoder.")) && any(&|n| n.starts_with("encoder."))
        || file.tensors.contains_key("basis")
    {
        Kind::Codec
    } else {
        Kind::Tensors
    }
}

fn describe_adapter(file: &TensorFile, found: &mut Inspection) {
    let ranks: BTreeSet<usize> = file
        .tensors
        .iter()
        .filter(|(name, _)| name.contains("lora_A") || name.contains("lora_down"))
        .filter_map(|(_, info)| info.shape.first().copied())
        .collect();
    let join = |values: BTreeSet<usize>| {
        let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
        texts.join(", ")
    };
    found.fact("rank", join(ranks));
    let branches: Vec<&str> = ["rgb", "xyz"]
        .into_iter()
        .filter(|branch| {
            let part = format!(".{branch}.");
            file.tensors
                .keys()
                .any(|n| n.contains("lora_") && n.contains(&part))
        })
        .collect();
    if !branches.is_empty() {
        found.fact("branches", branches.join(", "));
    }
    let linked = indices_after(file, "links.");
    if !linked.is_empty() {
        found.fact("linked blocks", join(linked));
    }
    let base = file.metadata.get("base_model").map_or(
        "its base model, which the file does not name",
        String::as_str,
    );
    found.needs.push(format!("the base weights: {base}"));
}

/// The numbers that follow `prefix` in the names of tensors.
fn indices_after(file: &TensorFile, prefix: &str) -> BTreeSet<usize> {
    file.tensors
        .keys()
        .filter_map(|name| {
            let (_, rest) = name.split_once(prefix)?;
            rest.split('.').next()?.parse().ok()
        })
        .collect()
}
