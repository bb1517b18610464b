"""Writes parity cases: tiny random networks of the public reference libraries with their inputs and outputs.

    python3 -m venv venv && venv/bin/pip install torch diffusers transformers safetensors ftfy peft accelerate lycoris-lora
    venv/bin/python tests/parity/generate.py tests/parity/cases [--seed N] [--only PREFIX]

A case is a folder:

    config.json            as the reference library saves it, with `_class_name`
    weights.safetensors    the reference's key names (absent for schedulers)
    io.safetensors         `in.*` and `out.*`

Whole pipelines have one configuration and one file of weights a part. `--sweep N` draws N more cases of
random sizes instead of the committed ones.

`cargo run --release -p one4d-tests --bin parity -- DIR...` computes the outputs from the inputs and
compares. Weights are drawn anew after construction, because the references start many of them at zero
or one, which would hide a missing bias or a swapped norm.
"""

import argparse
import html
import json
import math
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    UMT5Config,
    UMT5EncoderModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil


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


# The publishers' own names of the same tensors, as their checkpoints have them: theirs, ours of the reference.
ORIGINAL_DIT = [
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("condition_embedder.image_embedder.norm1", "img_emb.proj.0"),
    ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"),
    ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
    ("condition_embedder.image_embedder.norm2", "img_emb.proj.4"),
    ("condition_embedder.image_embedder.pos_embed", "img_emb.emb_pos"),
    ("proj_out", "head.head"), (".scale_shift_table", ".modulation"), (".norm2.", ".norm3."),
    (".attn1.to_out.0.", ".self_attn.o."), (".attn2.to_out.0.", ".cross_attn.o."),
    (".attn2.add_k_proj.", ".cross_attn.k_img."), (".attn2.add_v_proj.", ".cross_attn.v_img."),
    (".attn2.norm_added_k.", ".cross_attn.norm_k_img."), (".attn1.to_", ".self_attn."), (".attn2.to_", ".cross_attn."),
    (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."), (".ffn.net.0.proj.", ".ffn.0."),
    (".ffn.net.2.", ".ffn.2."),
]
ORIGINAL_UMT5 = [
    ("shared.", "token_embedding."), ("encoder.embed_tokens.", "token_embedding."),
    ("encoder.final_layer_norm.", "norm."), ("encoder.block.", "blocks."),
    (".layer.0.SelfAttention.relative_attention_bias.", ".pos_embedding.embedding."),
    (".layer.0.SelfAttention.", ".attn."), (".layer.0.layer_norm.", ".norm1."), (".layer.1.layer_norm.", ".norm2."),
    (".layer.1.DenseReluDense.wi_0.", ".ffn.gate.0."), (".layer.1.DenseReluDense.wi_1.", ".ffn.fc1."),
    (".layer.1.DenseReluDense.wo.", ".ffn.fc2."),
]
ORIGINAL_VAE = [
    ("post_quant_conv.", "conv2."), ("quant_conv.", "conv1."), (".conv_in.", ".conv1."), (".conv_out.", ".head.2."),
    (".norm_out.", ".head.0."), (".mid_block.resnets.0.", ".middle.0."), (".mid_block.resnets.1.", ".middle.2."),
    (".mid_block.attentions.0.", ".middle.1."), (".conv_shortcut.", ".shortcut."), ("encoder.down_blocks.",
    "encoder.downsamples."),
]
ORIGINAL_CLIP = [
    ("vision_model.", ""), ("embeddings.class_embedding", "cls_embedding"),
    ("embeddings.position_embedding.weight", "pos_embedding"), ("embeddings.patch_embedding.", "patch_embedding."),
    ("pre_layrnorm.", "pre_norm."), ("post_layernorm.", "post_norm."), ("encoder.layers.", "transformer."),
    (".layer_norm1.", ".norm1."), (".layer_norm2.", ".norm2."), (".self_attn.out_proj.", ".attn.proj."),
    (".mlp.fc1.", ".mlp.0."), (".mlp.fc2.", ".mlp.2."),
]


def replaced(name, table):
    for old, new in table:
        name = name.replace(old, new, 1) if old in name else name
    return name


def original_dit(state):
    return {("head.modulation" if k == "scale_shift_table" else replaced(k, ORIGINAL_DIT)): v for k, v in state.items()}


def original_umt5(state):
    return {replaced(k, ORIGINAL_UMT5): v for k, v in state.items()}


def original_vae(state, blocks_a_level):
    """The decoder's levels become one flat list: so many residual blocks a level, then an upsampler."""
    inner = {"norm1.gamma": "residual.0.gamma", "conv1.": "residual.2.", "norm2.gamma": "residual.3.gamma",
             "conv2.": "residual.6."}
    found = {}
    for name, value in state.items():
        name = replaced(name, ORIGINAL_VAE)
        parts = name.split(".")
        if name.startswith("decoder.up_blocks."):
            level, kind, index = int(parts[2]), parts[3], int(parts[4])
            at = level * (blocks_a_level + 1) + (index if kind == "resnets" else blocks_a_level)
            name = ".".join(["decoder.upsamples", str(at), *parts[5:]])
        residual = any(part in name for part in ("downsamples", "upsamples", "middle.0", "middle.2"))
        if residual:
            for old, new in inner.items():
                stem, dot, rest = name.rpartition("." + old) if old.endswith(".") else (name, "", "")
                if dot:
                    name = f"{stem}.{new}{rest}"
                elif name.endswith("." + old):
                    name = name[: -len(old)] + new
        found[name] = value
    return found


def original_clip(state):
    found, stacked = {}, {}
    for name, value in state.items():
        name = replaced(name, ORIGINAL_CLIP)
        if ".self_attn." in name:
            block, rest = name.split(".self_attn.")
            which, kind = rest.split(".")
            stacked.setdefault((block, kind), {})[which[0]] = value
            continue
        name = f"visual.{name}"
        if name == "visual.cls_embedding":
            value = value.view(1, 1, -1)
        if name == "visual.pos_embedding":
            value = value[None]
        found[name] = value
    for (block, kind), parts in stacked.items():
        found[f"visual.{block}.attn.to_qkv.{kind}"] = torch.cat([parts[k] for k in "qkv"])
    return found


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


def peft_file(model, folder, g, kind, **settings):
    """Adapters of huggingface/peft on the model, saved as it saves them: a file and its settings beside it."""
    import peft

    names = ("attn1.to_q", "attn2.to_v", "attn2.to_out.0", "ffn.net.0.proj", "ffn.net.2", "time_proj")
    modules = [name for name, _ in model.named_modules() if name.endswith(names)]
    config = {"lora": peft.LoraConfig, "loha": peft.LoHaConfig, "lokr": peft.LoKrConfig}[kind]
    wrapped = peft.get_peft_model(model, config(target_modules=modules, **settings))
    with torch.no_grad():
        for name, p in wrapped.named_parameters():
            if "magnitude" in name:
                p.mul_(1 + 0.3 * torch.randn(p.shape, generator=g))
            elif any(part in name for part in ("lora_", "hada_", "lokr_")):
                p.copy_(torch.randn(p.shape, generator=g) / math.sqrt(p.shape[-1]))
    wrapped.save_pretrained(folder)
    (folder / "README.md").unlink()
    # Its list of modules is a set, in another order every time.
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    return "adapter_model.safetensors", 1.0


def lycoris_file(model, folder, g, algo, strength=1.0, rank=2, **settings):
    """Adapters of KohakuBlueleaf/LyCORIS on all layers at a strength, saved as it saves them."""
    from lycoris import create_lycoris

    network = create_lycoris(model, strength, linear_dim=rank, algo=algo, **settings)
    network.apply_to()
    with torch.no_grad():
        for name, p in network.named_parameters():
            if "dora_scale" in name:
                p.mul_(1 + 0.3 * torch.randn(p.shape, generator=g))
            else:
                p.copy_(torch.randn(p.shape, generator=g) / math.sqrt(p.shape[-1]))
    network.save_weights(str(folder / "lycoris.safetensors"), torch.float32, {})
    return "lycoris.safetensors", strength


def transformer(folder, g, frames=3, size=(6, 8), image=False, batch=1, original=False, adapt=None, **overrides):
    config = dict(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=8, in_channels=36 if image else 16,
        out_channels=16, text_dim=8, freq_dim=16, ffn_dim=20, num_layers=2, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", eps=1e-6, image_dim=12 if image else None,
        added_kv_proj_dim=16 if image else None, rope_max_seq_len=1024, pos_embed_seq_len=None,
    )
    config.update(overrides)
    model = randomise(WanTransformer3DModel(**config), g)
    base = {k: v.clone() for k, v in model.state_dict().items()}
    saved = config_of(model)
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
    inputs = {k[3:]: v for k, v in io.items()}
    with torch.no_grad():
        io["out.sample"] = model(**inputs).sample
    if adapt is not None:
        folder.mkdir(parents=True, exist_ok=True)
        saved["loras"] = [adapt(model, folder, g)]
        plain = io["out.sample"]
        with torch.no_grad():
            io["out.sample"] = model(**inputs).sample
        assert (plain - io["out.sample"]).norm() > 3e-3 * plain.norm()
    write(folder, saved, original_dit(base) if original else base, io)


def vae(folder, g, frames=5, size=(16, 24), batch=1, original=False, **overrides):
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
    state = model.state_dict()
    write(folder, config_of(model), original_vae(state, config["num_res_blocks"] + 1) if original else state, io)


def umt5(folder, g, lengths=(7, 16), table="shared.weight", original=False, **overrides):
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
    weights = original_umt5(weights) if original else weights
    write(folder, saved, weights, {"in.input_ids": ids, "in.attention_mask": mask, "out.last_hidden_state": out})


def clip(folder, g, batch=1, original=False, **overrides):
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
    state = original_clip(model.state_dict()) if original else model.state_dict()
    write(folder, saved, state, {"in.pixel_values": pixels, "out.penultimate_hidden_state": hidden})


def four_d_nex_parts(g, rank, **overrides):
    """A base under 4DNeX (arXiv 2508.13154): RGB and XYZ latents side by side in width, the same rotary positions
    in both halves, an embedding of its own added to the tokens of each, LoRA of both attentions fused with
    factor 0.5. Gives the changed model, the base's weights, and the adapters as they are published."""
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
                    modules[path].weight.add_(LORA_SCALE_OF_4DNEX * b @ a)

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
    return model, weights, adapters


def four_d_nex(folder, g, frames=3, size=(4, 6), rank=4, **overrides):
    """One forward pass of a 4DNeX model."""
    model, weights, adapters = four_d_nex_parts(g, rank, **overrides)
    height, width = size
    io = {
        "in.hidden_states": torch.randn(1, 36, frames, height, 2 * width, generator=g),
        "in.timestep": torch.tensor([637.5]),
        "in.encoder_hidden_states": torch.randn(1, 512, model.config.text_dim, generator=g),
        "in.encoder_hidden_states_image": torch.randn(1, 9, model.config.image_dim, generator=g),
    }
    with torch.no_grad():
        io["out.sample"] = model(**{k[3:]: v for k, v in io.items()}).sample
    saved = config_of(model) | {"_class_name": "FourDNexTransformer", "lora_scale": LORA_SCALE_OF_4DNEX}
    write(folder, saved, weights, io)
    save_file({k: v.contiguous() for k, v in adapters.items()}, folder / "adapters.safetensors")


def unsaturated_vae(g, size, frames, **overrides):
    """A tiny codec whose decoder mostly stays inside the range that the reference clamps to."""
    # Norms over two channels, as in the codec's own cases, would make rounding of the latents a hundred times larger.
    config = dict(
        base_dim=6, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, attn_scales=[],
        temperal_downsample=[False, True, True],
    )
    config.update(overrides)
    z = config["z_dim"]
    config.setdefault("latents_mean", [0.1 * i - 0.2 for i in range(z)])
    config.setdefault("latents_std", [1.0 + 0.3 * i for i in range(z)])
    model = randomise(AutoencoderKLWan(**config), g)
    with torch.no_grad():
        latents = torch.randn(1, z, (frames - 1) // 4 + 1, size[0] // 8, size[1] // 8, generator=g)
        model.decoder.conv_out.weight.mul_(0.1 / model.decode(latents).sample.std())
    return model


class SideBySidePipeline(WanImageToVideoPipeline):
    """4DNeX `core/finetune/models/wan_i2v/demb_samerope_trainer.py`: the image beside a slope map, half observed."""

    def prepare_latents(self, image, batch, channels, height, width, frames, dtype, device, generator, latents, last):
        x = torch.linspace(-1, 1, width).expand(height, width)
        y = torch.linspace(-1, 1, height)[:, None].expand(height, width)
        first = torch.cat([image, torch.stack([x, y, -y])[None]], dim=3)[:, :, None]
        video = torch.cat([first, first.new_zeros(1, 3, frames - 1, height, 2 * width)], dim=2)
        mean = torch.tensor(self.vae.config.latents_mean).view(1, -1, 1, 1, 1)
        std = torch.tensor(self.vae.config.latents_std).view(1, -1, 1, 1, 1)
        condition = (self.vae.encode(video).latent_dist.mode() - mean) / std
        mask = torch.zeros(1, 1, frames, *condition.shape[-2:])
        mask[:, :, 0] = 1.0
        mask[:, :, 0, :, condition.shape[-1] // 2:] = 0.5
        mask = torch.cat([mask[:, :, :1].repeat_interleave(4, dim=2), mask[:, :, 1:]], dim=2)
        mask = mask.view(1, -1, 4, *condition.shape[-2:]).transpose(1, 2)
        return latents, torch.cat([mask, condition], dim=1)


def pipeline(folder, g, image=True, four_d_nex=False, steps=10, guidance=5.0, shift=3.0, frames=9, size=(32, 48),
             picture=(37, 61), scheduler=None, text_rows=512, **overrides):
    """Everything but the text encoder: picture, noise and embedded prompts to latents and frames."""
    z, height, width = 4, *size
    config = dict(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=8, in_channels=2 * z + 4 if image else z,
        out_channels=z, text_dim=8, freq_dim=16, ffn_dim=20, num_layers=2, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", eps=1e-6, image_dim=12 if image else None,
        added_kv_proj_dim=16 if image else None, rope_max_seq_len=1024, pos_embed_seq_len=None,
    )
    config.update(overrides)
    adapters = None
    if four_d_nex:
        model, weights, adapters = four_d_nex_parts(g, 3, **config)
    else:
        model = randomise(WanTransformer3DModel(**config), g)
        weights = model.state_dict()
    wide = 2 * width if four_d_nex else width
    codec = unsaturated_vae(g, (height, wide), frames)
    scheduler = scheduler or UniPCMultistepScheduler(flow_shift=shift, **FLOW)
    rows = torch.randn(2, text_rows, config["text_dim"], generator=g)
    rows[0, text_rows // 3:], rows[1, 1:] = 0, 0
    noise = torch.randn(1, z, (frames - 1) // 4 + 1, height // 8, wide // 8, generator=g)
    io = {"in.prompt_embeds": rows[:1], "in.negative_prompt_embeds": rows[1:], "in.latents": noise}
    parts = dict(tokenizer=None, text_encoder=None, vae=codec, scheduler=scheduler, transformer=model)
    saved = {"transformer": config_of(model), "vae": config_of(codec), "scheduler": config_of(scheduler)}
    given = {}
    if image:
        tower = randomise(CLIPVisionModel(CLIPVisionConfig(
            hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=2, image_size=28,
            patch_size=7, hidden_act="gelu", layer_norm_eps=1e-5, projection_dim=8)), g)
        processor = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
        ramp = np.add.outer(np.arange(picture[0]) * 3, np.arange(picture[1]) * 2)[..., None] + np.array([0, 80, 160])
        noisy = torch.randint(0, 60, (*picture, 3), generator=g).numpy()
        pixels = ((ramp + noisy) % 256).astype(np.uint8)
        # As in the published examples, the picture is brought to the clip's size before the pipeline sees it.
        # Rows first, as all of Pillow did when the models were published; version 13 takes columns first at times.
        given["image"] = Image.fromarray(pixels).resize((width, picture[0])).resize((width, height))
        io["in.image"] = torch.from_numpy(pixels)
        io["out.resized"] = torch.from_numpy(np.array(given["image"])).float()
        io["out.pixel_values"] = processor(images=given["image"], return_tensors="pt")["pixel_values"]
        parts |= dict(image_encoder=tower, image_processor=processor)
        saved["image_encoder"] = json.loads(tower.config.to_json_string(use_diff=False)) | {
            "architectures": ["CLIPVisionModel"]}
    cls = SideBySidePipeline if four_d_nex else WanImageToVideoPipeline if image else WanPipeline
    pipe = cls(**parts)
    pipe.set_progress_bar_config(disable=True)
    seen = []

    def note(_pipe, _step, _time, state):
        seen.append(state["latents"].clone())
        return {}

    frames_out = pipe(
        **given, height=height, width=width, num_frames=frames, num_inference_steps=steps, guidance_scale=guidance,
        prompt_embeds=rows[:1], negative_prompt_embeds=rows[1:], latents=noise, output_type="latent",
        callback_on_step_end=note).frames
    with torch.no_grad():
        mean = torch.tensor(codec.config.latents_mean).view(1, -1, 1, 1, 1)
        std = torch.tensor(codec.config.latents_std).view(1, -1, 1, 1, 1)
        final = frames_out.clone()
        if four_d_nex:
            half = final.shape[-1] // 2
            final[..., half:] = final[..., half:] * 1.70 - 0.13
        video = codec.decode(final * std + mean).sample
    with torch.no_grad():
        nudge = 1e-5 * final.norm() / final.numel() ** 0.5 * torch.randn(final.shape, generator=g)
        nudged = codec.decode((final + nudge) * std + mean).sample
    growth = float((nudged - video).norm() / video.norm()) / 1e-5
    assert growth < 20, f"a codec that makes errors {growth:.0f} times larger measures rounding, not the pipeline"
    # After few steps the latents are still far from what a codec was made for; some saturation is no harm.
    assert (video.abs() == 1).float().mean() < 0.3, (video.abs() == 1).float().mean()
    io |= {"out.first_step": seen[0], "out.latents": frames_out, "out.video": video}
    saved |= {
        "_class_name": cls.__name__, "num_frames": frames, "num_inference_steps": steps, "guidance_scale": guidance,
        "height": height, "width": width, "lora_scale": LORA_SCALE_OF_4DNEX,
    }
    write(folder, saved, None, io)
    tensors = lambda state: {k: v.detach().clone().contiguous() for k, v in state.items()}
    save_file(tensors(weights), folder / "transformer.safetensors")
    save_file(tensors(codec.state_dict()), folder / "vae.safetensors")
    if image:
        save_file(tensors(tower.state_dict()), folder / "image_encoder.safetensors")
    if adapters:
        save_file(tensors(adapters), folder / "adapters.safetensors")


# How strongly the reference fuses 4DNeX's adapters, whose file says nothing of it: `inference.py`.
LORA_SCALE_OF_4DNEX = 0.5

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
    "lora_dora": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: peft_file(
        *m, "lora", r=3, lora_alpha=5, use_dora=True)),
    "lora_root": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: peft_file(
        *m, "lora", r=4, lora_alpha=3, use_rslora=True, alpha_pattern={"blocks.0.ffn.net.2": 1.5, "to_q": 7})),
    "lora_loha": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: peft_file(
        *m, "loha", r=2, alpha=3)),
    "lora_lokr": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: peft_file(
        *m, "lokr", r=1, alpha=3, decompose_both=True, decompose_factor=4)),
    "lora_lycoris_loha": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: lycoris_file(
        *m, "loha", linear_alpha=1, strength=0.7)),
    "lora_lycoris_lokr": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: lycoris_file(
        *m, "lokr", linear_alpha=1, factor=4, strength=0.6)),
    "lora_lycoris_columns": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: lycoris_file(
        *m, "locon", linear_alpha=1, dora_wd=True, wd_on_output=False)),
    "lora_lycoris_rows": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: lycoris_file(
        *m, "loha", linear_alpha=1, dora_wd=True)),
    "lora_lycoris_core": lambda f, g: transformer(f, g, frames=1, num_layers=1, adapt=lambda *m: lycoris_file(
        *m, "loha", linear_alpha=1, use_tucker=True, strength=0.7)),
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
    "pipeline_i2v": lambda f, g: pipeline(f, g),
    "pipeline_t2v": lambda f, g: pipeline(f, g, image=False, text_rows=20, shift=5.0, guidance=6.0),
    "pipeline_4dnex": lambda f, g: pipeline(f, g, four_d_nex=True, frames=5),
    "pipeline_i2v_euler": lambda f, g: pipeline(
        f, g, frames=5, size=(48, 32), picture=(32, 20), guidance=1.0, steps=4, scheduler=EULER(shift=5.0)),
    "dit_original": lambda f, g: transformer(f, g, image=True, original=True, num_layers=1, frames=2, size=(4, 4)),
    "vae_original": lambda f, g: vae(f, g, frames=5, size=(8, 16), original=True),
    "umt5_original": lambda f, g: umt5(f, g, original=True, num_layers=1),
    "clip_original": lambda f, g: clip(f, g, original=True, num_hidden_layers=2),
    "unipc_one_whole_step": lambda f, g: scheduler(f, g, UNIPC, 1, flow_shift=3.0, lower_order_final=False, **FLOW),
}


