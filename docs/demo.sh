#!/usr/bin/env bash
# The main job on the simulator: what a user would type, one command after the other. `make demo` runs it.
# Everything is written under demo/: sessions, dataset, run. A second run starts afresh.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/${VENV:-.venv}/bin:$PATH"
begun=$(date +%s)
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

rm -rf demo
mkdir -p demo/sessions demo/logs

say syncctl record demo/sessions/first --simulate --duration 60 --seed 1 --participant p01
say syncctl inspect demo/sessions/first
say syncctl align demo/sessions/first

# Twelve short sessions of four people for training, on the simulated clock, as many at a time as there are cores.
one_session() {
  seed=$1 who="p0$(( ($1 - 1) % 4 + 1 ))" name="train-$(printf %02d "$1")"
  syncctl record "demo/sessions/$name" --simulate --fast --duration 20 --seed "1$seed" --participant "$who" \
    --size 320x180 && syncctl align "demo/sessions/$name"
}
export -f one_session
printf '\n\033[1m$ syncctl record demo/sessions/train-NN --simulate --fast ... && syncctl align ...   (12 sessions)\033[0m\n'
seq 12 | xargs -P "$(nproc)" -I{} bash -c 'one_session {} > demo/logs/train-{}.log 2>&1 && echo "  train-{} done" || { tail -3 demo/logs/train-{}.log; exit 255; }'

say syncctl build demo/sessions --out demo/dataset
say syncctl train muscles --data demo/dataset --out demo/run --preset tiny --steps 300
say syncctl evaluate demo/run

printf '\nDone in %d s. Look at:\n' $(( $(date +%s) - begun ))
printf '  %s\n' demo/sessions/first/report.html demo/sessions/first/kit-01.mkv demo/dataset/info.json demo/run/report.html
