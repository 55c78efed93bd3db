#!/usr/bin/env bash
# The tests against an installed wheel, with the source tree out of the way: only tests, docs and their settings are beside.
# Usage: [PYTHON=python3] tests/install/wheel.sh [PYTEST_ARGUMENT ...]
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
packages="firmware_host recorder sync ingest models syncctl.py"

mkdir "$work/tree"
git -C "$root" archive HEAD | tar -x -C "$work/tree"
"${PYTHON:-python3}" -m venv "$work/venv"
pip="$work/venv/bin/pip"
$pip wheel --quiet --no-deps --wheel-dir "$work/wheel" "$work/tree"
(cd "$work/tree" && rm -rf $packages build ./*.egg-info)
$pip install --quiet --constraint "$root/constraints.txt" torch numpy
$pip install --quiet --constraint "$root/constraints.txt" "$(ls "$work"/wheel/*.whl)[dev]"
$pip install --quiet --constraint "$root/constraints.txt" --no-deps -r "$root/tests/firmware_host/peers/requirements.txt"

cd "$work/tree"
for name in $packages; do
  found="$("$work/venv/bin/python" -c "import ${name%.py} as room; print(room.__file__)")"
  case "$found" in "$work"/venv/*) ;; *) echo "$name is not the wheel's: $found"; exit 1 ;; esac
done
PATH="$work/venv/bin:$PATH" OMP_NUM_THREADS=1 "$work/venv/bin/pytest" -q -n auto --dist loadfile "$@"
