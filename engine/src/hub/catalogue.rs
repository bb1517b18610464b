//! Public models that the studio can use, by the names that their publishers gave them.
//!
//! Sizes are those that are documented or follow from the architecture; what is not known stands as
//! `None` and is asked from the hub before a download, as is every licence.

use serde::Serialize;

/// What a file is to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Shape of the video transformer, `config.json`.
    Config,
    /// Weights of the video transformer.
    Denoiser,
    /// Weights of the video codec.
    Codec,
    /// Weights of the text encoder.
    Text,
    /// Its `tokenizer.json`.
    Tokenizer,
    /// Weights of the image encoder.
    Image,
    /// Adapters that couple RGB and geometry.
    Adapters,
    /// Domain embeddings of 4DNeX.
    Domains,
    /// A LoRA for fewer steps.
    Fast,
}

/// Groups of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// What makes 4D scenes.
    Scenes,
    /// Video models with everything that belongs to them.
    Base,
    /// The same networks in fewer bits.
    Quantised,
    /// Single parts.
    Part,
    /// Sampling in fewer steps.
    Fast,
}

impl Group {
    /// Every group, in the order of the list.
    pub const ALL: [Self; 5] = [
        Self::Scenes,
        Self::Base,
        Self::Quantised,
        Self::Part,
        Self::Fast,
    ];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Scenes => "4D adapters",
            Self::Base => "Base models",
            Self::Quantised => "Smaller base models",
            Self::Part => "Encoders and codec",
            Self::Fast => "Fewer steps",
        }
    }
}

/// Files that a model needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// What they are.
    pub part: Part,
    /// Pattern of their names, fetched unless told otherwise.
    pub pattern: &'static str,
    /// Pattern of names that serve as well where they are there already.
    pub instead: Option<&'static str>,
    /// Size in all, where it is known without asking.
    pub bytes: Option<u64>,
}

/// A public model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Short name for the command line.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// `organisation/model` on the hub.
    pub hub_id: &'static str,
    /// Branch that is followed.
    pub revision: &'static str,
    /// Where the list shows it.
    pub group: Group,
    /// What it is for.
    pub purpose: &'static str,
    /// Its files.
    pub files: &'static [Needed],
    /// Single files whose names tell them apart in any folder.
    pub single_files: bool,
    /// Short names of entries without which it does nothing.
    pub needs: &'static [&'static str],
    /// What is known about its licence, where the card alone might mislead.
    pub licence_note: Option<&'static str>,
}

impl Entry {
    /// The sum of the known sizes, and whether it is the whole.
    pub fn known_bytes(&self) -> (u64, bool) {
        let sum = self.files.iter().filter_map(|file| file.bytes).sum();
        (sum, self.files.iter().all(|file| file.bytes.is_some()))
    }
}

/// The entry of a short name or a hub id.
pub fn find(name: &str) -> Option<&'static Entry> {
    let by_name = CATALOGUE.iter().find(|entry| entry.name == name);
    by_name.or_else(|| {
        // Several entries may take files of one publisher's collection; the id then names none.
        let mut of_id = CATALOGUE.iter().filter(|entry| entry.hub_id == name);
        of_id.next().filter(|_| of_id.next().is_none())
    })
}

const fn one(part: Part, pattern: &'static str, bytes: Option<u64>) -> Needed {
    Needed {
        part,
        pattern,
        instead: None,
        bytes,
    }
}

const fn any_of(
    part: Part,
    pattern: &'static str,
    instead: &'static str,
    bytes: Option<u64>,
) -> Needed {
    Needed {
        part,
        pattern,
        instead: Some(instead),
        bytes,
    }
}

const VAE: Needed = one(Part::Codec, "Wan2.1_VAE.pth", Some(507_609_880));
const T5: Needed = one(
    Part::Text,
    "models_t5_umt5-xxl-enc-bf16.pth",
    Some(11_361_820_672),
);
const CLIP: Needed = one(
    Part::Image,
    "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",
    Some(4_772_359_047),
);
const TOKENIZER: Needed = one(
    Part::Tokenizer,
    "google/umt5-xxl/tokenizer.json",
    Some(16_800_000),
);
const CONFIG: Needed = one(Part::Config, "config.json", Some(300));

