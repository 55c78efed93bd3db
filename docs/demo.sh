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

say syncctl record demo/sessions/first --simulate --duration 40 --seed 1 --participant p01
say syncctl inspect demo/sessions/first
say syncctl align demo/sessions/first

# Twelve short sessions of four people for training, as many at a time as there are cores.
say syncctl simulate docs/plans/demo.toml --out demo/sessions/train
one_alignment() {
  syncctl align "demo/sessions/train/$1" > "demo/logs/train-$1.log" 2>&1 && echo "  $1 aligned" ||
    { tail -3 "demo/logs/train-$1.log"; exit 255; }
}
export -f one_alignment
printf '\n\033[1m$ syncctl align demo/sessions/train/NNNN   (12 sessions)\033[0m\n'
seq -f %04g 0 11 | xargs -P "$(nproc)" -I{} bash -c 'one_alignment {}'

say syncctl build demo/sessions/first demo/sessions/train --out demo/dataset
say syncctl train muscles --data demo/dataset --out demo/run --preset tiny --steps 250
say syncctl evaluate demo/run

printf '\nDone in %d s. Look at:\n' $(( $(date +%s) - begun ))
printf '  %s\n' demo/sessions/first/report.html demo/sessions/first/kit-01.mkv demo/dataset/info.json demo/run/report.html
