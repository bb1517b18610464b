//! The best way to hold a model that fits, and what to do where none does.

use super::activations::{self, Tokens};
use super::lora_bytes::LoraBytes;
use super::machine::bytes_for_people;
use super::parts::DitParts;
use super::{Holding, Machine, ModelParts, Placement, Plan, RunShape, StageMemory, Term, time};
use crate::nn::WeightForm;

/// Tokens of a row that pass the feed-forward at a time, where not all fit.
const PIECES: [Option<usize>; 4] = [None, Some(8192), Some(2048), Some(512)];
/// Sides of the codec's tiles in latent cells, where whole pictures do not fit.
const TILES: [usize; 4] = [64, 48, 32, 16];

/// Ways to hold the denoiser, the best first.
///
/// Weights that the file has rounded already lose nothing by staying so. Reading weights anew in
/// every step loses nothing either and is hidden behind the computation, so it comes before rounding.
fn ways(dit: &DitParts) -> Vec<(WeightForm, bool)> {
    let mut ways = if dit.stored.is_wide {
        vec![
            (WeightForm::Plain, false),
            (WeightForm::Bf16, false),
            (WeightForm::Plain, true),
            (WeightForm::Bf16, true),
        ]
    } else if dit.stored.is_exact {
        vec![(WeightForm::Stored, false), (WeightForm::Stored, true)]
    } else {
        vec![
            (WeightForm::Plain, false),
            (WeightForm::Stored, false),
            (WeightForm::Plain, true),
            (WeightForm::Stored, true),
        ]
    };
    if !dit.stored.is_quantised {
        ways.extend([(WeightForm::Q8_0, false), (WeightForm::Q4K, false)]);
    }
    ways
}

/// Every way to hold the denoiser, the best first; those with `form` only where one is asked for.
///
/// Smaller pieces in the feed-forward cost next to nothing, so they come before another form. Tiles of
/// the codec are nearly, not quite, the same picture, so they come after every form that is exact, and
/// before those that round.
pub fn alternatives(dit: &DitParts, form: Option<WeightForm>) -> Vec<Holding> {
    let mut ways = ways(dit);
    if let Some(form) = form {
        ways = vec![(form, false)];
        if !matches!(form, WeightForm::Q8_0 | WeightForm::Q4K) {
            ways.push((form, true));
        }
    }
    let rounds =
        |(form, _): &(WeightForm, bool)| matches!(form, WeightForm::Q8_0 | WeightForm::Q4K);
    let (rounded, exact): (Vec<_>, Vec<_>) = ways.into_iter().partition(rounds);
    let tiles = || [None].into_iter().chain(TILES.map(Some));
    let mut holdings = Vec::new();
    for (ways, codec_tile) in [exact, rounded]
        .iter()
        .flat_map(|w| tiles().map(move |t| (w, t)))
    {
        for (&(form, streamed), hidden_tokens) in ways
            .iter()
            .flat_map(|way| PIECES.map(move |piece| (way, piece)))
        {
            holdings.push(Holding {
                form,
                streamed,
                hidden_tokens,
                codec_tile,
            });
        }
    }
    holdings
}

/// Plans a run: the first of [`alternatives`] that fits, else the smallest, with advice.
pub fn choose(
    model: &ModelParts,
    run: &RunShape,
    machine: &Machine,
    form: Option<WeightForm>,
) -> Plan {
    let plans: Vec<Plan> = alternatives(&model.dit, form)
        .into_iter()
        .map(|holding| with_holding(model, run, machine, holding))
        .collect();
    let best = plans.iter().find(|plan| plan.fits);
    let smallest = plans.iter().min_by_key(|plan| plan.peak_bytes);
    let mut plan = match best.or(smallest) {
        Some(plan) => plan.clone(),
        None => with_holding(model, run, machine, Holding::default()),
    };
    if !plan.fits {
        plan.fitting_frames = fitting_frames(model, run, machine, form);
        plan.advice = advice(model, run, machine, form, &plan);
    }
    plan
}

/// What a run comes to with the denoiser held in a given way.
pub fn with_holding(
    model: &ModelParts,
    run: &RunShape,
    machine: &Machine,
    holding: Holding,
) -> Plan {
    let size = Tokens::of(&model.dit, &model.codec, run);
    let held = Held::of(model, machine, &holding);
    let stages = held.stages(model, run, machine, &holding, size);
    let peak_bytes = stages.iter().map(StageMemory::bytes).max().unwrap_or(0);
    Plan {
        model: model.name.clone(),
        run: *run,
        machine: machine.clone(),
        holding,
        placements: held.placements(model, &holding),
        peak_bytes,
        limit_bytes: machine.memory_bytes,
        fits: peak_bytes <= machine.memory_bytes,
        time: time::estimate(model, run, machine, &holding, size),
        stages,
        advice: Vec::new(),
        fitting_frames: None,
    }
}

