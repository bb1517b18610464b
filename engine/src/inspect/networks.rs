//! What the tensors' names and shapes tell of a network: variant, layout, and what it needs beside it.

use super::weights::Listing;
use super::{Inspection, Kind};

/// Facts and needs of a kind of weight file.
pub(super) fn describe(file: &Listing<'_>, found: &mut Inspection) {
    if let Some(scaled) = scaled_floats(file) {
        found.fact("storage", scaled);
    }
    match found.kind {
        Kind::Denoiser => denoiser(file, found),
        Kind::Codec => codec(file, found),
        Kind::TextEncoder => text_encoder(file, found),
        Kind::ImageEncoder => image_encoder(file, found),
        Kind::Lora => lora(file, found),
        Kind::Embeddings => found.needs.push(
            "the LoRA of 4DNeX in the same folder, and its base, Wan2.1-I2V-14B-480P".to_owned(),
        ),
        _ => {}
    }
}

fn scaled_floats(file: &Listing<'_>) -> Option<&'static str> {
    let is = |ending: &str| file.names().any(|name| name.ends_with(ending));
    let has_floats = file.dtypes().any(|dtype| dtype.contains("F8"));
    match (has_floats, is(".scale_weight")) {
        (true, true) => Some("8-bit floats with scales beside them"),
        (true, false) => Some("8-bit floats without scales, which costs quality"),
        _ => None,
    }
}

fn denoiser(file: &Listing<'_>, found: &mut Inspection) {
    let is_diffusers = file.names().any(|name| name.contains(".attn1.to_q."));
    found.fact(
        "layout",
        if is_diffusers {
            "diffusers"
        } else {
            "original"
        },
    );
    let has = |part: &str| file.names().any(|name| name.contains(part));
    let has_image = has("cross_attn.k_img") || has("attn2.add_k_proj");
    let has_two_images = has("img_emb.emb_pos") || has("image_embedder.pos_embed");
    if let Some(&[width, channels, ..]) = file.ending("patch_embedding.weight") {
        found.fact("width", width);
        found.fact("inputs", format!("{channels} latent channels"));
        let model = match (channels, has_image) {
            (16, _) => "Wan text to video: no place for observed frames",
            (36, true) if has_two_images => "Wan first and last frame to video",
            (36, true) => "Wan image to video or Fun-InP",
            (36, false) => "inpainting without image tokens",
            (32, _) => "Wan Fun with camera control, which is not read",
            (48 | 52, _) => "Wan Fun Control, which is not read",
            _ => "a transformer of Wan's kind",
        };
        found.fact("model", model);
        let adapters = match channels {
            16 => "a base with condition channels instead, to generate scenes",
            _ => "adapters for geometry: a One4D adapter file, or the LoRA of 4DNeX",
        };
        found.needs.push(adapters.to_owned());
    }
    found
        .needs
        .push("a codec (Wan 2.1 VAE) and a text encoder (UMT5-XXL with tokenizer.json)".to_owned());
    if has_image {
        found
            .needs
            .push("an image encoder (CLIP ViT-H/14, visual tower)".to_owned());
    }
}

fn codec(file: &Listing<'_>, found: &mut Inspection) {
    if let Some(&[rows, ..]) = file.ending("basis") {
        found.fact("codec", format!("linear patches, basis of {rows}"));
        return;
    }
    let is_diffusers = file.names().any(|name| name.contains("encoder.conv_in."));
    found.fact("codec", "causal video VAE of Wan 2.1's kind");
    found.fact(
        "layout",
        if is_diffusers {
            "diffusers"
        } else {
            "original"
        },
    );
    let head = if is_diffusers {
        "post_quant_conv.weight"
    } else {
        "conv2.weight"
    };
    if let Some(&[_, channels, ..]) = file.exact(head) {
        found.fact("latents", format!("{channels} channels"));
    }
    found.needs.push(
        "5.8 GiB beside the weights for caches and activations to decode 480 x 832 in f32, \
         whatever the length; less in tiles"
            .to_owned(),
    );
}

fn text_encoder(file: &Listing<'_>, found: &mut Inspection) {
    let tables = [
        "token_embedding.weight",
        "shared.weight",
        "embed_tokens.weight",
        "token_embd.weight",
    ];
    if let Some(&[words, width, ..]) = tables.iter().find_map(|name| file.ending(name)) {
        found.fact("vocabulary", words);
        found.fact("width", width);
        let is_xxl = (words, width) == (256_384, 4096);
        found.fact(
            "model",
            if is_xxl {
                "UMT5-XXL"
            } else {
                "an encoder of UMT5's kind"
            },
        );
    }
    found
        .needs
        .push("its tokenizer.json, unless its words are bytes".to_owned());
}

fn image_encoder(file: &Listing<'_>, found: &mut Inspection) {
    if let Some(&[width, _, patch, ..]) = file.ending("patch_embedding.weight") {
        found.fact("width", width);
        found.fact("patch", format!("{patch} pixels"));
    }
    let has_words = file.names().any(|name| name.starts_with("textual."));
    if has_words {
        found.fact("text tower", "in the file, and not needed");
    }
    found
        .needs
        .push("a denoiser with an image path; only the visual tower is used".to_owned());
}

/// Width of the blocks that a LoRA was made for: the inputs of a query.
fn lora_width(file: &Listing<'_>) -> Option<usize> {
    let query = |name: &&str| {
        let is_down = ["lora_A", "lora_down", "lora.down"]
            .iter()
            .any(|side| name.contains(side));
        let query = ["self_attn.q.", "self_attn_q.", "attn1.to_q.", "attn1_to_q."];
        is_down && query.iter().any(|part| name.contains(part))
    };
    let name = file.names().find(query)?;
    file.exact(name)?.get(1).copied()
}

fn lora(file: &Listing<'_>, found: &mut Inspection) {
    let with = |ending: &str| file.names().filter(|name| name.ends_with(ending)).count();
    found.fact(
        "alphas",
        match with(".alpha") {
            0 => "none: counts as whole unless its description says otherwise".to_owned(),
            n => n.to_string(),
        },
    );
    let has = |part: &str| file.names().any(|name| name.contains(part));
    let kinds = [
        (".hada_w", "LoHa (Hadamard products)"),
        (".lokr_w", "LoKr (Kronecker products)"),
        ("lora_magnitude_vector", "DoRA (magnitudes)"),
        ("dora_scale", "DoRA (magnitudes)"),
    ];
    for (_, kind) in kinds.into_iter().filter(|(part, _)| has(part)) {
        found.fact("kind", kind);
    }
    let changes = with(".diff") + with(".diff_b") + with(".diff_m");
    if changes > 0 {
        found.fact("full changes", changes);
    }
    let has_image = file
        .names()
        .any(|name| name.contains("k_img") || name.contains("add_k_proj"));
    if let Some(width) = lora_width(file) {
        let base = match width {
            5120 => "Wan 2.1 14B, ",
            1536 => "Wan 2.1 1.3B, ",
            _ => "",
        };
        found.fact("made for", format!("{base}blocks of width {width}"));
    }
    if has_image {
        found.fact("also for", "an image path in the base");
    }
    if let Some(few) = crate::pipeline::few_steps_by_name(&found.path) {
        let words = format!(
            "to {} steps, by \u{201c}{}\u{201d} in its name: `--preset fast` samples so",
            few.sampling.steps, few.word
        );
        found.fact("distilled", words);
    }
    let is_of_4dnex = !file.names().any(|name| name.contains("ffn"))
        && file
            .names()
            .all(|name| name.starts_with("transformer.blocks."));
    if is_of_4dnex {
        found.needs.push(
            "the file of its domain embeddings, if this is 4DNeX; fused at 0.5 there".to_owned(),
        );
    }
    found
        .needs
        .push("a model to put it on: `one4d generate --lora FILE[:STRENGTH]`".to_owned());
}
