//! LoRA files distilled to few steps, told by their names.
//!
//! No such file says so inside: the word in its name is all there is. Whoever goes by it shows it.

use std::path::Path;

use super::SamplingDefaults;

/// How a file that was distilled to few steps is sampled, and what its name says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct FewSteps {
    /// The part of the name that tells, in small letters.
    pub word: String,
    /// How to sample with it.
    pub sampling: SamplingDefaults,
}

/// Words of names with the time shift that those files were distilled for: `LightX2V`'s own is 5,
/// CausVid's 8. A family stands before the words that say only that something was distilled.
const FAMILIES: [(&str, f64); 3] = [("causvid", 8.0), ("lightx2v", 5.0), ("distill", 5.0)];
/// More steps than this are not few.
const MOST_STEPS: usize = 12;

/// What the name of a LoRA file says of few steps; `None` if nothing.
pub fn few_steps_by_name(path: &Path) -> Option<FewSteps> {
    let stem = path.file_stem()?.to_string_lossy().to_lowercase();
    let family = FAMILIES.iter().find(|(word, _)| stem.contains(word));
    let counted = steps_in(&stem);
    let word = match (family, &counted) {
        (Some((word, _)), _) => (*word).to_owned(),
        (None, Some((_, word))) => word.clone(),
        (None, None) => return None,
    };
    let way = SamplingDefaults::distilled();
    let sampling = SamplingDefaults {
        steps: counted.map_or(way.steps, |(steps, _)| steps),
        shift: family.map_or(way.shift, |(_, shift)| *shift),
        ..way
    };
    Some(FewSteps { word, sampling })
}

/// "4step", "4-steps" and "4_step" in a name: the number and the words.
fn steps_in(stem: &str) -> Option<(usize, String)> {
    stem.match_indices("step").find_map(|(at, word)| {
        let before = stem[..at].trim_end_matches(['-', '_', ' ']);
        let digits = before
            .rfind(|c: char| !c.is_ascii_digit())
            .map_or(before, |last| &before[last..])
            .trim_start_matches(|c: char| !c.is_ascii_digit());
        let steps: usize = digits.parse().ok()?;
        let from = before.len() - digits.len();
        (1..=MOST_STEPS)
            .contains(&steps)
            .then(|| (steps, stem[from..at + word.len()].to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_distilled_files_are_known() {
        let told = |name: &str| {
            let found = few_steps_by_name(Path::new(name))?;
            let way = found.sampling;
            assert_eq!(way.guidance, 1.0);
            Some((found.word, way.steps, way.shift))
        };
        let some = |word: &str, steps, shift| Some((word.to_owned(), steps, shift));
        for (name, expected) in [
            (
                "wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors",
                some("lightx2v", 4, 5.0),
            ),
            (
                "a/Lightx2v_T2V_14B_480p_cfg_step_distill_rank32_bf16.safetensors",
                some("lightx2v", 4, 5.0),
            ),
            (
                "Wan21_CausVid_14B_T2V_lora_rank32_v2.safetensors",
                some("causvid", 4, 8.0),
            ),
            ("mine-8-steps.safetensors", some("8-step", 8, 5.0)),
            ("4step.safetensors", some("4step", 4, 5.0)),
            ("my_distilled.safetensors", some("distill", 4, 5.0)),
            ("style.safetensors", None),
            ("style-2000steps.safetensors", None),
            ("stepping-stones.safetensors", None),
            ("lightx2v/style.safetensors", None),
        ] {
            assert_eq!(told(name), expected, "{name}");
        }
    }
}
