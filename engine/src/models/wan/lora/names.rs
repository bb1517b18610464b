//! Names of low-rank tensors as different programs write them.

use super::super::keys::DIFFUSERS;

/// Prefixes that say nothing; several may stand before one name.
const PREFIXES: [&str; 5] = [
    "base_model.model.",
    "model.",
    "diffusion_model.",
    "transformer.",
    "dit.",
];
/// Prefixes of names whose dots became underscores.
const FLAT_PREFIXES: [&str; 4] = ["lora_unet__", "lora_unet_", "lycoris__", "lycoris_"];
/// Endings of the first and of the second matrix.
const SIDES: [(&str, &str); 10] = [
    ("_lora.down", "lora_A"),
    ("_lora.up", "lora_B"),
    (".lora_linear_layer.down", "lora_A"),
    (".lora_linear_layer.up", "lora_B"),
    (".lora_A", "lora_A"),
    (".lora_B", "lora_B"),
    (".lora_down", "lora_A"),
    (".lora_up", "lora_B"),
    (".lora.down", "lora_A"),
    (".lora.up", "lora_B"),
];

/// Factors of LoHa and LoKr products, and Tucker cores.
const FACTORS: [&str; 14] = [
    "lora_mid",
    "hada_t1",
    "hada_t2",
    "lokr_t2",
    "hada_w1_a",
    "hada_w1_b",
    "hada_w2_a",
    "hada_w2_b",
    "lokr_w1",
    "lokr_w1_a",
    "lokr_w1_b",
    "lokr_w2",
    "lokr_w2_a",
    "lokr_w2_b",
];

/// What a tensor of a LoRA file is to its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoraPart {
    /// A, `[rank, in]`.
    Down,
    /// B, `[out, rank]`.
    Up,
    /// A bias behind B, `[out]`.
    UpBias,
    /// The number that, over the rank, is the factor before `B A`.
    Alpha,
    /// A change of the weight itself.
    Weight,
    /// A change of the bias.
    Bias,
    /// A change of the modulation.
    Modulation,
    /// A factor of a LoHa or LoKr or a core of any kind, by its name in the file.
    Factor(&'static str),
    /// A DoRA's magnitudes, one a row.
    Magnitude,
    /// A DoRA's magnitudes as LyCORIS has them, of rows or columns.
    DoraScale,
}

impl LoraPart {
    /// True for what is nothing without a product.
    pub(super) fn needs_product(self) -> bool {
        matches!(
            self,
            Self::Alpha | Self::UpBias | Self::Magnitude | Self::DoraScale | Self::Factor(_)
        )
    }
}

/// A tensor's module, under our name, and its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoraName {
    /// `blocks.0.self_attn.q`.
    pub module: String,
    /// Its part.
    pub part: LoraPart,
}

/// Reads a name of a LoRA for the base network, in any dialect; `None` for names of other kinds, and
/// of adapters of one branch.
pub fn lora_name(name: &str) -> Option<LoraName> {
    const ENDINGS: [(&str, LoraPart); 9] = [
        (".alpha", LoraPart::Alpha),
        (".diff", LoraPart::Weight),
        (".diff_b", LoraPart::Bias),
        (".diff_m", LoraPart::Modulation),
        // Norms, as LyCORIS writes their changes.
        (".w_norm", LoraPart::Weight),
        (".b_norm", LoraPart::Bias),
        (".lora_B.bias", LoraPart::UpBias),
        (".dora_scale", LoraPart::DoraScale),
        (".lora_magnitude_vector", LoraPart::Magnitude),
    ];
    let plain = name.strip_suffix(".weight").unwrap_or(name);
    let plain = plain.strip_suffix(".default").unwrap_or(plain);
    let ending = ENDINGS.iter().find_map(|&(ending, part)| {
        let of = if part == LoraPart::Magnitude {
            plain
        } else {
            name
        };
        Some((module_name(of.strip_suffix(ending)?), part))
    });
    let factor = || {
        let (module, factor) = plain.rsplit_once('.')?;
        let factor = FACTORS.into_iter().find(|known| *known == factor)?;
        Some((module_name(module), LoraPart::Factor(factor)))
    };
    let (module, part) = match ending.or_else(factor) {
        Some(found) => found,
        None => {
            let (module, side, branch) = parts(name)?;
            let part = match side {
                "lora_A" => LoraPart::Down,
                _ => LoraPart::Up,
            };
            (branch.is_empty().then_some(module)?, part)
        }
    };
    Some(LoraName { module, part })
}

