"""Writes parity cases of weights that files hold in other ways: shards, narrow types, GGUF, LoRA dialects.

    venv/bin/pip install gguf peft accelerate    (beside what generate.py needs)
    venv/bin/python tests/parity/generate_files.py tests/parity/cases [--seed N] [--only PREFIX] [--sweep N]

Cases are folders as generate.py describes them. The reference is always diffusers' network with the
values that the files stand for: 8-bit floats by PyTorch, GGUF blocks by ggml-org's own package, LoRA
files by diffusers' own loader.
"""

import argparse
import json
import math
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Ggml
from safetensors.torch import save_file

import generate
from generate import ORIGINAL_DIT, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel, original_dit, pick, replaced


def network(g, image, heads=2, width=8, **overrides):
    config = dict(
        patch_size=(1, 2, 2), num_attention_heads=heads, attention_head_dim=width, in_channels=36 if image else 16,
        out_channels=16, text_dim=8, freq_dim=16, ffn_dim=20, num_layers=1, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", eps=1e-6, image_dim=12 if image else None,
        added_kv_proj_dim=heads * width if image else None, rope_max_seq_len=1024, pos_embed_seq_len=None,
    )
    model = generate.randomise(WanTransformer3DModel(**(config | overrides)), g)
    return model, {name: value.clone() for name, value in model.state_dict().items()}


def is_block_matrix(name, value):
    return name.startswith("blocks.") and value.dim() == 2


def answer(folder, model, config, g, size=(4, 6)):
    """Configuration, inputs and what the model says to them."""
    image = model.config.image_dim
    io = {
        "in.hidden_states": torch.randn(1, model.config.in_channels, 2, *size, generator=g),
        "in.timestep": 1000 * torch.rand(1, generator=g),
        "in.encoder_hidden_states": torch.randn(1, 512 if image else 12, model.config.text_dim, generator=g),
    }
    if image:
        io["in.encoder_hidden_states_image"] = torch.randn(1, 9, image, generator=g)
    with torch.no_grad():
        io["out.sample"] = model(**{name[3:]: value for name, value in io.items()}).sample
    generate.write(folder, config, None, io)