/// Bytes of the parts that stay.
struct Held {
    blocks: u64,
    rest: u64,
    adapters: u64,
    loras: LoraBytes,
    /// Taken beside the weights while a block is read or rounded.
    transient: u64,
    codec: u64,
    text: u64,
    /// The encoder while it reads a prompt, if it does not stay.
    text_at_work: u64,
    image_at_work: u64,
}

impl Held {
    fn of(model: &ModelParts, machine: &Machine, holding: &Holding) -> Self {
        let dit = &model.dit;
        let value = machine.value_bytes;
        let layers = dit.config.num_layers as u64;
        let in_form = |form: WeightForm| -> u64 {
            let bytes = |shape: &[usize; 2]| form.held_bytes(*shape, value).unwrap_or(0);
            dit.linears.iter().map(bytes).sum()
        };
        let (block, all) = match holding.form {
            WeightForm::Stored => (dit.stored.block_bytes, dit.stored.total_bytes),
            form => (in_form(form), layers * in_form(form)),
        };
        let rest = dit.block_rest_values * value;
        let adapters = dit.adapters.block_values * value;
        let largest = dit
            .linears
            .iter()
            .map(|[o, i]| (o * i) as u64)
            .max()
            .unwrap_or(0);
        // A tensor of another type is copied as the file has it before it is converted; rounding
        // to blocks passes through f32.
        let file_copy = match (holding.form, dit.stored.is_wide) {
            (WeightForm::Stored, _) | (WeightForm::Plain, true) => 0,
            _ => dit.stored.matrix_file_bytes,
        };
        let wide_copy = match holding.form {
            WeightForm::Q8_0 | WeightForm::Q4K => 4 * largest,
            WeightForm::Plain | WeightForm::Bf16 | WeightForm::Stored => 0,
        };
        let two = layers.min(2);
        let loras = LoraBytes::of(model, machine, holding);
        Self {
            blocks: if holding.streamed {
                two * (block + rest) + two * loras.beside / layers.max(1)
            } else {
                all + layers * rest
            },
            rest: dit.global_values * value,
            adapters: dit.adapters.global_values * value
                + adapters * if holding.streamed { two } else { layers },
            loras,
            transient: file_copy + wide_copy,
            codec: model.codec.values * value,
            text: if model.text.on_demand {
                0
            } else {
                model.text.values * 4
            },
            text_at_work: if model.text.on_demand {
                2 * model.text.layer_values * value
            } else {
                0
            },
            image_at_work: model.image.map_or(0, |tower| tower.values * value),
        }
    }

    /// The denoiser is loaded before the prompt is read, and stays.
    fn resident(&self, holding: &Holding) -> Vec<Term> {
        let blocks = if holding.streamed { 0 } else { self.blocks };
        let adapters = if holding.streamed {
            "adapters, links"
        } else {
            "adapters"
        };
        let mut terms = vec![
            Term::new("blocks of the denoiser", blocks),
            Term::new("rest of the denoiser", self.rest),
            Term::new(adapters, self.adapters),
            Term::new("low-rank parts of LoRA files", self.loras.resident(holding)),
            Term::new("codec", self.codec),
            Term::new("text encoder", self.text),
        ];
        terms.retain(|term| term.bytes > 0);
        terms
    }

