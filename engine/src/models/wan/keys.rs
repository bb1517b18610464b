//! Names of the DiT's tensors: the official layout, which is ours, and diffusers'.
//!
//! huggingface/diffusers `scripts/convert_wan_to_diffusers.py`.

use crate::models::names::NameTable;
use crate::nn::Weights;

/// Official names and those of diffusers' `WanTransformer3DModel`.
pub const DIFFUSERS: NameTable = NameTable {
    block_prefix: ("blocks.", "blocks."),
    block: &[
        ("modulation", "scale_shift_table"),
        ("self_attn.q", "attn1.to_q"),
        ("self_attn.k", "attn1.to_k"),
        ("self_attn.v", "attn1.to_v"),
        ("self_attn.o", "attn1.to_out.0"),
        ("self_attn.norm_q", "attn1.norm_q"),
        ("self_attn.norm_k", "attn1.norm_k"),
        ("cross_attn.q", "attn2.to_q"),
        ("cross_attn.k", "attn2.to_k"),
        ("cross_attn.v", "attn2.to_v"),
        ("cross_attn.o", "attn2.to_out.0"),
        ("cross_attn.norm_q", "attn2.norm_q"),
        ("cross_attn.norm_k", "attn2.norm_k"),
        ("cross_attn.k_img", "attn2.add_k_proj"),
        ("cross_attn.v_img", "attn2.add_v_proj"),
        ("cross_attn.norm_k_img", "attn2.norm_added_k"),
        // Diffusers counts the norms in the order of their use, the official code does not.
        ("norm3", "norm2"),
        ("ffn.0", "ffn.net.0.proj"),
        ("ffn.2", "ffn.net.2"),
    ],
    globals: &[
        (
            "text_embedding.0",
            "condition_embedder.text_embedder.linear_1",
        ),
        (
            "text_embedding.2",
            "condition_embedder.text_embedder.linear_2",
        ),
        (
            "time_embedding.0",
            "condition_embedder.time_embedder.linear_1",
        ),
        (
            "time_embedding.2",
            "condition_embedder.time_embedder.linear_2",
        ),
        ("time_projection.1", "condition_embedder.time_proj"),
        ("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
        (
            "img_emb.proj.1",
            "condition_embedder.image_embedder.ff.net.0.proj",
        ),
        (
            "img_emb.proj.3",
            "condition_embedder.image_embedder.ff.net.2",
        ),
        ("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
        (
            "img_emb.emb_pos",
            "condition_embedder.image_embedder.pos_embed",
        ),
        ("head.head", "proj_out"),
        ("head.modulation", "scale_shift_table"),
    ],
};

/// Prefixes that repackaged single files put before every name.
const PREFIXES: [&str; 3] = ["model.diffusion_model", "diffusion_model", "model"];

/// A tensor's official name without what a repackaged file puts before it.
pub(super) fn without_prefix(name: &str) -> &str {
    let below = |prefix: &'static str| name.strip_prefix(prefix)?.strip_prefix('.');
    PREFIXES.into_iter().find_map(below).unwrap_or(name)
}

/// The place of the DiT in a source of either layout, seen under the official names.
pub fn official_names(weights: &Weights) -> Weights {
    let has = |place: &Weights, name: &str| place.shape(name).is_some();
    let place = PREFIXES
        .iter()
        .map(|prefix| weights.pp(prefix))
        .find(|place| has(place, "patch_embedding.weight"))
        .unwrap_or_else(|| weights.clone());
    if has(&place, "condition_embedder.time_proj.weight") {
        place.renamed(|name| DIFFUSERS.theirs(name))
    } else {
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_goes_there_and_back() {
        let block = DIFFUSERS
            .block
            .iter()
            .map(|(ours, _)| format!("blocks.7.{ours}.weight"));
        let globals = DIFFUSERS
            .globals
            .iter()
            .map(|(ours, _)| format!("{ours}.bias"));
        for name in block.chain(globals) {
            let theirs = DIFFUSERS.theirs(&name);
            assert_ne!(theirs, name);
            assert_eq!(DIFFUSERS.ours(&theirs), name);
        }
    }

    #[test]
    fn the_cross_attention_norm_changes_its_number() {
        assert_eq!(
            DIFFUSERS.theirs("blocks.12.norm3.bias"),
            "blocks.12.norm2.bias"
        );
        assert_eq!(DIFFUSERS.theirs("head.modulation"), "scale_shift_table");
    }
}