/// The layout of the original checkpoints: everything at the root of the repository.
const fn original(bytes: Option<u64>) -> [Needed; 6] {
    [
        CONFIG,
        one(Part::Denoiser, "diffusion_pytorch_model*", bytes),
        VAE,
        T5,
        CLIP,
        TOKENIZER,
    ]
}

const FUN_1_3B: [Needed; 6] = original(Some(3_128_857_216));
const FUN_14B: [Needed; 6] = original(Some(32_789_757_568));
const I2V_14B: [Needed; 6] = original(Some(65_579_515_136));
const CONTROL: [Needed; 6] = original(None);
const T2V_1_3B: [Needed; 5] = [
    CONFIG,
    one(Part::Denoiser, "diffusion_pytorch_model*", None),
    VAE,
    T5,
    TOKENIZER,
];
const T2V_14B: [Needed; 5] = [
    CONFIG,
    one(
        Part::Denoiser,
        "diffusion_pytorch_model*",
        Some(57_153_966_336),
    ),
    VAE,
    T5,
    TOKENIZER,
];
const DIFFUSERS: [Needed; 6] = [
    one(Part::Config, "transformer/config.json", Some(500)),
    one(Part::Denoiser, "transformer/diffusion_pytorch_model*", None),
    one(Part::Codec, "vae/diffusion_pytorch_model*", None),
    one(Part::Text, "text_encoder/model*", None),
    one(Part::Image, "image_encoder/model*", None),
    one(
        Part::Tokenizer,
        "tokenizer/tokenizer.json",
        Some(16_800_000),
    ),
];

/// An entry with the usual values, to be completed.
const BLANK: Entry = Entry {
    name: "",
    title: "",
    hub_id: "",
    revision: "main",
    group: Group::Base,
    purpose: "",
    files: &[],
    single_files: false,
    needs: &[],
    licence_note: None,
};

