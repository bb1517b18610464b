#!/usr/bin/env bash
# Takes the pictures of docs/ from the real window under a virtual display.
# Needs Xvfb, xdotool and ImageMagick's `import`, and a built `one4d`.
set -euo pipefail
cd "$(dirname "$0")/.."
one4d=${CARGO_TARGET_DIR:-target}/release/one4d
out=docs/pictures
mkdir -p "$out"

# shot NAME THEME SECONDS STEPS [PATHS..]: STEPS is a `;`-separated list for xdotool, `sleep N` included.
shot() {
    local name=$1 theme=$2 seconds=$3 steps=$4
    shift 4
    local home
    home=$(mktemp -d)
    mkdir -p "$home/config/one4d"
    echo "{\"theme\": \"$theme\"}" > "$home/config/one4d/settings.json"
    (
        export HOME=$home XDG_CONFIG_HOME=$home/config XDG_DATA_HOME=$home/data XDG_RUNTIME_DIR=$home
        # The server takes a display that is free and writes its number. It would start anew whenever
        # its last client leaves, and refuse the next one meanwhile.
        Xvfb -displayfd 3 -screen 0 1280x800x24 -noreset -nolisten tcp 3> "$home/display" > /dev/null 2>&1 &
        local server=$!
        until [ -s "$home/display" ]; do sleep 0.1; done
        export DISPLAY=:$(cat "$home/display") WAYLAND_DISPLAY=
        until xdotool getdisplaygeometry > /dev/null 2>&1; do sleep 0.2; done
        sleep 1
        "$one4d" "$@" &
        local studio=$! window=
        until [ -n "$window" ]; do
            if ! kill -0 "$studio" 2> /dev/null; then
                echo "$name: the studio ended before its window was there" >&2
                kill "$server"
                exit 1
            fi
            window=$(xdotool search --onlyvisible --name "One4D Studio" 2> /dev/null | head -n 1 || true)
            sleep 0.2
        done
        xdotool windowmove "$window" 0 0 windowsize "$window" 1280 800 windowfocus "$window"
        xdotool mousemove 640 796
        sleep "$seconds"
        IFS=';' read -ra list <<< "$steps"
        for step in "${list[@]}"; do
            case $step in
                sleep*) $step ;;
                *) xdotool $step; sleep 0.5 ;;
            esac
        done
        import -window root "$out/$name.png"
        kill "$studio" "$server"
        wait || true
    )
    rm -rf "$home"
}

sample=assets/samples/sample.one4d
shot empty dark 3 ""
shot scene dark 4 "key space;key Home;sleep 1" "$sample"
shot scene-light light 4 "key space;key Home;key s;sleep 2" "$sample"
shot depth dark 4 "key space;key Home;key 2;sleep 2" "$sample"
shot measure dark 4 "key space;key Home;key m;sleep 1;mousemove 640 300;sleep 1;click 1;sleep 1;mousemove 780 450;sleep 1;click 1;sleep 1;mousemove 1140 262;click 1;sleep 2;key 2;sleep 1" "$sample"
shot compare dark 5 "key space;key Home;sleep 1" "$sample" "$sample"
shot generated dark 4 "key ctrl+Return;sleep 9;key space" assets/samples/room.png
shot export dark 4 "key space;key ctrl+e;sleep 1.5" "$sample"
mkdir -p /tmp/clips && echo notes > /tmp/clips/notes.txt
shot error dark 4 "" assets/samples/snow.png /tmp/clips/notes.txt