def pick(g, *choices):
    return choices[int(torch.randint(len(choices), (1,), generator=g))]


def random_case(folder, g, kind):
    """A case of sizes that nobody chose; what is small is small so that the sweep is fast."""
    if kind == "dit":
        heads, width, image = pick(g, 1, 2, 3, 4), pick(g, 6, 8, 10, 12), pick(g, False, True)
        transformer(
            folder, g, original=pick(g, False, True), frames=pick(g, 1, 2, 4),
            size=(2 * pick(g, 1, 2, 3), 2 * pick(g, 1, 2, 4)), image=image,
            batch=pick(g, 1, 2), num_attention_heads=heads, attention_head_dim=width, ffn_dim=pick(g, 12, 31),
            num_layers=pick(g, 1, 3), freq_dim=pick(g, 8, 32), text_dim=pick(g, 5, 16),
            added_kv_proj_dim=heads * width if image else None, cross_attn_norm=pick(g, True, True, False))
    elif kind == "lora":
        heads, image = pick(g, 1, 2, 3), pick(g, False, True)
        rank, alpha, strength = pick(g, 1, 2, 5), pick(g, 1, 3, 8), pick(g, -0.5, 0.4, 1.0, 1.7)
        ways = [
            lambda *m: peft_file(*m, "lora", r=rank, lora_alpha=alpha, use_dora=pick(g, True, False), use_rslora=pick(g, True, False)),
            lambda *m: peft_file(*m, "loha", r=rank, alpha=alpha),
            lambda *m: peft_file(*m, "lokr", r=rank, alpha=alpha, decompose_both=pick(g, True, False), decompose_factor=pick(g, -1, 2, 4)),
            lambda *m: lycoris_file(*m, pick(g, "locon", "loha", "lokr"), strength, rank, linear_alpha=alpha, factor=pick(g, -1, 2, 4),
                                    use_tucker=pick(g, True, False)),
            # Away from strength 1 LyCORIS scales the changed weight instead of going towards it.
            lambda *m: lycoris_file(*m, pick(g, "locon", "loha", "lokr"), 1.0, rank, linear_alpha=alpha, dora_wd=True, use_tucker=pick(g, True, False),
                                    wd_on_output=pick(g, True, False), decompose_both=pick(g, True, False)),
        ]
        transformer(
            folder, g, original=pick(g, False, True), frames=pick(g, 1, 2), size=(4, 2 * pick(g, 1, 3)), image=image,
            num_attention_heads=heads, attention_head_dim=8, added_kv_proj_dim=8 * heads if image else None,
            ffn_dim=pick(g, 12, 31), num_layers=pick(g, 1, 2), adapt=pick(g, *ways))
    elif kind == "vae":
        vae(folder, g, original=pick(g, False, True), frames=pick(g, 1, 5, 13),
            size=(8 * pick(g, 1, 2, 3), 8 * pick(g, 1, 2, 4)),
            base_dim=pick(g, 2, 4), num_res_blocks=pick(g, 1, 2), z_dim=pick(g, 3, 4, 8), batch=pick(g, 1, 2))
    elif kind == "umt5":
        rows = pick(g, 5, 33, 140)
        umt5(folder, g, original=pick(g, False, True), lengths=(rows, max(1, rows // pick(g, 2, 3, 5))),
             num_layers=pick(g, 1, 3), d_kv=pick(g, 4, 7), num_heads=pick(g, 1, 3), d_ff=pick(g, 16, 50), vocab_size=pick(g, 40, 300))
    elif kind == "clip":
        heads, patch = pick(g, 1, 2, 3), pick(g, 2, 4)
        clip(folder, g, original=pick(g, False, True), batch=pick(g, 1, 3), hidden_size=8 * heads,
             num_attention_heads=heads, patch_size=patch,
             image_size=patch * pick(g, 2, 5), num_hidden_layers=pick(g, 2, 5), intermediate_size=pick(g, 16, 45))
    elif kind == "euler":
        scheduler(folder, g, EULER, pick(g, 1, 3, 10, 33, 50), shift=pick(g, 0.5, 1.0, 3.0, 5.0, 8.0, 16.0))
    elif kind == "unipc":
        scheduler(folder, g, UNIPC, pick(g, 1, 2, 3, 10, 25, 50), flow_shift=pick(g, 1.0, 2.5, 3.0, 5.0, 8.0, 16.0),
                  solver_order=pick(g, 1, 2, 2, 3), **FLOW)
    elif kind == "4dnex":
        heads, width = pick(g, 1, 2, 3), pick(g, 6, 8)
        four_d_nex(folder, g, frames=pick(g, 1, 3), size=(2 * pick(g, 1, 3), 2 * pick(g, 1, 2)), rank=pick(g, 1, 5),
                   num_attention_heads=heads, attention_head_dim=width, added_kv_proj_dim=heads * width)
    else:
        pipeline(folder, g, image=pick(g, True, False), four_d_nex=False, steps=pick(g, 2, 10),
                 guidance=pick(g, 1.0, 3.5, 6.0), shift=pick(g, 1.0, 3.0, 5.0), frames=pick(g, 1, 5),
                 size=(16 * pick(g, 1, 2), 16 * pick(g, 1, 3)), picture=(pick(g, 9, 50), pick(g, 16, 70)))


KINDS = ("dit", "vae", "umt5", "clip", "euler", "unipc", "4dnex", "pipeline", "lora")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--sweep", type=int, default=0, help="draw so many random cases of every kind instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for index in range(args.sweep):
        for at, kind in enumerate(KINDS):
            if kind.startswith(args.only):
                seed = 10_000_000 + 100_000 * args.seed + 100 * index + at
                random_case(args.out / f"{kind}_{args.seed}_{index}", torch.Generator().manual_seed(seed), kind)
    if args.sweep:
        return
    for index, (name, build) in enumerate(CASES.items()):
        if name.startswith(args.only):
            build(args.out / name, torch.Generator().manual_seed(1000 * args.seed + index))
            print(name)


if __name__ == "__main__":
    main()