/// Every entry.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "4dnex",
        title: "4DNeX LoRA and domain embeddings",
        hub_id: "FrozenBurning/4DNex-Lora",
        group: Group::Scenes,
        purpose: "4D scenes from one image, with public weights",
        files: &[
            one(Part::Adapters, "pytorch_lora_weights.safetensors", None),
            one(Part::Domains, "learnable_domain_embeddings.pt", None),
        ],
        needs: &["i2v-14b-480p-diffusers"],
        licence_note: Some("the repository of its code carries no licence file"),
        ..BLANK
    },
    Entry {
        name: "i2v-14b-480p-diffusers",
        title: "Wan2.1 I2V 14B 480P, diffusers layout",
        hub_id: "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
        purpose: "The base that 4DNeX was trained on",
        files: &DIFFUSERS,
        ..BLANK
    },
    Entry {
        name: "fun-inp-1.3b",
        title: "Wan2.1-Fun V1.1 1.3B InP",
        hub_id: "alibaba-pai/Wan2.1-Fun-V1.1-1.3B-InP",
        purpose: "Base for One4D adapters on 8 GB cards",
        files: &FUN_1_3B,
        ..BLANK
    },
    Entry {
        name: "fun-inp-14b",
        title: "Wan2.1-Fun V1.1 14B InP",
        hub_id: "alibaba-pai/Wan2.1-Fun-V1.1-14B-InP",
        purpose: "Base of One4D itself",
        files: &FUN_14B,
        ..BLANK
    },
    Entry {
        name: "i2v-14b-480p",
        title: "Wan2.1 I2V 14B 480P",
        hub_id: "Wan-AI/Wan2.1-I2V-14B-480P",
        purpose: "Image to video, original layout",
        files: &I2V_14B,
        ..BLANK
    },
    Entry {
        name: "i2v-14b-720p",
        title: "Wan2.1 I2V 14B 720P",
        hub_id: "Wan-AI/Wan2.1-I2V-14B-720P",
        purpose: "Image to video at 720 lines",
        files: &I2V_14B,
        ..BLANK
    },
    Entry {
        name: "t2v-1.3b",
        title: "Wan2.1 T2V 1.3B",
        hub_id: "Wan-AI/Wan2.1-T2V-1.3B",
        purpose: "Text to video; to compare bases, no image path",
        files: &T2V_1_3B,
        ..BLANK
    },
    Entry {
        name: "t2v-14b",
        title: "Wan2.1 T2V 14B",
        hub_id: "Wan-AI/Wan2.1-T2V-14B",
        purpose: "Text to video; to compare bases, no image path",
        files: &T2V_14B,
        ..BLANK
    },
    Entry {
        name: "fun-control-1.3b",
        title: "Wan2.1-Fun V1.1 1.3B Control",
        hub_id: "alibaba-pai/Wan2.1-Fun-V1.1-1.3B-Control",
        purpose: "To inspect and compare; takes 48 channels, so no One4D base",
        files: &CONTROL,
        ..BLANK
    },
    Entry {
        name: "fun-control-14b",
        title: "Wan2.1-Fun V1.1 14B Control",
        hub_id: "alibaba-pai/Wan2.1-Fun-V1.1-14B-Control",
        purpose: "To inspect and compare; takes 48 channels, so no One4D base",
        files: &CONTROL,
        ..BLANK
    },
    Entry {
        name: "fun-inp-14b-gguf",
        title: "Wan2.1-Fun 14B InP, GGUF",
        hub_id: "city96/Wan2.1-Fun-14B-InP-gguf",
        group: Group::Quantised,
        purpose: "Base of One4D (V1.0) in 4 bits; --file '*Q6_K.gguf' for more",
        files: &[any_of(
            Part::Denoiser,
            "*Q4_K_S.gguf",
            "*Fun-14B-InP*.gguf",
            Some(9_960_000_000),
        )],
        single_files: true,
        needs: &["umt5-xxl", "clip-vit-h", "wan-vae"],
        ..BLANK
    },
    Entry {
        name: "i2v-14b-480p-gguf",
        title: "Wan2.1 I2V 14B 480P, GGUF",
        hub_id: "city96/Wan2.1-I2V-14B-480P-gguf",
        group: Group::Quantised,
        purpose: "The network under 4DNeX in 4 bits; --file '*Q8_0.gguf' for 8",
        files: &[any_of(
            Part::Denoiser,
            "*i2v-14b-480p-Q4_K_M.gguf",
            "*i2v-14b-480p*.gguf",
            Some(10_860_000_000),
        )],
        single_files: true,
        needs: &["umt5-xxl", "clip-vit-h", "wan-vae"],
        ..BLANK
    },
    Entry {
        name: "i2v-14b-720p-gguf",
        title: "Wan2.1 I2V 14B 720P, GGUF",
        hub_id: "city96/Wan2.1-I2V-14B-720P-gguf",
        group: Group::Quantised,
        purpose: "Image to video at 720 lines in 4 bits",
        files: &[any_of(
            Part::Denoiser,
            "*i2v-14b-720p-Q4_K_M.gguf",
            "*i2v-14b-720p*.gguf",
            Some(10_860_000_000),
        )],
        single_files: true,
        needs: &["umt5-xxl", "clip-vit-h", "wan-vae"],
        ..BLANK
    },
    Entry {
        name: "fun-inp-1.3b-bf16",
        title: "Wan2.1-Fun 1.3B InP, one file",
        hub_id: "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
        group: Group::Quantised,
        purpose: "The 1.3B network alone, as ComfyUI keeps it",
        files: &[one(
            Part::Denoiser,
            "*wan2.1_fun_inp_1.3B_bf16.safetensors",
            Some(3_130_000_000),
        )],
        single_files: true,
        needs: &["umt5-xxl", "clip-vit-h", "wan-vae"],
        ..BLANK
    },
    Entry {
        name: "i2v-14b-480p-fp8",
        title: "Wan2.1 I2V 14B 480P, fp8 with scales",
        hub_id: "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
        group: Group::Quantised,
        purpose: "The network under 4DNeX in 8 bits, one file",
        files: &[any_of(
            Part::Denoiser,
            "*wan2.1_i2v_480p_14B_fp8_scaled.safetensors",
            "*wan2.1_i2v_480p_14B_*.safetensors",
            Some(16_400_000_000),
        )],
        single_files: true,
        needs: &["umt5-xxl", "clip-vit-h", "wan-vae"],
        ..BLANK
    },
    Entry {
        name: "fun-inp-14b-fp8",
        title: "Wan2.1-Fun 14B InP, fp8",
        hub_id: "Kijai/WanVideo_comfy",
        group: Group::Quantised,
        purpose: "Base of One4D in 8 bits, one file",
        files: &[one(
            Part::Denoiser,
            "*Wan2.1-Fun-InP-14B_fp8_e4m3fn.safetensors",
            Some(16_600_000_000),
        )],
        single_files: true,
        needs: &["umt5-xxl", "clip-vit-h", "wan-vae"],
        ..BLANK
    },
    Entry {
        name: "umt5-xxl",
        title: "UMT5-XXL text encoder",
        hub_id: "Kijai/WanVideo_comfy",
        group: Group::Part,
        purpose: "Reads prompts; bf16, original names",
        files: &[any_of(
            Part::Text,
            "*umt5-xxl-enc-bf16.safetensors",
            "*umt5?xxl*.safetensors",
            Some(11_400_000_000),
        )],
        single_files: true,
        ..BLANK
    },
    Entry {
        name: "umt5-xxl-gguf",
        title: "UMT5-XXL text encoder, GGUF",
        hub_id: "city96/umt5-xxl-encoder-gguf",
        group: Group::Part,
        purpose: "Reads prompts with half the memory",
        files: &[any_of(
            Part::Text,
            "*Q8_0.gguf",
            "*umt5-xxl-encoder*.gguf",
            None,
        )],
        single_files: true,
        ..BLANK
    },
    Entry {
        name: "clip-vit-h",
        title: "CLIP ViT-H/14 image encoder",
        hub_id: "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
        group: Group::Part,
        purpose: "Reads the first image",
        files: &[any_of(
            Part::Image,
            "*clip_vision_h.safetensors",
            "*vit-huge-14*.safetensors",
            Some(1_260_000_000),
        )],
        single_files: true,
        ..BLANK
    },
    Entry {
        name: "wan-vae",
        title: "Wan 2.1 VAE",
        hub_id: "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
        group: Group::Part,
        purpose: "Pixels to latents and back",
        files: &[any_of(
            Part::Codec,
            "*wan_2.1_vae.safetensors",
            "*Wan2_1_VAE_*.safetensors",
            None,
        )],
        single_files: true,
        ..BLANK
    },
    Entry {
        name: "fast-i2v-14b",
        title: "LightX2V LoRA, image to video",
        hub_id: "lightx2v/Wan2.1-Distill-Loras",
        group: Group::Fast,
        purpose: "Four steps without guidance, 14B",
        files: &[one(
            Part::Fast,
            "wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors",
            Some(739_000_000),
        )],
        single_files: true,
        ..BLANK
    },
    Entry {
        name: "fast-t2v-14b",
        title: "LightX2V LoRA, text to video",
        hub_id: "lightx2v/Wan2.1-Distill-Loras",
        group: Group::Fast,
        purpose: "Four steps without guidance, 14B",
        files: &[one(
            Part::Fast,
            "wan2.1_t2v_14b_lora_rank64_lightx2v_4step.safetensors",
            Some(631_000_000),
        )],
        single_files: true,
        ..BLANK
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::names::{fits, is_hub_id};
    use super::*;

    #[test]
    fn names_are_unique_and_needs_exist() {
        let names: HashSet<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for entry in CATALOGUE {
            assert!(is_hub_id(entry.hub_id), "{}", entry.hub_id);
            assert!(!entry.files.is_empty() && !entry.purpose.is_empty());
            assert!(
                entry.needs.iter().all(|need| names.contains(need)),
                "{}",
                entry.name
            );
            assert!(Group::ALL.contains(&entry.group));
        }
    }

    #[test]
    fn what_is_fetched_serves_as_what_is_looked_for() {
        for file in CATALOGUE.iter().flat_map(|entry| entry.files) {
            if let Some(instead) = file.instead {
                let name = file
                    .pattern
                    .replace('*', "wan2.1-Fun-14B-InP-umt5-xxl-encoder-Wan2_1_VAE_");
                let either = fits(instead, &name) || fits(file.pattern, &name);
                assert!(either, "{} {instead}", file.pattern);
            }
        }
    }

    #[test]
    fn an_id_of_one_entry_names_it() {
        assert_eq!(find("4dnex").unwrap().hub_id, "FrozenBurning/4DNex-Lora");
        assert_eq!(find("FrozenBurning/4DNex-Lora").unwrap().name, "4dnex");
        assert_eq!(find("Kijai/WanVideo_comfy"), None);
        let (bytes, whole) = find("fun-inp-1.3b").unwrap().known_bytes();
        assert!(whole && bytes > 19_000_000_000 && bytes < 20_000_000_000);
    }
}