    fn stages(
        &self,
        model: &ModelParts,
        run: &RunShape,
        machine: &Machine,
        holding: &Holding,
        size: Tokens,
    ) -> Vec<StageMemory> {
        let with = |stage: &'static str, more: Vec<Term>| {
            let mut terms = self.resident(holding);
            terms.extend(more.into_iter().filter(|term| term.bytes > 0));
            StageMemory { stage, terms }
        };
        let mut stages = Vec::new();
        if !holding.streamed {
            let more = vec![
                Term::new("LoRA files", self.loras.loading(holding)),
                Term::new("a matrix while it is converted", self.transient),
            ];
            stages.push(with("load", more));
        }
        let text = vec![
            Term::new("two layers of the text encoder", self.text_at_work),
            activations::text(&model.text, machine.value_bytes),
        ];
        stages.push(with("text", text));
        if run.has_image && self.image_at_work > 0 {
            let tower = Term::new("image encoder", self.image_at_work);
            stages.push(with("image", vec![tower]));
        }
        let mut denoise = Vec::new();
        if holding.streamed {
            denoise.push(Term::new("two blocks of the denoiser", self.blocks));
            denoise.push(Term::new("a matrix while it is converted", self.transient));
        }
        denoise.push(activations::given(&model.dit, &model.text, size, machine));
        denoise.push(activations::latents(size, run));
        denoise.push(activations::step_cache(&model.dit, size, run, machine));
        let has_pairs = self.loras.stay && model.lora_values > 0;
        denoise.extend(activations::block(
            (&model.dit, has_pairs),
            size,
            holding,
            machine,
        ));
        stages.push(with("denoise", denoise));
        stages.push(with(
            "decode",
            activations::decode(&model.codec, run, holding.codec_tile, machine.value_bytes),
        ));
        stages
    }

    fn placements(&self, model: &ModelParts, holding: &Holding) -> Vec<Placement> {
        let dit = &model.dit;
        let layers = dit.config.num_layers as u64;
        let place = |part: &str, parameters: u64, place: String, held_bytes: u64| Placement {
            part: part.to_owned(),
            parameters,
            place,
            held_bytes,
        };
        let form = holding.form.label();
        let blocks = if holding.streamed {
            format!("streamed, two of {layers} blocks at a time, {form}")
        } else {
            format!("resident, {form}")
        };
        let (text, text_bytes) = if model.text.on_demand {
            ("read for a prompt, two layers at a time", self.text_at_work)
        } else {
            ("resident", self.text)
        };
        let mut placements = vec![place(
            "text encoder",
            model.text.values,
            text.into(),
            text_bytes,
        )];
        if let Some(tower) = &model.image {
            let read = "read for an image, then dropped";
            placements.push(place(
                "image encoder",
                tower.values,
                read.into(),
                self.image_at_work,
            ));
        }
        placements.push(place(
            "codec",
            model.codec.values,
            "resident".into(),
            self.codec,
        ));
        placements.push(place(
            "denoiser, blocks",
            layers * (dit.linear_values() + dit.block_rest_values),
            blocks,
            self.blocks,
        ));
        placements.push(place(
            "denoiser, rest",
            dit.global_values,
            "resident".into(),
            self.rest,
        ));
        let adapters = if holding.streamed {
            "with their blocks; links resident"
        } else {
            "resident, unrounded"
        };
        placements.push(place(
            "adapters",
            dit.adapters.block_values * layers + dit.adapters.global_values,
            adapters.into(),
            self.adapters,
        ));
        placements
    }
}

/// Whether a run fits, however its weights are held.
fn fits(model: &ModelParts, run: &RunShape, machine: &Machine, form: Option<WeightForm>) -> bool {
    alternatives(&model.dit, form)
        .into_iter()
        .any(|holding| with_holding(model, run, machine, holding).fits)
}

/// The longest clip that fits and is shorter than the one asked for.
fn fitting_frames(
    model: &ModelParts,
    run: &RunShape,
    machine: &Machine,
    form: Option<WeightForm>,
) -> Option<usize> {
    let shorter = (0..run.frames / 4).rev().map(|k| 4 * k + 1);
    shorter
        .filter(|&frames| frames < run.frames)
        .find(|&frames| fits(model, &RunShape { frames, ..*run }, machine, form))
}

/// What is missing where a run does not fit, and what would fit.
fn advice(
    model: &ModelParts,
    run: &RunShape,
    machine: &Machine,
    form: Option<WeightForm>,
    plan: &Plan,
) -> Vec<String> {
    let fits = |run: &RunShape, form: Option<WeightForm>| fits(model, run, machine, form);
    let mut advice = vec![format!(
        "needs {}, {} short of what there is",
        bytes_for_people(plan.peak_bytes),
        bytes_for_people(plan.peak_bytes - plan.limit_bytes.min(plan.peak_bytes)),
    )];
    if form.is_some() && fits(run, None) {
        advice.push("another form of the weights fits: leave out --weights".to_owned());
    }
    let unguided = RunShape {
        guided: false,
        ..*run
    };
    if run.guided && fits(&unguided, form) {
        advice.push("without guidance (1) it fits: half the rows".to_owned());
    }
    if let Some(frames) = plan.fitting_frames {
        advice.push(format!("{frames} frames fit"));
    }
    let smaller = (1..8).map(|eighths| RunShape {
        height: (run.height * (8 - eighths) / 8) / 16 * 16,
        width: (run.width * (8 - eighths) / 8) / 16 * 16,
        ..*run
    });
    let mut smaller = smaller.filter(|run| run.height > 0 && run.width > 0);
    if let Some(run) = smaller.find(|run| fits(run, form)) {
        advice.push(format!(
            "{} x {} pixels fit, with a model of that size",
            run.width, run.height
        ));
    }
    advice
}
