"""Three kits in a room, one on a body, a head camera and an eye tracker, from the files that `record` leaves.

Any one kind of evidence may be missing, one match may be false, a kit may have been off for a while, a device may have
nothing to say: the others' maps stay true. Pictures are drawn in the slow tests alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError, SessionError
from recorder.home import record_home
from recorder.samples import read_sound
from recorder.session import Session, open_session
from recorder.world import World
from sync import cli
from sync.add import add_file
from sync.align import METHODS, align
from sync.alignment import Alignment, Method, Pairing, Recording

CLOCKS = {"kit-02", "kit-03", "kit-04", "head", "eye"}
SHORT_S, SEEN_S, LONG_S = 8.0, 30.0, 60.0
LOST_AT_S, LOST_S = 26.0, 5.0


class Asked:
    """Methods that remember what they answered, for sessions that differ in little are aligned again and again."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str, str], Pairing | Exception] = {}
        self.methods = {name: self._remembering(name, way) for name, way in METHODS.items()}

    def true_answers(self) -> list[tuple[str, str, str]]:
        """Method, source and target of what was answered."""
        return [key for key, found in self.answers.items() if isinstance(found, Pairing)]

    def _remembering(self, method: str, way: Method) -> Callable[[Recording, Recording], Pairing]:
        def ask(source: Recording, target: Recording) -> Pairing:
            key = method, source.clock, target.clock
            if key not in self.answers:
                try:
                    self.answers[key] = way(source, target)
                except (EvidenceError, SessionError) as error:
                    self.answers[key] = error
            answer = self.answers[key]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask


@pytest.fixture
def asked(monkeypatch) -> Asked:
    known = Asked()
    monkeypatch.setattr("sync.align.METHODS", known.methods)
    return known


def worlds(session: Session) -> dict[str, ClockMap]:
    """The true maps to world time."""
    document = json.loads((session.root / "truth.json").read_text())
    return {m["source"]: ClockMap.from_json(m) for m in document["clock_maps"]}


def ratios(session: Session, found: Alignment) -> dict[str, float]:
    """Clock -> the largest error of its map over its sigma there."""
    true, worst = worlds(session), {}
    for m in found.maps:
        first = m.pieces[0].start_ns
        t_ns = first + np.linspace(0, m.pieces[-1].stop_ns - first, 101).astype(np.int64)
        true_ns = true[found.reference].inverse(true[m.source].forward(t_ns))
        worst[m.source] = float(np.max(np.abs(m.forward(t_ns) - true_ns) / found.sigma_ns(m.source, t_ns)))
    return worst


def one_false(asked: Asked, kind: str) -> tuple[str, str, str]:
    """Make one answer of a kind false by 0.3 s."""
    key = next(k for k in asked.true_answers() if k[0] == kind)
    pairing = asked.answers[key]
    assert isinstance(pairing, Pairing)
    wrong = tuple(replace(m, offset_ns=m.offset_ns + 300_000_000) for m in pairing.matches)
    asked.answers[key] = replace(pairing, matches=wrong)
    return key


def check_every_kind(session: Session, asked: Asked, kinds: Sequence[str]) -> None:
    """Of `kinds`, any one may be missing, and one answer of any may be false."""
    for kind in ("", *kinds):
        found = align(session, only=[k for k in kinds if k != kind])
        worst = ratios(session, found)
        assert (set(worst), found.excluded) == (CLOCKS, ()), kind
        assert max(worst.values()) < 3, (kind, worst)
    for kind in dict.fromkeys(method for method, _, _ in asked.true_answers()):
        honest = dict(asked.answers)
        method, source, target = key = one_false(asked, kind)
        found = align(session, only=kinds)
        (why,) = found.warnings
        assert f"{source} and {target}: their {method} is excluded" in why
        asked.answers[key] = EvidenceError("not asked")
        assert found.maps == align(session, only=kinds).maps, "a false match has an effect"
        asked.answers = honest


def without_device(session: Session, name: str, root: Path) -> Path:
    """A copy of a session in which one device is not listed."""
    shutil.copytree(session.root, root)
    document = json.loads((root / "session.json").read_text())
    document["devices"] = [d for d in document["devices"] if d["name"] != name]
    (root / "session.json").write_text(json.dumps(document))
    return root


