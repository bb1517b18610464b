#!/usr/bin/env bash
# Builds the studio and opens it on the bundled sample; without a display runs the same job headless.
set -euo pipefail
export PATH="$HOME/.cargo/bin:$PATH"

cargo build --release --locked -p one4d-studio
one4d=${CARGO_TARGET_DIR:-target}/release/one4d

if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    exec "$one4d" assets/samples/sample.one4d
fi
out=runs/first-scene
echo "No display was found, so the same job runs without a window."
"$one4d" generate --image assets/samples/room.png --prompt "$(cat assets/samples/room.txt)" --out "$out"
"$one4d" export "$out/scene.one4d" --format ply,glb --out "$out/export"
echo "The scene is in $out: scene.one4d, previews and report.json; point clouds are in $out/export."
