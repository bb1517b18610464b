#!/usr/bin/env bash
# Installs what is missing of the system: compiler, Rust, Vulkan loader, Mesa's software driver, window libraries.
set -euo pipefail

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi

missing=()
need() { # need PACKAGE TEST...
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
library() { ldconfig -p | grep -q "$1"; }
any_file() { compgen -G "$1" >/dev/null; }

need gcc command -v cc
need libc6-dev test -e /usr/include/stdio.h
need libvulkan1 library libvulkan.so.1
need mesa-vulkan-drivers any_file '/usr/share/vulkan/icd.d/*.json'
need libxkbcommon0 library libxkbcommon.so.0
need libxkbcommon-x11-0 library libxkbcommon-x11.so.0
need libwayland-client0 library libwayland-client.so.0
need libx11-xcb1 library libX11-xcb.so.1
need libxcursor1 library libXcursor.so.1
need libxi6 library libXi.so.6
need libxrandr2 library libXrandr.so.2

if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "missing: ${missing[*]} (these are Debian's names; install what your system calls them)" >&2
        exit 1
    fi
    echo "installing: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if ! command -v cargo >/dev/null && [ ! -x "$HOME/.cargo/bin/cargo" ]; then
    echo "installing Rust by rustup"
    command -v curl >/dev/null || "${as_root[@]}" apt-get install -y -qq --no-install-recommends curl ca-certificates
    curl --proto '=https' --tlsv1.2 -sSf https://static.rust-lang.org/rustup/rustup-init.sh | sh -s -- -y --profile minimal --default-toolchain none
    # The version that rust-toolchain.toml names.
    "$HOME/.cargo/bin/rustup" toolchain install
fi