/// A tensor under our name, with the tensor that holds its alpha.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedLora {
    /// Name in the file.
    pub theirs: String,
    /// Our name.
    pub ours: String,
    /// Name in the file of the alpha to be folded into this tensor; only for B.
    pub alpha: Option<String>,
}

/// Brings names of kohya, VideoX-Fun, DiffSynth, PEFT, diffusers and ComfyUI files to ours:
/// `blocks.{i}.{module}.lora_{A,B}.{branch}.weight`.
///
/// Names that are of none of these kinds stay as they are, so that loading names them as unexpected.
/// Alpha tensors are not listed by themselves.
pub fn normalise_lora_names(names: &[String]) -> Vec<RenamedLora> {
    let alphas: Vec<(&String, String)> = names
        .iter()
        .filter_map(|name| Some((name, module_name(name.strip_suffix(".alpha")?))))
        .collect();
    let is_alpha = |name: &String| alphas.iter().any(|(alpha, _)| *alpha == name);
    let listed = names.iter().filter(|name| !is_alpha(name));
    listed
        .map(|name| {
            let Some((module, side, branch)) = parts(name) else {
                return RenamedLora {
                    theirs: name.clone(),
                    ours: strip_prefixes(name).to_owned(),
                    alpha: None,
                };
            };
            let own_alpha = || alphas.iter().find(|(_, of)| *of == module);
            let alpha = (side == "lora_B").then(own_alpha).flatten();
            RenamedLora {
                theirs: name.clone(),
                ours: format!("{module}.{side}{branch}.weight"),
                alpha: alpha.map(|(name, _)| (*name).clone()),
            }
        })
        .collect()
}

/// Module, side and `.branch` of a low-rank tensor's name.
fn parts(name: &str) -> Option<(String, &'static str, String)> {
    let stem = name.strip_suffix(".weight")?;
    let (at, from, side) = SIDES
        .iter()
        .find_map(|&(from, side)| Some((stem.rfind(from)?, from, side)))?;
    let (module, rest) = (stem.get(..at)?, stem.get(at + from.len()..)?);
    let branch = match rest {
        "" | ".default" => String::new(),
        branch => branch.to_owned(),
    };
    Some((module_name(module), side, branch))
}

fn strip_prefixes(name: &str) -> &str {
    let mut rest = name;
    while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter;
    }
    rest
}

/// Our name of a module.
fn module_name(name: &str) -> String {
    if let Some(flat) = FLAT_PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
    {
        return unflatten(flat);
    }
    DIFFUSERS.ours(strip_prefixes(name))
}

