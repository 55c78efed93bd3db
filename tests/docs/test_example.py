"""Sixty lines that know nothing of syncctl read what syncctl reads."""

from __future__ import annotations

import ast
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from firmware_host.clockmap import ClockMap, Piece
from recorder.samples import frame_times_ns, native_series
from recorder.session import open_session
from sync.alignment import Alignment

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "read_without_syncctl.py"
EXACT = {"amg8833", "ak9753", "mlx90393", "isl29125", "bno055"}
MAPS = (
    ClockMap.affine("head", "kit-01", target_ns=1_000_000_500_000_000, skew_ppm=-12.0),
    ClockMap("kit-02", "kit-01", (Piece(0, 7, 41.5), Piece(10**12, 10**12 + 5_000_000, -3.25, start_ns=270 * 10**9))),
)


@pytest.fixture(scope="module")
def example() -> dict:
    return runpy.run_path(str(EXAMPLE))


def test_it_is_short_and_needs_nothing_of_ours():
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) <= 60
    tree = list(ast.walk(ast.parse(text)))
    imported = {name.name for node in tree if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in tree if isinstance(node, ast.ImportFrom)}
    assert imported == {"json", "sys", "pathlib", "av", "numpy"}


def test_samples_are_those_that_our_own_reader_gives(example: dict, recorded_home: Path):
    session = open_session(recorded_home)
    compared = set()
    for device in (d for d in session.devices if d.kind == "kit"):
        tracks = example["rows"](session.path(device.file))
        ours = native_series(session, device)
        manifest = next(d for d in document(recorded_home)["devices"] if d["name"] == device.name)
        for stream in (s for s in manifest["streams"] if s["kind"] == "sensor"):
            t_ns, values = example["samples"](stream, tracks, manifest["settings"])
            known = ours[stream["name"]]
            assert np.array_equal(t_ns, known.t_ns)
            if stream["model"] in EXACT and known.x.shape[1]:
                flat = values.reshape(len(t_ns), -1)[:, : known.x.shape[1]]
                np.testing.assert_allclose(flat, known.x, rtol=1e-5, atol=1e-6)
            if stream["model"] == "tsl2591":
                np.testing.assert_allclose(values.ravel(), known.x[:, 0], rtol=1e-5)
            compared.add(stream["model"])
    assert compared == EXACT | {"tsl2591", "bme680"}


def test_frames_have_the_same_times(example: dict, recorded_home: Path):
    session = open_session(recorded_home)
    device = session.device("kit-01")
    stream = next(s for s in document(recorded_home)["devices"][0]["streams"] if s["kind"] == "video")
    found = example["frame_times"](stream, example["rows"](session.path(device.file)))
    assert np.array_equal(found, frame_times_ns(session, device))


@pytest.mark.parametrize("clock", ["head", "kit-02", "kit-01"])
def test_clock_maps_are_followed_to_the_nanosecond(example: dict, clock: str):
    alignment = Alignment("kit-01", MAPS, (), ())
    t_ns = np.random.default_rng(0).integers(10**11, 10**12, 5000)
    found = example["on_reference"](t_ns, clock, alignment.to_json())
    assert np.array_equal(found, alignment.to_reference(clock).forward(t_ns))


def test_it_prints_a_line_for_each_stream(home: Path):
    Alignment("kit-01", MAPS, (), ()).save(home)
    said = subprocess.run([sys.executable, EXAMPLE, home], capture_output=True, text=True, check=True).stdout
    for _, stream in open_session(home).streams("sensor"):
        assert f"{stream.name} [" in said


def document(root: Path) -> dict:
    """The manifest as any JSON parser has it."""
    return json.loads((root / "session.json").read_text())
