//! Names of the codec's tensors: the official layout, which is ours, and diffusers'.
//!
//! huggingface/diffusers `scripts/convert_wan_to_diffusers.py`. A table does not do, since diffusers
//! counts the decoder's layers by level and the official layout counts them through.

use crate::nn::Weights;

/// The place of the codec in a source of either layout, seen under the official names.
///
/// `num_res_blocks` is the encoder's number of residual blocks in a level.
pub(super) fn official_names(weights: &Weights, num_res_blocks: usize) -> Weights {
    if weights.shape("quant_conv.weight").is_some() {
        weights.renamed(move |name| diffusers_name(name, num_res_blocks))
    } else {
        weights.clone()
    }
}

/// Diffusers' name of an official one.
fn diffusers_name(name: &str, num_res_blocks: usize) -> String {
    let Some((half, rest)) = name.split_once('.') else {
        return name.to_owned();
    };
    match half {
        "conv1" => format!("quant_conv.{rest}"),
        "conv2" => format!("post_quant_conv.{rest}"),
        "encoder" | "decoder" => format!("{half}.{}", layer(rest, num_res_blocks)),
        _ => name.to_owned(),
    }
}

/// Inside the encoder or the decoder.
fn layer(name: &str, num_res_blocks: usize) -> String {
    let indexed = |rest: &str| -> Option<(usize, String)> {
        let (index, inner) = rest.split_once('.')?;
        Some((index.parse().ok()?, inside_block(inner)))
    };
    let translated = match name.split_once('.') {
        Some(("conv1", rest)) => Some(format!("conv_in.{rest}")),
        Some(("head", rest)) => match rest.split_once('.') {
            Some(("0", rest)) => Some(format!("norm_out.{rest}")),
            Some(("2", rest)) => Some(format!("conv_out.{rest}")),
            _ => None,
        },
        Some(("middle", rest)) => indexed(rest).map(|(index, inner)| {
            let kind = if index % 2 == 0 {
                "resnets"
            } else {
                "attentions"
            };
            format!("mid_block.{kind}.{}.{inner}", index / 2)
        }),
        Some(("downsamples", rest)) => {
            indexed(rest).map(|(index, inner)| format!("down_blocks.{index}.{inner}"))
        }
        Some(("upsamples", rest)) => indexed(rest).map(|(index, inner)| {
            // A level of the decoder: one residual block more than the encoder's, then upsampling.
            let (level, place) = (index / (num_res_blocks + 2), index % (num_res_blocks + 2));
            if place <= num_res_blocks {
                format!("up_blocks.{level}.resnets.{place}.{inner}")
            } else {
                format!("up_blocks.{level}.upsamplers.0.{inner}")
            }
        }),
        _ => None,
    };
    translated.unwrap_or_else(|| name.to_owned())
}

/// Inside a residual block; other blocks keep their names.
fn inside_block(name: &str) -> String {
    let modules = [
        ("residual.0.", "norm1."),
        ("residual.2.", "conv1."),
        ("residual.3.", "norm2."),
        ("residual.6.", "conv2."),
        ("shortcut.", "conv_shortcut."),
    ];
    modules
        .iter()
        .find_map(|(ours, theirs)| Some(format!("{theirs}{}", name.strip_prefix(ours)?)))
        .unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_full_codec_translate() {
        let pairs = [
            ("conv1.weight", "quant_conv.weight"),
            ("conv2.bias", "post_quant_conv.bias"),
            ("encoder.conv1.weight", "encoder.conv_in.weight"),
            (
                "encoder.downsamples.5.time_conv.bias",
                "encoder.down_blocks.5.time_conv.bias",
            ),
            (
                "encoder.downsamples.2.resample.1.weight",
                "encoder.down_blocks.2.resample.1.weight",
            ),
            (
                "encoder.downsamples.3.shortcut.bias",
                "encoder.down_blocks.3.conv_shortcut.bias",
            ),
            (
                "encoder.middle.0.residual.0.gamma",
                "encoder.mid_block.resnets.0.norm1.gamma",
            ),
            (
                "decoder.middle.1.to_qkv.weight",
                "decoder.mid_block.attentions.0.to_qkv.weight",
            ),
            (
                "decoder.middle.2.residual.6.bias",
                "decoder.mid_block.resnets.1.conv2.bias",
            ),
            (
                "decoder.upsamples.2.residual.2.weight",
                "decoder.up_blocks.0.resnets.2.conv1.weight",
            ),
            (
                "decoder.upsamples.3.time_conv.weight",
                "decoder.up_blocks.0.upsamplers.0.time_conv.weight",
            ),
            (
                "decoder.upsamples.4.shortcut.weight",
                "decoder.up_blocks.1.resnets.0.conv_shortcut.weight",
            ),
            (
                "decoder.upsamples.11.resample.1.bias",
                "decoder.up_blocks.2.upsamplers.0.resample.1.bias",
            ),
            (
                "decoder.upsamples.14.residual.3.gamma",
                "decoder.up_blocks.3.resnets.2.norm2.gamma",
            ),
            ("decoder.head.0.gamma", "decoder.norm_out.gamma"),
            ("decoder.head.2.weight", "decoder.conv_out.weight"),
        ];
        for (official, theirs) in pairs {
            assert_eq!(diffusers_name(official, 2), theirs);
        }
    }
}