def with_a_deaf_one(session: Session, tmp_path: Path) -> Path:
    """A copy of a session whose kit-04 recorded noise, and no log."""
    root = without_device(session, "kit-04", tmp_path / "deaf")
    noise = np.random.default_rng(0).normal(0, 0.05, 48_000 * 8)
    soundfile.write(tmp_path / "noise.wav", noise, 48_000)
    add_file(root, tmp_path / "noise.wav", "media", name="kit-04")
    return root


def recorded_blind(root: Path, seconds: float) -> Session:
    """A session in which nothing is to be seen: drawing is what takes time."""
    grey = np.full((48, 64, 3), 128, np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "render", lambda _self, _name, t_ns, _shutter=None: (grey for _ in t_ns))
        record_home(root, duration_s=seconds, fast=True, seed=3, width=64, height=48, kits=3, workers=1)
    return open_session(root)


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Session:
    return recorded_blind(tmp_path_factory.mktemp("kits") / "session", SHORT_S)


def test_what_three_kits_heard_and_logged_holds_every_clock(short, asked):
    kits = [d for d in short.devices if d.kind == "kit"]
    assert [(d.name, d.view) for d in kits] == [
        ("kit-01", "v001"),
        ("kit-02", None),
        ("kit-03", "v002"),
        ("kit-04", "v003"),
    ]
    check_every_kind(short, asked, ("tones", "audio", "network"))


def test_a_device_that_heard_nothing_is_refused_by_name(short, tmp_path, capsys):
    root = with_a_deaf_one(short, tmp_path)
    for options, status in ((("--strict",), 1),):
        arguments = [str(root), "--only", "tones", "--only", "network", "--json", *options]
        assert (cli.align.main(arguments, standalone_mode=False) or 0) == status
        document = json.loads(capsys.readouterr().out)
        assert [r["name"] for r in document["refused"]] == ["kit-04"]
        assert {m["source"] for m in document["maps"]} == CLOCKS - {"kit-04"}


@pytest.fixture(scope="module")
def evening(tmp_path_factory, run_syncctl) -> Session:
    root = tmp_path_factory.mktemp("kits") / "session"
    size = ("--size", "320x180")
    result = run_syncctl(
        *("record", root, "--simulate", "--fast", "--duration", SEEN_S, "--seed", 3, "--kits", 3, *size), timeout=900
    )
    assert result.returncode == 0, result.stderr
    return open_session(root)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_with_pictures_any_kind_may_be_missing_or_false(evening, asked):
    check_every_kind(evening, asked, list(METHODS))
    assert {method for method, _, _ in asked.true_answers()} >= {"tones", "audio", "network", "turning"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kit_that_was_off_for_a_while_gets_two_pieces(tmp_path):
    """Its sound lacks five seconds in the middle, as that of a recorder that was restarted and goes on in one file."""
    whole = recorded_blind(tmp_path / "whole", LONG_S)
    kit = whole.device("kit-03")
    sound = read_sound(whole, kit)
    at = round(LOST_AT_S * sound.rate_hz)
    cut = np.concatenate([sound.x[:at], sound.x[at + round(LOST_S * sound.rate_hz) :]])
    soundfile.write(tmp_path / "kit-03.wav", cut, 48_000, subtype="PCM_24")
    root = without_device(whole, "kit-03", tmp_path / "session")
    add_file(root, tmp_path / "kit-03.wav", "media", tone_distance_m=kit.tone_distance_m)
    session = open_session(root)
    found = align(session, only=["tones", "audio", "network"])
    assert {m.source: len(m.pieces) for m in found.maps} == dict.fromkeys(CLOCKS, 1) | {"kit-03": 2}
    late = found.to_reference("kit-03")
    assert late.pieces[0].stop_ns == late.pieces[1].start_ns == pytest.approx(1e9 * at / 48_000, abs=1e9)
    true = worlds(session)
    for t_s in (1.0, 24.0, 28.0, 52.0):
        sample = t_s * 48_000 + (LOST_S * sound.rate_hz if t_s * 48_000 > at else 0)
        kit_ns = sound.t0_ns + round(1e9 * sample / sound.rate_hz)
        t_ns = round(t_s * 1e9)
        error_ns = abs(late.forward(t_ns) - true["kit-01"].inverse(true["kit-03"].forward(kit_ns)))
        assert error_ns < 3 * found.sigma_ns("kit-03", np.array([t_ns]))[0], t_s
