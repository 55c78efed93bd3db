#!/usr/bin/env bash
# A wheel in a clean environment with what a Pi has and no more: no torch, OpenCV, pyarrow or MuJoCo. It must record (a
# film stands for the camera), inspect and serve, with the source tree out of the way. WHEEL may name a wheel that is there.
# Usage: tests/install/light.sh [WHEEL]
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
work="$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

wheel="${1:-}"
if [ -z "$wheel" ]; then
  cp -r "$root"/{pyproject.toml,README.md,LICENSE,syncctl.py,firmware_host,recorder,sync,ingest,models} "$work"/
  python3 -m pip wheel --quiet --no-deps --wheel-dir "$work/wheel" "$work"
  wheel="$(ls "$work"/wheel/*.whl)"
fi
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --constraint "$root/constraints.txt" "$wheel"
cd "$work"
rm -rf firmware_host recorder sync ingest models syncctl.py
export PATH="$work/venv/bin:$PATH" PYTHONPATH=

python - <<'EOF'
import importlib.util
from pathlib import Path

heavy = [name for name in ("torch", "cv2", "pyarrow", "mujoco") if importlib.util.find_spec(name)]
assert not heavy, f"a kit's environment has {heavy}"
import recorder.serve

page = Path(recorder.serve.__file__).parent / "page.html"
assert page.is_file() and "site-packages" in str(page), f"the wheel lacks {page}"
import numpy as np
from recorder.mux import write_mp4

write_mp4(Path("film.mp4"), (np.full((120, 160, 3), k, np.uint8) for k in range(90)), fps=30, size=(160, 120))
EOF
cat > kit.toml <<'EOF'
name = "kit-01"
role = "third"

[camera]
device = "film.mp4"
width = 160
height = 120
EOF
syncctl --version
syncctl doctor --config kit.toml || true # whatever this machine lacks, it says so
syncctl record sessions/first --config kit.toml --duration 3
syncctl inspect sessions/first | tee inspect.txt
grep -q camera inspect.txt
syncctl serve sessions --config kit.toml --port 8690 2>serve.txt &
python - <<'EOF'
import json, time, urllib.request

for _ in range(100):
    try:
        status = json.load(urllib.request.urlopen("http://127.0.0.1:8690/status", timeout=5))
        page = urllib.request.urlopen("http://127.0.0.1:8690/", timeout=5).read()
        break
    except OSError:
        time.sleep(0.3)
assert status["kit"] == "kit-01" and b"<html" in page, status
print("served:", status["state"])
EOF
while read -r command; do # what a kit has not is said in one sentence
  # shellcheck disable=SC2086
  syncctl $command 2>said.txt </dev/null && { echo "syncctl $command should need more"; exit 1; }
  grep -q "install syncctl\[all\]" said.txt || { cat said.txt; exit 1; }
done <<'EOF'
align sessions/first
build sessions --out dataset
train muscles --data dataset --out run
evaluate run
EOF
echo "a kit's set records, inspects and serves"
