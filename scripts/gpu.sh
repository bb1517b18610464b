#!/usr/bin/env bash
# Builds with the feature `cuda`, runs the tests that need an NVIDIA GPU, then the benchmark.
# Needs the CUDA toolkit, 12.0 or later; nvcc on PATH or CUDA_HOME set. ONE4D_TORCH_PYTHON may name a
# Python whose torch sees the card: then the benchmark runs PyTorch beside the engine.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$HOME/.cargo/bin:$PATH"

toolkit=${CUDA_HOME:-${CUDA_PATH:-/usr/local/cuda}}
nvcc=${NVCC:-$(command -v nvcc || echo "$toolkit/bin/nvcc")}
if ! "$nvcc" --version >/dev/null 2>&1; then
    echo "skipped: there is no nvcc; install the CUDA toolkit (12.0 or later) or set CUDA_HOME" >&2
    exit 0
fi
if ! nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null; then
    echo "skipped: nvidia-smi finds no GPU here" >&2
    exit 0
fi
export CUDA_HOME=${CUDA_HOME:-$(dirname "$(dirname "$nvcc")")}
export LD_LIBRARY_PATH="$CUDA_HOME/lib64:$CUDA_HOME/lib:${LD_LIBRARY_PATH:-}"

cargo build --release --locked --workspace --features cuda
cargo test --release --locked --workspace --features cuda --test engine -- gpu:: cuda_ --nocapture
cargo bench --locked --workspace --features cuda --bench gpu
