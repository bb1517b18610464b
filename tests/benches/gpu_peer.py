"""The cases of gpu.rs in PyTorch, one timed run a line of standard input.

Protocol: the name of a case in, the seconds of one run out; a line of versions at the start. Ends with a
reason on standard error where torch is missing or sees no card. Set-up and the first run are not timed.
"""

import sys
import time

try:
    import torch
except ImportError as error:
    sys.exit(f"no peer: {error}")

if not torch.cuda.is_available():
    sys.exit("no peer: torch sees no CUDA device")

torch.manual_seed(0)
DEVICE, DTYPE = torch.device("cuda"), torch.bfloat16


def product():
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=DTYPE) for _ in range(2))
    return lambda: a @ b


def attention():
    q, k, v = (torch.randn(1, 40, 32760, 128, device=DEVICE, dtype=DTYPE) for _ in range(3))
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v)


def transformer(blocks):
    import diffusers

    with torch.device(DEVICE):
        torch.set_default_dtype(DTYPE)
        model = diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=40, attention_head_dim=128, in_channels=36,
            out_channels=16, text_dim=4096, freq_dim=256, ffn_dim=13824, num_layers=blocks,
            cross_attn_norm=True, qk_norm="rms_norm_across_heads", eps=1e-6, image_dim=1280,
            added_kv_proj_dim=5120,
        ).eval()
        torch.set_default_dtype(torch.float32)
    latents = torch.randn(1, 36, 21, 44, 78, device=DEVICE, dtype=DTYPE)
    text = torch.randn(1, 512, 4096, device=DEVICE, dtype=DTYPE)
    image = torch.randn(1, 257, 1280, device=DEVICE, dtype=DTYPE)
    times = torch.tensor([500], device=DEVICE)
    return lambda: model(latents, times, text, encoder_hidden_states_image=image, return_dict=False)


def build(case):
    name, *rest = case.split()
    if name == "dit":
        return transformer(int(rest[0]))
    return {"product": product, "attention": attention}[name]()


def main():
    print(f"beside it: torch {torch.__version__} on {torch.cuda.get_device_name()}", flush=True)
    name, run = None, None
    with torch.inference_mode():
        for line in sys.stdin:
            wanted = line.strip()
            if wanted != name:
                name, run = wanted, None
                torch.cuda.empty_cache()
                run = build(wanted)
                run()
            torch.cuda.synchronize()
            start = time.perf_counter()
            run()
            torch.cuda.synchronize()
            print(time.perf_counter() - start, flush=True)


main()