/// `blocks_0_self_attn_q` to `blocks.0.self_attn.q`. Module names hold underscores of their own, so
/// the flat forms of all known modules are compared instead of splitting.
fn unflatten(flat: &str) -> String {
    let inner = flat
        .strip_prefix("blocks_")
        .and_then(|rest| rest.split_once('_'));
    let known = |table: &[(&'static str, &'static str)], flat: &str| {
        let is = |name: &str| name.replace('.', "_") == flat;
        let found = table.iter().find(|(ours, theirs)| is(ours) || is(theirs));
        found.map(|(ours, _)| *ours)
    };
    match inner.and_then(|(index, inner)| Some((index, known(DIFFUSERS.block, inner)?))) {
        Some((index, module)) => format!("blocks.{index}.{module}"),
        None if flat == "patch_embedding" => flat.to_owned(),
        None => known(DIFFUSERS.globals, flat).unwrap_or(flat).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(names: &[&str]) -> Vec<RenamedLora> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        normalise_lora_names(&names)
    }

    #[test]
    fn every_dialect_comes_to_one_name() {
        let same = [
            "blocks.0.self_attn.q.lora_A.weight",
            "lora_unet_blocks_0_self_attn_q.lora_down.weight",
            "lora_unet__blocks_0_self_attn_q.lora_down.weight",
            "blocks.0.self_attn.q.lora_A.default.weight",
            "diffusion_model.blocks.0.self_attn.q.lora_down.weight",
            "transformer.blocks.0.attn1.to_q.lora_A.weight",
            "base_model.model.blocks.0.self_attn.q.lora.down.weight",
        ];
        for name in same {
            assert_eq!(ours(&[name])[0].ours, same[0], "{name}");
        }
    }

    #[test]
    fn modules_outside_the_blocks_and_rare_endings_are_known() {
        let module = |name: &str| lora_name(name).map(|found| (found.module, found.part));
        let q = || "blocks.0.self_attn.q".to_owned();
        let cases = [
            ("blocks.0.self_attn.q_lora.up.weight", q(), LoraPart::Up),
            (
                "transformer.blocks.0.attn1.to_q.lora_linear_layer.down.weight",
                q(),
                LoraPart::Down,
            ),
            (
                "diffusion_model.blocks.0.self_attn.q.diff_b",
                q(),
                LoraPart::Bias,
            ),
            (
                "transformer.blocks.0.attn1.to_q.lora_B.bias",
                q(),
                LoraPart::UpBias,
            ),
            ("lora_unet_blocks_0_attn1_to_q.alpha", q(), LoraPart::Alpha),
            (
                "diffusion_model.blocks.3.diff_m",
                "blocks.3".to_owned(),
                LoraPart::Modulation,
            ),
            (
                "lora_unet_time_projection_1.lora_down.weight",
                "time_projection.1".to_owned(),
                LoraPart::Down,
            ),
            (
                "transformer.condition_embedder.text_embedder.linear_2.lora_A.weight",
                "text_embedding.2".to_owned(),
                LoraPart::Down,
            ),
            (
                "transformer.blocks.0.norm2.diff",
                "blocks.0.norm3".to_owned(),
                LoraPart::Weight,
            ),
        ];
        for (name, expected, part) in cases {
            assert_eq!(module(name), Some((expected, part)), "{name}");
        }
        let rarer = [
            (
                "lycoris_blocks_0_self_attn_q.lokr_w1_a",
                LoraPart::Factor("lokr_w1_a"),
            ),
            (
                "base_model.model.blocks.0.attn1.to_q.hada_w2_b.default",
                LoraPart::Factor("hada_w2_b"),
            ),
            (
                "lora_unet_blocks_0_self_attn_q.dora_scale",
                LoraPart::DoraScale,
            ),
            (
                "transformer.blocks.0.attn1.to_q.lora_magnitude_vector.default.weight",
                LoraPart::Magnitude,
            ),
            (
                "blocks.0.self_attn.q.lora_magnitude_vector",
                LoraPart::Magnitude,
            ),
        ];
        for (name, part) in rarer {
            assert_eq!(module(name), Some((q(), part)), "{name}");
        }
        for name in [
            "blocks.0.self_attn.q.weight",
            "blocks.0.self_attn.q.lora_A.rgb.weight",
        ] {
            assert_eq!(module(name), None, "{name}");
        }
    }

    #[test]
    fn branches_and_modules_with_underscores_survive() {
        let name = "base_model.model.blocks.12.attn2.add_k_proj.lora_B.xyz.weight";
        let expected = "blocks.12.cross_attn.k_img.lora_B.xyz.weight";
        assert_eq!(ours(&[name])[0].ours, expected);
        let flat = "lora_unet_blocks_3_cross_attn_k_img.lora_up.weight";
        assert_eq!(
            ours(&[flat])[0].ours,
            "blocks.3.cross_attn.k_img.lora_B.weight"
        );
    }

    #[test]
    fn an_alpha_belongs_to_the_second_matrix_of_its_module() {
        let renamed = ours(&[
            "lora_unet_blocks_0_ffn_0.lora_down.weight",
            "lora_unet_blocks_0_ffn_0.lora_up.weight",
            "lora_unet_blocks_0_ffn_0.alpha",
            "links.7.rgb_from_xyz.weight",
        ]);
        assert_eq!(renamed.len(), 3);
        assert_eq!(renamed[0].alpha, None);
        assert_eq!(
            renamed[1].alpha.as_deref(),
            Some("lora_unet_blocks_0_ffn_0.alpha")
        );
        assert_eq!(renamed[2].ours, "links.7.rgb_from_xyz.weight");
    }
}
