//! Weight files, told apart by the names of their tensors.

use std::collections::{BTreeMap, BTreeSet};

use super::{Inspection, Kind, TensorSummary, memory_need, networks};

/// Tensors of a file by name, whatever its format.
pub(super) struct Listing<'a>(BTreeMap<&'a str, &'a TensorSummary>);

impl Listing<'_> {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().copied()
    }

    pub(super) fn dtypes(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|tensor| tensor.dtype.as_str())
    }

    /// Shape of a tensor.
    pub(super) fn exact(&self, name: &str) -> Option<&[usize]> {
        Some(self.0.get(name)?.shape.as_slice())
    }

    /// Shape of the first tensor whose name ends so.
    pub(super) fn ending(&self, ending: &str) -> Option<&[usize]> {
        let found = self.0.iter().find(|(name, _)| name.ends_with(ending));
        found.map(|(_, tensor)| tensor.shape.as_slice())
    }
}

/// Describes the tensors and the metadata that `found` holds already.
pub(super) fn describe(found: &mut Inspection) {
    let tensors = std::mem::take(&mut found.tensors);
    let listing = Listing(tensors.iter().map(|t| (t.name.as_str(), t)).collect());
    describe_listing(&listing, found);
    found.tensors = tensors;
}

fn describe_listing(file: &Listing<'_>, found: &mut Inspection) {
    found.kind = kind(file);
    found.fact("tensors", file.0.len());
    found.fact("parameters", found.parameters);
    let dtypes: BTreeSet<&str> = file.0.values().map(|t| t.dtype.as_str()).collect();
    found.fact("types", dtypes.into_iter().collect::<Vec<_>>().join(", "));
    let blocks = indices_after(file, "blocks.");
    if let Some(last) = blocks.last() {
        found.fact("blocks", last + 1);
    }
    if matches!(found.kind, Kind::Adapter | Kind::Lora) {
        describe_adapter(file, found);
    }
    networks::describe(file, found);
    for (key, value) in found.metadata.clone() {
        let shown: String = value.chars().take(120).collect();
        found.fact(&key, shown);
    }
    found.needs.push(memory_need(found.parameters));
}

fn kind(file: &Listing<'_>) -> Kind {
    let any = |test: &dyn Fn(&str) -> bool| file.names().any(test);
    let has = |part: &str| any(&|name| name.contains(part));
    let is_branch = any(&|n| n.contains(".rgb.") || n.contains(".xyz.") || n.contains(".joint."));
    let parts = [
        "lora_A",
        "lora_down",
        "lora.down",
        ".diff",
        ".hada_w",
        ".lokr_w",
    ];
    let is_lora = parts.into_iter().any(has);
    if any(&|n| n.starts_with("links.")) || (is_lora && is_branch) {
        Kind::Adapter
    } else if is_lora {
        Kind::Lora
    } else if any(&|n| n.ends_with("domain_embeddings")) {
        Kind::Embeddings
    } else if any(&|n| n.ends_with("cls_embedding") || n.ends_with("embeddings.class_embedding")) {
        Kind::ImageEncoder
    } else if any(&|n| n.ends_with("patch_embedding.weight")) {
        Kind::Denoiser
    } else if has("relative_attention_bias") || has("pos_embedding") || has("attn_rel_b") {
        Kind::TextEncoder
    } else if any(&|n| n.starts_with("decoder.")) && any(&|n| n.starts_with("encoder."))
        || any(&|n| n.rsplit('.').next() == Some("basis"))
    {
        Kind::Codec
    } else {
        Kind::Tensors
    }
}

fn describe_adapter(file: &Listing<'_>, found: &mut Inspection) {
    let ranks: BTreeSet<usize> = file
        .0
        .iter()
        .filter(|(name, _)| {
            let lora = ["lora_A", "lora_down", "lora.down"];
            let others = ["hada_w1_b", "lokr_w1_b", "lokr_w2_b"];
            lora.iter().chain(&others).any(|side| name.contains(side))
        })
        .filter_map(|(_, info)| info.shape.first().copied())
        .collect();
    let join = |values: BTreeSet<usize>| {
        let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
        texts.join(", ")
    };
    if !ranks.is_empty() {
        found.fact("rank", join(ranks));
    }
    let branches: Vec<&str> = ["rgb", "xyz"]
        .into_iter()
        .filter(|branch| {
            let part = format!(".{branch}.");
            file.names()
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
    let base = found.metadata.get("base_model").map_or(
        "its base model, which the file does not name",
        String::as_str,
    );
    let need = format!("the base weights: {base}");
    found.needs.push(need);
}

/// The numbers that follow `prefix` in the names of tensors.
fn indices_after(file: &Listing<'_>, prefix: &str) -> BTreeSet<usize> {
    file.names()
        .filter_map(|name| {
            let (_, rest) = name.split_once(prefix)?;
            rest.split('.').next()?.parse().ok()
        })
        .collect()
}
