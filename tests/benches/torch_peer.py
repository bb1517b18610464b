"""The same operations in PyTorch and diffusers, one timed run a line of standard input.

Protocol: the name of a case in, the seconds of one run out; `ready VERSION` at the start. Cases and
sizes are those of torch.rs. Set-up and the first, slower run are not timed.
"""

import sys
import time

import diffusers
import torch

torch.set_num_threads(2)
torch.manual_seed(0)


def transformer(dtype):
    model = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=6, attention_head_dim=128, in_channels=16, out_channels=16,
        text_dim=4096, freq_dim=256, ffn_dim=3072, num_layers=12, cross_attn_norm=True,
        qk_norm="rms_norm_across_heads", eps=1e-6,
    ).to(dtype).eval()
    latents = torch.randn(1, 16, 16, 32, 32, dtype=dtype)
    text = torch.randn(1, 512, 4096, dtype=dtype)
    times = torch.tensor([500])
    return lambda: model(latents, times, text, return_dict=False)


def attention(dtype):
    q, k, v = (torch.randn(1, 6, 4096, 128, dtype=dtype) for _ in range(3))
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v)


def linear(dtype):
    x, w = torch.randn(4096, 768, dtype=dtype), torch.randn(3072, 768, dtype=dtype)
    b = torch.randn(3072, dtype=dtype)
    return lambda: torch.nn.functional.linear(x, w, b)


def vae():
    return diffusers.AutoencoderKLWan(base_dim=32, z_dim=16).eval()


def encode():
    model, video = vae(), torch.rand(1, 3, 17, 128, 224) * 2 - 1
    return lambda: model.encode(video).latent_dist.mean


def decode():
    model, latents = vae(), torch.randn(1, 16, 5, 16, 28)
    return lambda: model.decode(latents, return_dict=False)


CASES = {
    "linear f32": lambda: linear(torch.float32),
    "linear bf16": lambda: linear(torch.bfloat16),
    "attention f32": lambda: attention(torch.float32),
    "attention bf16": lambda: attention(torch.bfloat16),
    "dit f32": lambda: transformer(torch.float32),
    "dit bf16": lambda: transformer(torch.bfloat16),
    "vae encode f32": encode,
    "vae decode f32": decode,
}


def main():
    print(f"ready torch {torch.__version__}, diffusers {diffusers.__version__}", flush=True)
    name, run = None, None
    with torch.inference_mode():
        for line in sys.stdin:
            wanted = line.strip()
            if wanted != name:
                name, run = wanted, CASES[wanted]()
                run()
            start = time.perf_counter()
            run()
            print(time.perf_counter() - start, flush=True)


main()
