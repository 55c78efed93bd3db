#!/usr/bin/env bash
# The tests against an installed wheel, with the source tree out of the way: only tests, docs and their settings are beside.
# Usage: [PYTHON=python3] tests/install/wheel.sh [PYTEST_ARGUMENT ...]
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# Tests of the source itself: its laws, and a sensor added to a copy of it.
of_the_tree="tests/test_laws.py tests/firmware_host/test_sensor_pages.py"
packages="firmware_host recorder sync ingest models syncctl.py"

mkdir "$work/tree"
git -C "$root" archive HEAD | tar -x -C "$work/tree"
"${PYTHON:-python3}" -m venv "$work/venv"
pip="$work/venv/bin/pip"
$pip install --quiet build
"$work/venv/bin/python" -m build --wheel --outdir "$work/wheel" "$work/tree" >/dev/null
(cd "$work/tree" && rm -rf $packages build ./*.egg-info)
$pip install --quiet --constraint "$root/constraints.txt" torch numpy
$pip install --quiet --constraint "$root/constraints.txt" "$(ls "$work"/wheel/*.whl)[dev]"
$pip install --quiet --constraint "$root/constraints.txt" --no-deps -r "$root/tests/firmware_host/peers/requirements.txt"

cd "$work/tree"
for name in $packages; do
  found="$("$work/venv/bin/python" -c "import ${name%.py} as room; print(room.__file__)")"
  case "$found" in "$work"/venv/*) ;; *) echo "$name is not the wheel's: $found"; exit 1 ;; esac
done
PATH="$work/venv/bin:$PATH" OMP_NUM_THREADS=1 "$work/venv/bin/pytest" -q -n auto --dist loadfile ${of_the_tree//tests/--ignore tests} "$@"
