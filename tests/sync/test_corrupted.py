"""Sessions that something bit: one sentence or a flagged result, whatever it was, and no traceback."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from planted_sounds import RATE, noisy, speech, with_tones

from firmware_host.errors import SessionError, SyncctlError
from recorder.session import Device, Session, Stream, open_session
from recorder.wall import WallReading
from sync import cli
from sync.alignment import load

SECONDS = 8
QUICK = ("--only", "tones", "--only", "network")
ODD = (float("nan"), -1, 0, 2**70, "seven", None, [], {}, 1e308, True, "../../x", "")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Two kits and a camera's sound, eight seconds with both tones, logs and a truth."""
    root = tmp_path_factory.mktemp("whole") / "session"
    root.mkdir()
    x = with_tones(noisy(speech(SECONDS + 1, 3), 20, 1), {"start": 1.5, "end": 5.5})
    devices = []
    for k, name in enumerate(("kit-01", "kit-02", "head")):
        soundfile.write(root / f"{name}.wav", x[k * RATE // 4 :][: SECONDS * RATE], RATE, subtype="PCM_16")
        t0_ns = (k + 1) * 10**12
        kit = name != "head"
        stream = Stream("microphone", "audio", t0_ns if kit else 0, float(RATE))
        log = f"{name}.log.jsonl" if kit else None
        kind, role = ("kit", "body") if kit else ("media", "other")
        devices.append(Device(name, kind, role, name, f"{name}.wav", (stream,), log=log, wearer="p01"))
        if log:
            at = [t0_ns + s * 10**9 for s in range(SECONDS)]
            wall = [WallReading(t, t - t0_ns + 10**18 + k * 250_000_000, t, 900, "chrony", 10**6, 10**4) for t in at]
            lines = [json.dumps({"type": "clock", **asdict(r)}) for r in wall]
            (root / log).write_text("\n".join(lines) + "\n")
    Session(root, "s", tuple(devices), sealed=True).save()
    (root / "truth.json").write_text(json.dumps({"clock_maps": []}))
    return root


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Every place in a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [p for key, v in inner for p in places(v, (*path, key))]


def bite(root: Path, rng: np.random.Generator) -> str:
    """Damage one thing in a session folder; says what."""
    files = sorted(p for p in root.iterdir() if p.is_file())
    path = files[rng.integers(len(files))]
    how = rng.choice(["cut", "flip", "gone", "empty", "odd", "odd", "rate", "backwards"])
    data = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(data[: rng.integers(len(data))])
    elif how == "flip":
        for k in rng.integers(len(data), size=min(40, len(data))):
            data[k] ^= 1 << rng.integers(8)
        path.write_bytes(data)
    elif how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "odd":
        path = root / "session.json"
        document = json.loads(path.read_text())
        place = places(document)[rng.integers(len(places(document)))]
        target = document
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = ODD[rng.integers(len(ODD))]
        path.write_text(json.dumps(document))
        return f"odd {place}: {target[place[-1]]!r}"
    elif how == "rate":
        path = root / "head.wav"
        data = bytearray(path.read_bytes())
        data[24:28] = int(rng.choice([0, 1, 300, 44_100, 2**31])).to_bytes(4, "little")
        path.write_bytes(data)
    else:
        path = root / "kit-02.log.jsonl"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[::-1], lines[2].replace("1000", "NaN"), "{}", "[1]", "null"]))
    return f"{how} {path.name}"


def outcome(root: Path, *options: str) -> str:
    """What `syncctl align` says; anything but a sentence or a result is an error."""
    try:
        status = cli.align.main([str(root), "--json", "--strict", *options], standalone_mode=False)
    except SyncctlError as error:
        sentence = str(error)
        assert sentence
        assert "\n" not in sentence
        return "sentence"
    found = load(root)
    assert status == int(bool(found.refused))
    for m in found.maps:
        assert all(np.isfinite([p.sigma_ns, p.skew_ppm]).all() and p.sigma_ns > 0 for p in m.pieces)
    return "flagged" if found.warnings or found.refused else "clean"


def bitten(whole: Path, tmp_path: Path, seeds: range, *options: str) -> set[str]:
    seen = set()
    for seed in seeds:
        root = Path(shutil.copytree(whole, tmp_path / f"s{seed}"))
        rng = np.random.default_rng(seed)
        what = bite(root, rng)
        try:
            seen.add(outcome(root, *options))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {what}") from error
        shutil.rmtree(root)
    return seen


def test_the_whole_session_is_aligned(whole, tmp_path):
    root = Path(shutil.copytree(whole, tmp_path / "s"))
    assert outcome(root, *QUICK) in {"clean", "flagged"}
    assert {m.source for m in load(root).maps} == {"kit-02", "head"}


def test_a_sound_that_is_gone_is_told_where_another_evidence_holds_the_kit(whole, tmp_path):
    root = Path(shutil.copytree(whole, tmp_path / "s"))
    (root / "kit-02.wav").unlink()
    assert outcome(root, *QUICK) == "flagged"
    found = load(root)
    assert {m.source for m in found.maps} == {"kit-02", "head"}
    assert any(w.startswith("kit-02: ") and "kit-02.wav does not exist" in w for w in found.warnings)


def test_no_value_anywhere_in_the_manifest_is_more_than_a_sentence(whole, tmp_path):
    """Every place of the manifest, each odd value: opened, or refused with the place."""
    manifest = json.loads((whole / "session.json").read_text())
    refused = 0
    for place in places(manifest):
        for odd in ODD:
            document = json.loads(json.dumps(manifest))
            target = document
            for key in place[:-1]:
                target = target[key]
            target[place[-1]] = odd
            (tmp_path / "session.json").write_text(json.dumps(document))
            try:
                opened = open_session(tmp_path)
            except SessionError:
                refused += 1
                continue
            for d in opened.devices:
                assert all(isinstance(x, str) for x in (d.name, d.clock, d.file))
                assert all(isinstance(s.t0_ns, int) and np.isfinite(s.rate_hz) for s in d.streams)
    assert refused > 300


def test_a_dozen_bites_end_in_a_sentence_or_a_flag(whole, tmp_path):
    assert bitten(whole, tmp_path, range(12), *QUICK) >= {"sentence", "flagged"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_hundreds_of_bites_with_all_evidence(whole, tmp_path):
    assert bitten(whole, tmp_path, range(1000, 1300)) >= {"sentence", "flagged"}