def save(path, state):
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def shards(folder, g, count, dtype=torch.bfloat16, image=True, original=False):
    """Two bytes a value in several files with an index, as large checkpoints are published."""
    model, state = network(g, image)
    state = {name: value.to(dtype) for name, value in state.items()}
    model.load_state_dict({name: value.float() for name, value in state.items()})
    answer(folder, model, generate.config_of(model), g)
    state = original_dit(state) if original else state
    place = {name: f"weights-{1 + i % count:05}-of-{count:05}.safetensors" for i, name in enumerate(sorted(state))}
    for shard in set(place.values()):
        save(folder / shard, {name: value for name, value in state.items() if place[name] == shard})
    index = {"metadata": {"total_size": sum(v.nbytes for v in state.values())}, "weight_map": place}
    (folder / "weights.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def float8(folder, g, scales, image=False, original=False):
    """Matrices of the blocks as e4m3 with one scale a tensor (as ComfyUI has it), a row or a block of a row (as
    musubi-tuner has them), or none."""
    model, state = network(g, image)
    held = dict(state)
    for name, value in state.items():
        if not is_block_matrix(name, value):
            continue
        rows, width = value.shape
        runs = value.reshape({"tensor": (1, 1, -1), "none": (1, 1, -1), "row": (rows, 1, -1), "block": (rows, 2, -1)}[scales])
        scale = runs.abs().amax(-1, keepdim=True) / 448 * (1 + torch.rand(runs.shape[:2], generator=g)[..., None])
        scale = torch.ones_like(scale) if scales == "none" else scale
        narrow = (runs / scale).to(torch.float8_e4m3fn)
        held[name], state[name] = narrow.reshape(value.shape), (narrow.float() * scale).reshape(value.shape)
        if scales != "none":
            shape = {"tensor": (), "row": (rows, 1), "block": (rows, 2, 1)}[scales]
            held[name.removesuffix("weight") + "scale_weight"] = scale.reshape(shape)
    model.load_state_dict(state)
    answer(folder, model, generate.config_of(model), g)
    if scales == "tensor":
        held["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    save(folder / "weights.safetensors", original_dit(held) if original else held)


# Bytes of a block of 256 values, and where its factors lie with what makes values of random bits about one.
K_BLOCKS = {
    Ggml.Q2_K: (84, {80: 20, 82: 20}), Ggml.Q3_K: (110, {108: 60}), Ggml.Q4_K: (144, {0: 200, 2: 200}),
    Ggml.Q5_K: (176, {0: 200, 2: 200}), Ggml.Q6_K: (210, {208: 1500}),
}
SIMPLE = [Ggml.Q8_0, Ggml.Q4_0, Ggml.Q4_1, Ggml.Q5_0, Ggml.Q5_1, Ggml.BF16]


def quantised(value, kind, g):
    """Bytes of a matrix in a kind of block, and its values. Blocks of 256 are of random bits."""
    rows, width = value.shape
    if kind not in K_BLOCKS:
        packed = gguf.quants.quantize(value.numpy(), kind)
    else:
        size, factors = K_BLOCKS[kind]
        packed = torch.randint(256, (rows * width // 256, size), generator=g).numpy().astype(np.uint8)
        for at, share in factors.items():
            factor = torch.rand(len(packed), generator=g).numpy() / (share * math.sqrt(width))
            packed[:, at:at + 2] = factor.astype(np.float16).view(np.uint8).reshape(-1, 2)
        packed = packed.reshape(rows, -1)
    return packed, torch.from_numpy(gguf.quants.dequantize(packed, kind).copy())


def blocks(folder, g, kinds, image=False, heads=4):
    """GGUF as the model's publishers of it write it: original names, the entrance in five dimensions, other matrices
    and norms unquantised."""
    model, state = network(g, image, heads=heads, width=64, ffn_dim=256)
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(folder / "weights.gguf"), "wan")
    for index, (name, value) in enumerate(state.items()):
        (theirs,) = original_dit({name: value})
        if is_block_matrix(name, value):
            kind = kinds[index % len(kinds)]
            packed, state[name] = quantised(value, kind, g)
            writer.add_tensor(theirs, packed, raw_dtype=kind)
        elif value.dim() == 2:
            state[name] = value.half().float()
            writer.add_tensor(theirs, value.half().numpy())
        else:
            writer.add_tensor(theirs, value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model.load_state_dict(state)
    answer(folder, model, generate.config_of(model), g)


def lora_names(dialect, path):
    """What a dialect calls A, B and alpha of a layer, given the reference's name of the layer."""
    theirs = replaced(path + ".", ORIGINAL_DIT).removesuffix(".")
    flat = theirs.replace(".", "_")
    start, a, b, has_alpha = {
        "diffusers": (f"transformer.{path}.", "lora_A.weight", "lora_B.weight", False),
        "comfy": (f"diffusion_model.{theirs}.", "lora_A.weight", "lora_B.weight", True),
        "kijai": (f"diffusion_model.{theirs}.", "lora_down.weight", "lora_up.weight", True),
        "musubi": (f"lora_unet_{flat}.", "lora_down.weight", "lora_up.weight", True),
        "videox": (f"lora_unet__{flat}.", "lora_down.weight", "lora_up.weight", True),
        "peft": (f"base_model.model.{theirs}.", "lora_A.weight", "lora_B.weight", False),
        "videox_peft": (f"{theirs}.", "lora_A.weight", "lora_B.weight", False),
        "diffsynth": (f"{theirs}.", "lora_A.default.weight", "lora_B.default.weight", False),
        "linear_layer": (f"transformer.{path}.lora_linear_layer.", "down.weight", "up.weight", False),
    }[dialect]
    return start + a, start + b, start + "alpha" if has_alpha else None


DIALECTS = ("diffusers", "comfy", "kijai", "musubi", "videox", "peft", "videox_peft", "diffsynth", "linear_layer")
# The reference reads these by itself; of the others it is given the same numbers under its own names.
READ_BY_REFERENCE = ("diffusers", "comfy", "kijai", "musubi")


def loras(folder, g, files, image=True, original=False):
    """LoRA files on a network: `(dialect, rank, alpha, strength)` each. Whole numbers are stored as such."""
    model, state = network(g, image)
    config = generate.config_of(model)
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "weights.safetensors", original_dit(state) if original else state)
    parts = ["tokenizer", "text_encoder", "vae", "scheduler"] + ["image_encoder", "image_processor"] * image
    pipe = (WanImageToVideoPipeline if image else WanPipeline)(transformer=model, **dict.fromkeys(parts))
    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n.startswith("blocks.")}
    config["loras"] = []
    for at, (dialect, rank, alpha, strength) in enumerate(files):
        held, plain = {}, {}
        for path, layer in layers.items():
            a = torch.randn(rank, layer.in_features, generator=g) / math.sqrt(layer.in_features)
            b = torch.randn(layer.out_features, rank, generator=g) / math.sqrt(rank)
            name_a, name_b, name_alpha = lora_names(dialect, path)
            held |= {name_a: a, name_b: b}
            factor = 1.0
            if name_alpha:
                held[name_alpha], factor = torch.tensor(alpha), alpha / rank
            if dialect == "kijai":
                bias = 0.1 * torch.randn(layer.out_features, generator=g)
                held[name_a.replace("lora_down.weight", "diff_b")] = bias
            plain |= {f"transformer.{path}.lora_A.weight": a, f"transformer.{path}.lora_B.weight": factor * b}
        name = f"lora{at}_{dialect}.safetensors"
        save(folder / name, held)
        read = held if dialect in READ_BY_REFERENCE else plain
        pipe.load_lora_weights({key: value.clone() for key, value in read.items()}, adapter_name=f"lora{at}")
        config["loras"].append([name, strength])
    pipe.set_adapters([f"lora{at}" for at in range(len(files))], [file[3] for file in files])
    answer(folder, model, config, g)


CASES = {
    "dit_shards": lambda f, g: shards(f, g, 3),
    "dit_float8_tensor": lambda f, g: float8(f, g, "tensor", original=True),
    "dit_float8_blocks": lambda f, g: float8(f, g, "block"),
    "lora_dialects": lambda f, g: loras(f, g, [("kijai", 3, 2, 0.8), ("musubi", 2, 1.5, -0.4), ("peft", 4, None, 0.6)]),
}


def random_case(folder, g, kind):
    image, original = pick(g, False, True), pick(g, False, True)
    if kind == "shards":
        shards(folder, g, pick(g, 2, 5, 9), pick(g, torch.bfloat16, torch.float16), image, original)
    elif kind == "float8":
        float8(folder, g, pick(g, "tensor", "row", "block", "none"), image, original)
    elif kind == "gguf":
        kinds = [pick(g, *SIMPLE, *K_BLOCKS) for _ in range(pick(g, 1, 4))]
        blocks(folder, g, kinds, image, pick(g, 4, 8))
    else:
        strengths = lambda: pick(g, -0.7, 0.35, 1.0, 1.6)
        files = [(pick(g, *DIALECTS), pick(g, 1, 2, 5, 16), pick(g, 1, 4, 2.5), strengths()) for _ in range(pick(g, 1, 2, 3))]
        loras(folder, g, files, image, original)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases or kinds whose name begins so")
    parser.add_argument("--sweep", type=int, default=0, help="draw so many random cases of every kind instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.sweep:
        drawn = [
            (f"{kind}_{args.seed}_{i}", lambda f, g, kind=kind: random_case(f, g, kind))
            for i in range(args.sweep) for kind in ("shards", "float8", "gguf", "loras") if kind.startswith(args.only)]
    else:
        drawn = [case for case in CASES.items() if case[0].startswith(args.only)]
    for index, (name, build) in enumerate(drawn):
        build(args.out / name, torch.Generator().manual_seed(20_000_000 + 1000 * args.seed + index))
        print(name)


if __name__ == "__main__":
    main()
