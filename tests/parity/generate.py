"""Writes parity cases: tiny random networks of the public reference libraries with their inputs and outputs.

    python3 -m venv venv && venv/bin/pip install torch diffusers transformers safetensors ftfy
    venv/bin/python tests/parity/generate.py tests/parity/cases [--seed N] [--only PREFIX]

A case is a folder:

    config.json            as the reference library saves it, with `_class_name`
    weights.safetensors    the reference's key names (absent for schedulers)
    io.safetensors         `in.*` and `out.*`

`cargo run --release -p one4d-tests --bin parity -- DIR...` computes the outputs from the inputs and
compares. Weights are drawn anew after construction, because the references start many of them at zero
or one, which would hide a missing bias or a swapped norm.
"""

import argparse
import html
import json
import math
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanTransformer3DModel,
)
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    UMT5Config,
    UMT5EncoderModel,
)


def randomise(model, generator):
    """Fan-in scaled matrices, gains around one, and biases and modulations that are not zero."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if name.endswith("gamma") or ("norm" in name and name.endswith("weight")):
                p.copy_(1.0 + 0.2 * noise)
            elif p.dim() >= 2 and not name.endswith("scale_shift_table"):
                p.copy_(noise / math.sqrt(p[0].numel()))
            else:
                p.copy_(0.1 * noise)
    return model.eval()


def write(folder, config, weights, io):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if weights is not None:
        state = {k: v.detach().clone().contiguous() for k, v in weights.items()}
        save_file(state, folder / "weights.safetensors")
    save_file({k: v.detach().clone().contiguous() for k, v in io.items()}, folder / "io.safetensors")


def config_of(model):
    """What `save_pretrained` writes, without a detour over the disk."""
    return json.loads(model.to_json_string())


def transformer(folder, g, frames=3, size=(6, 8), image=False, batch=1, **overrides):
    config = dict(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=8, in_channels=36 if image else 16,
        out_channels=16, text_dim=8, freq_dim=16, ffn_dim=20, num_layers=2, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", eps=1e-6, image_dim=12 if image else None,
        added_kv_proj_dim=16 if image else None, rope_max_seq_len=1024, pos_embed_seq_len=None,
    )
    config.update(overrides)
    model = randomise(WanTransformer3DModel(**config), g)
    hidden = torch.randn(batch, config["in_channels"], frames, *size, generator=g)
    # With an image path the reference takes all but the last 512 context rows for image tokens.
    rows = 512 if image else 12
    io = {
        "in.hidden_states": hidden,
        "in.timestep": torch.linspace(412.5, 987.25, batch),
        "in.encoder_hidden_states": torch.randn(batch, rows, config["text_dim"], generator=g),
    }
    if image:
        # First and last image as two rows where there are position embeddings for both.
        pairs = config["pos_embed_seq_len"] is not None
        shape = (2 * batch, config["pos_embed_seq_len"] // 2) if pairs else (batch, 9)
        io["in.encoder_hidden_states_image"] = torch.randn(*shape, config["image_dim"], generator=g)
    with torch.no_grad():
        io["out.sample"] = model(**{k[3:]: v for k, v in io.items()}).sample
    write(folder, config_of(model), model.state_dict(), io)


def vae(folder, g, frames=5, size=(16, 24), batch=1, **overrides):
    config = dict(
        base_dim=2, z_dim=4, dim_mult=[1, 2, 2, 2], num_res_blocks=1, attn_scales=[],
        temperal_downsample=[False, True, True],
    )
    config.update(overrides)
    z = config["z_dim"]
    config.setdefault("latents_mean", [0.1 * i - 0.2 for i in range(z)])
    config.setdefault("latents_std", [1.0 + 0.3 * i for i in range(z)])
    model = randomise(AutoencoderKLWan(**config), g)
    video = torch.rand(batch, config.get("in_channels", 3), frames, *size, generator=g) * 2 - 1
    with torch.no_grad():
        mean = model.encode(video).latent_dist.mean
        latents = torch.randn(mean.shape, generator=g)
        decoded = model.decode(latents).sample
        # The reference clamps; most values must lie inside for the comparison to see anything.
        model.decoder.conv_out.weight.mul_(0.3 / decoded.std())
        decoded = model.decode(latents).sample
    assert (decoded.abs() == 1).float().mean() < 0.1
    io = {"in.video": video, "out.latents_mean": mean, "in.latents": latents, "out.video": decoded}
    write(folder, config_of(model), model.state_dict(), io)


def umt5(folder, g, lengths=(7, 16), table="shared.weight", **overrides):
    config = dict(
        vocab_size=50, d_model=24, d_kv=6, d_ff=40, num_layers=2, num_heads=4, dropout_rate=0.0,
        relative_attention_num_buckets=32, relative_attention_max_distance=128,
        feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6,
    )
    config.update(overrides)
    model = randomise(UMT5EncoderModel(UMT5Config(**config)), g)
    rows = max(lengths)
    ids = torch.randint(1, config["vocab_size"], (len(lengths), rows), generator=g)
    mask = (torch.arange(rows)[None] < torch.tensor(lengths)[:, None]).long()
    ids = ids * mask
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=mask).last_hidden_state
    saved = json.loads(model.config.to_json_string(use_diff=False))
    saved["_class_name"] = "UMT5EncoderModel"
    saved["architectures"] = ["UMT5EncoderModel"]
    # The embedding table is tied; files hold it under either name or both.
    tied = {"shared.weight", "encoder.embed_tokens.weight"} - {table}
    weights = {k: v for k, v in model.state_dict().items() if k not in tied}
    write(folder, saved, weights, {"in.input_ids": ids, "in.attention_mask": mask, "out.last_hidden_state": out})


def clip(folder, g, batch=1, **overrides):
    config = dict(
        hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4, image_size=12,
        patch_size=4, hidden_act="gelu", layer_norm_eps=1e-5, projection_dim=8,
    )
    config.update(overrides)
    model = randomise(CLIPVisionModel(CLIPVisionConfig(**config)), g)
    pixels = torch.randn(batch, 3, config["image_size"], config["image_size"], generator=g)
    with torch.no_grad():
        hidden = model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
    saved = json.loads(model.config.to_json_string(use_diff=False))
    saved["_class_name"] = "CLIPVisionModel"
    saved["architectures"] = ["CLIPVisionModel"]
    write(folder, saved, model.state_dict(), {"in.pixel_values": pixels, "out.penultimate_hidden_state": hidden})


def four_d_nex(folder, g, frames=3, size=(4, 6), rank=4, **overrides):
    """4DNeX (arXiv 2508.13154): RGB and XYZ latents side by side in width, the same rotary positions in both
    halves, an embedding of its own added to the tokens of each, LoRA of both attentions fused with factor 0.5."""
    config = dict(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=8, in_channels=36, out_channels=16,
        text_dim=8, freq_dim=16, ffn_dim=20, num_layers=2, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", eps=1e-6, image_dim=12, added_kv_proj_dim=16, rope_max_seq_len=1024,
        pos_embed_seq_len=None,
    )
    config.update(overrides)
    model = randomise(WanTransformer3DModel(**config), g)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    dim = config["num_attention_heads"] * config["attention_head_dim"]
    domains = 0.5 * torch.randn(2, dim, generator=g)
    adapters = {"learnable_domain_embeddings": domains}
    modules = dict(model.named_modules())
    for block in range(config["num_layers"]):
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            for attention in ("attn1", "attn2"):
                path = f"blocks.{block}.{attention}.{name}"
                a = torch.randn(rank, dim, generator=g) / math.sqrt(dim)
                b = torch.randn(dim, rank, generator=g) / math.sqrt(rank)
                adapters[f"transformer.{path}.lora_A.weight"] = a
                adapters[f"transformer.{path}.lora_B.weight"] = b
                with torch.no_grad():
                    modules[path].weight.add_(0.5 * b @ a)

    half_rope, patch = model.rope.forward, model.patch_embedding.forward

    def shared_rope(hidden):
        _, _, t, h, w = hidden.shape
        halves = half_rope(hidden[..., : w // 2])
        grid = (t, h // 2, w // 4)
        wide = [torch.cat([x.reshape(*grid, -1)] * 2, dim=2).reshape(1, -1, 1, x.shape[-1]) for x in halves]
        return tuple(wide)

    def patch_with_domains(hidden):
        tokens = patch(hidden)
        half = tokens.shape[-1] // 2
        sides = [domains[k].view(1, -1, 1, 1, 1).expand(*tokens.shape[:-1], half) for k in (0, 1)]
        return tokens + torch.cat(sides, dim=-1)

    model.rope.forward, model.patch_embedding.forward = shared_rope, patch_with_domains
    height, width = size
    io = {
        "in.hidden_states": torch.randn(1, 36, frames, height, 2 * width, generator=g),
        "in.timestep": torch.tensor([637.5]),
        "in.encoder_hidden_states": torch.randn(1, 512, config["text_dim"], generator=g),
        "in.encoder_hidden_states_image": torch.randn(1, 9, config["image_dim"], generator=g),
    }
    with torch.no_grad():
        io["out.sample"] = model(**{k[3:]: v for k, v in io.items()}).sample
    saved = config_of(model) | {"_class_name": "FourDNexTransformer"}
    write(folder, saved, weights, io)
    save_file({k: v.contiguous() for k, v in adapters.items()}, folder / "adapters.safetensors")


TEXTS = [
    "", "a red ball rolls past a box", "  Two   words\n\there ", "R&amp;D &amp;lt;tag&amp;gt; &#228;&#x20AC;",
    "Ünïcödé ﬁne Ａ ½ …", "日本語の部屋", "a very long prompt " * 8,
]


def tokenizer(folder, g, length=20):
    """A Unigram tokenizer of T5's shape, trained on this file; ids as Wan's text cleaning and T5 give them."""
    ours = Tokenizer(models.Unigram())
    ours.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    ours.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=260, special_tokens=["<pad>", "</s>", "<s>", "<unk>"], unk_token="<unk>", show_progress=False)
    ours.train_from_iterator(Path(__file__).read_text().splitlines(), trainer)
    ours.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    reference = PreTrainedTokenizerFast(tokenizer_object=ours, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    cleaned = [" ".join(html.unescape(html.unescape(text)).split()) for text in TEXTS]
    out = reference(cleaned, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    config = {"_class_name": "T5TokenizerFast", "max_length": length, "texts": TEXTS}
    write(folder, config, None, {"out.input_ids": out.input_ids, "out.attention_mask": out.attention_mask})
    ours.save(str(folder / "tokenizer.json"), pretty=False)


def scheduler(folder, g, cls, steps, shape=(1, 2, 2, 3, 3), mu=None, **config):
    reference = cls(**config)
    reference.set_timesteps(steps, **({} if mu is None else {"mu": mu}))
    sample = torch.randn(shape, generator=g)
    outputs = torch.randn(steps, *shape, generator=g)
    x = sample
    for t, v in zip(reference.timesteps, outputs):
        x = reference.step(v, t, x, return_dict=False)[0]
    assert x.isfinite().all()
    saved = config_of(reference)
    saved["steps"] = steps
    if mu is not None:
        saved["mu"] = mu
    write(folder, saved, None, {
        "in.sample": sample, "in.model_outputs": outputs, "out.sample": x,
        "out.sigmas": reference.sigmas.float(), "out.timesteps": reference.timesteps.float(),
    })


FLOW = dict(prediction_type="flow_prediction", use_flow_sigmas=True)
EULER, UNIPC = FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

CASES = {
    "dit_t2v": lambda f, g: transformer(f, g),
    "dit_t2v_batch": lambda f, g: transformer(
        f, g, frames=2, size=(4, 10), batch=2, num_attention_heads=3, attention_head_dim=6, num_layers=1),
    "dit_t2v_one_frame": lambda f, g: transformer(f, g, frames=1, size=(4, 4), cross_attn_norm=False, num_layers=1),
    "dit_i2v": lambda f, g: transformer(f, g, image=True),
    "dit_flf2v": lambda f, g: transformer(f, g, image=True, pos_embed_seq_len=14, num_layers=1, frames=2),
    "vae_1_frame": lambda f, g: vae(f, g, frames=1),
    "vae_5_frames": lambda f, g: vae(f, g, frames=5, size=(16, 8), num_res_blocks=2),
    "vae_13_frames": lambda f, g: vae(f, g, frames=13, size=(16, 16)),
    "vae_three_levels": lambda f, g: vae(
        f, g, frames=9, size=(8, 12), batch=2, base_dim=3, dim_mult=[1, 3, 2],
        temperal_downsample=[True, False], decoder_base_dim=2, z_dim=3),
    "umt5": lambda f, g: umt5(f, g),
    "umt5_long": lambda f, g: umt5(f, g, lengths=(150,), table="encoder.embed_tokens.weight", num_layers=1, d_kv=5, num_heads=2),
    "euler_shift_1": lambda f, g: scheduler(f, g, EULER, 4),
    "euler_shift_3": lambda f, g: scheduler(f, g, EULER, 20, shift=3.0),
    "euler_one_step": lambda f, g: scheduler(f, g, EULER, 1, shift=5.0),
    "euler_dynamic": lambda f, g: scheduler(f, g, EULER, 7, use_dynamic_shifting=True, mu=0.9, shift_terminal=0.02),
    "euler_karras": lambda f, g: scheduler(f, g, EULER, 6, shift=2.0, use_karras_sigmas=True),
    "euler_exponential": lambda f, g: scheduler(f, g, EULER, 6, shift=2.0, use_exponential_sigmas=True),
    "euler_inverted": lambda f, g: scheduler(f, g, EULER, 5, shift=2.0, invert_sigmas=True),
    "unipc_shift_1": lambda f, g: scheduler(f, g, UNIPC, 10, **FLOW),
    "unipc_shift_3": lambda f, g: scheduler(f, g, UNIPC, 40, flow_shift=3.0, **FLOW),
    "unipc_shift_5": lambda f, g: scheduler(f, g, UNIPC, 50, flow_shift=5.0, **FLOW),
    "unipc_shift_16": lambda f, g: scheduler(f, g, UNIPC, 12, flow_shift=16.0, **FLOW),
    "unipc_one_step": lambda f, g: scheduler(f, g, UNIPC, 1, flow_shift=3.0, **FLOW),
    "unipc_order_1": lambda f, g: scheduler(f, g, UNIPC, 8, flow_shift=3.0, solver_order=1, **FLOW),
    "unipc_order_3": lambda f, g: scheduler(f, g, UNIPC, 16, flow_shift=3.0, solver_order=3, **FLOW),
    "unipc_bh1": lambda f, g: scheduler(
        f, g, UNIPC, 10, flow_shift=3.0, solver_type="bh1", final_sigmas_type="sigma_min",
        lower_order_final=False, **FLOW),
    "unipc_uncorrected": lambda f, g: scheduler(
        f, g, UNIPC, 9, flow_shift=2.0, disable_corrector=[0, 3], shift_terminal=0.05, **FLOW),
    "unipc_dynamic": lambda f, g: scheduler(f, g, UNIPC, 9, use_dynamic_shifting=True, mu=1.1, **FLOW),
    "clip": lambda f, g: clip(f, g),
    "clip_batch": lambda f, g: clip(f, g, batch=2, num_attention_heads=2, image_size=8, num_hidden_layers=2),
    "tokenizer": lambda f, g: tokenizer(f, g),
    "4dnex": lambda f, g: four_d_nex(f, g),
    "4dnex_three_heads": lambda f, g: four_d_nex(
        f, g, frames=2, size=(6, 4), rank=3, num_attention_heads=3, attention_head_dim=6, added_kv_proj_dim=18,
        num_layers=1),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for index, (name, build) in enumerate(CASES.items()):
        if name.startswith(args.only):
            build(args.out / name, torch.Generator().manual_seed(1000 * args.seed + index))
            print(name)


if __name__ == "__main__":
    main()
