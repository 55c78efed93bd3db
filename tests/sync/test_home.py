"""The simulated home, aligned by the command a user types, against the truth that the command never reads."""

from __future__ import annotations

import json

import numpy as np
import pytest

from firmware_host.clockmap import ClockMap
from recorder.session import open_session
from sync import alignment as saved
from sync.align import align, truth_curves_ms, truth_errors_ms
from sync.gaze import read_rows


@pytest.fixture(scope="module")
def aligned(recorded_home, tmp_path_factory, run_syncctl):
    import shutil

    root = shutil.copytree(recorded_home, tmp_path_factory.mktemp("aligned") / "session")
    result = run_syncctl("align", root, "--json")
    assert result.returncode == 0, result.stderr
    return root, json.loads(result.stdout), json.loads((root / "truth.json").read_text())


def test_every_clock_is_within_two_milliseconds_and_within_its_own_sigma(aligned):
    root, document, truth = aligned
    assert document["reference"] == "kit-01"
    assert {m["source"] for m in document["maps"]} == {"kit-02", "head", "eye"}
    found = saved.load(root)
    curves = truth_curves_ms(found, truth)
    sigma, error = [], []
    for m in found.maps:
        t_s, error_ms = curves[m.source]
        sigma.append(m.pieces[0].sigma_ns * 1e-6)
        error.append(np.abs(error_ms).max())
        assert error[-1] < min(2.0, 4 * sigma[-1])
        assert abs(error_ms[-1] - error_ms[0]) / (t_s[-1] - t_s[0]) * 1e3 < 10
        assert document["truth_error_ms"][m.source] == pytest.approx(error[-1], abs=1e-3)
    assert np.median(sigma) < 3 * np.median(error)


def test_wall_clocks_hold_the_kits_and_every_clock_says_what_holds_it(aligned):
    root, document, truth = aligned
    assert {e["method"] for e in document["evidence"]} >= {"tones", "network"}
    assert {c["clock"] for c in document["certainty"]} == {m["source"] for m in document["maps"]}
    assert {c["device"]: c["measured"] for c in document["cameras"]} == dict.fromkeys(("kit-01", "head", "eye"), False)
    found = align(open_session(root), only=["network"])
    assert [m.source for m in found.maps] == ["kit-02"]
    error_ms = truth_errors_ms(found, truth)["kit-02"]
    assert 0 < error_ms < 3e-6 * found.maps[0].pieces[0].sigma_ns
    assert {r.name for r in found.refused} == {"head", "eye"}


def test_gaze_is_near_where_the_eye_looked_and_missing_where_it_was(aligned):
    root, document, truth = aligned
    rows = read_rows(root / document["gaze"][0]["file"])
    world = next(ClockMap.from_json(m) for m in truth["clock_maps"] if m["source"] == "head")
    at_ns = np.array(truth["pose"]["t_ns"])
    true = np.array([[np.nan if v is None else v for v in xy] for xy in truth["pose"]["gaze_px"]["head"]])
    error, sigma = [], []
    for row in rows:
        t_ns = world.forward(row.t_ns)
        k = int(np.searchsorted(at_ns, t_ns))
        if row.x_px is None or not 0 < k < len(at_ns) or np.linalg.norm(true[k] - true[k - 1]) > 10:
            continue  # no answer, or the eye jumps and the truth's ten samples a second do not say when
        here = [np.interp(t_ns, at_ns[k - 1 : k + 1], true[k - 1 : k + 1, axis]) for axis in (0, 1)]
        error.append(np.linalg.norm([row.x_px - here[0], row.y_px - here[1]]))
        sigma.append(row.sigma_px)
    assert len(error) > 0.4 * len(rows)
    assert np.median(error) < 0.02 * 320
    assert np.mean(np.array(error) < 3 * np.array(sigma)) > 0.85
    assert document["gaze"][0]["verdicts"]["missing"] > 0


def test_the_answer_does_not_depend_on_the_truth(aligned, run_syncctl):
    root, _, _ = aligned
    before = (root / saved.FILE).read_bytes()
    (root / "truth.json").unlink()
    result = run_syncctl("align", root, "--json")
    assert result.returncode == 0, result.stderr
    assert (root / saved.FILE).read_bytes() == before
    assert "truth_error_ms" not in json.loads(result.stdout)
