"""A whole session: WAV files on clocks of their own, aligned, saved, reported."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from planted_session import DEVICES, SECONDS, recorded, write_session
from planted_sounds import RATE

from firmware_host.clockmap import ClockMap
from firmware_host.errors import ConfigError, EvidenceError, SessionError
from recorder.session import Session, open_session
from recorder.wall import WallReading
from sync import alignment as saved
from sync import correlate
from sync.align import METHODS, align, truth_curves_ms, truth_errors_ms
from sync.run import align_session
from sync.wanted import Prior, parsed_prior


@pytest.fixture(scope="module")
def aligned(session: Session) -> tuple[Session, saved.Alignment, dict[str, float]]:
    found, errors = align_session(session, "room")
    assert errors is not None
    return session, found, errors


def test_every_map_is_right_and_its_sigma_honest(aligned):
    session, found, errors = aligned
    assert {m.source for m in found.maps} == {"body", "head"}
    assert all(m.target == "room" for m in found.maps)
    truth = json.loads((session.root / "truth.json").read_text())
    curves = truth_curves_ms(found, truth)
    for m in found.maps:
        sigma_ms = m.pieces[0].sigma_ns * 1e-6
        assert errors[m.source] < min(2.0, 4 * sigma_ms)
        t_s, error_ms = curves[m.source]
        assert abs(error_ms[-1] - error_ms[0]) / t_s[-1] * 1e3 < 5
        assert sigma_ms < 1.0


def test_the_file_is_the_same_whatever_the_truth_says(aligned, tmp_path):
    session, found, _ = aligned
    before = (session.root / saved.FILE).read_bytes()
    copy = Path(shutil.copytree(session.root, tmp_path / session.root.name))
    (copy / "truth.json").write_text('{"clock_maps": "a lie"}')
    _, errors = align_session(open_session(copy), "room")
    assert errors is None
    assert (copy / saved.FILE).read_bytes() == before
    assert saved.load(session.root) == found


def test_the_report_needs_nothing_from_outside(aligned):
    session, found, _ = aligned
    page = (session.root / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "url(" not in page
    assert "$" not in page
    for m in found.maps:
        assert f"{m.pieces[0].skew_ppm:+.2f} ppm" in page
    assert page.count("<svg") == 1 + 2 + 2 + 4 + 2 + 3  # graph, residuals, truth, before and after, tones, peaks
    assert page.count("<audio") == 4


def test_without_tones_the_sound_is_enough_and_less_sure(aligned, scene, tmp_path):
    _, with_tones, _ = aligned
    session = write_session(tmp_path / "s", {n: recorded(scene, n, tones=False) for n in ("room", "head")}, tmp_path)
    found = align(session, "room")
    truth = json.loads((session.root / "truth.json").read_text())
    sigma_ms = found.maps[0].pieces[0].sigma_ns * 1e-6
    assert truth_errors_ms(found, truth)["head"] < 3 * sigma_ms
    assert sigma_ms > 5 * with_tones.to_reference("head").pieces[0].sigma_ns * 1e-6


def test_a_device_without_evidence_is_named_and_the_others_go_on(scene, tmp_path):
    noise = np.random.default_rng(1).standard_normal(30 * RATE) * 0.05
    sounds = {"room": recorded(scene, "room"), "body": recorded(scene, "body"), "head": noise}
    found = align(write_session(tmp_path / "s", sounds, tmp_path), "room")
    assert [m.source for m in found.maps] == ["body"]
    (refused,) = found.refused
    assert refused.name == "head"
    assert "no start or end tone" in refused.reason
    assert any("head" in w for w in found.warnings)


def test_lost_samples_give_a_map_of_two_pieces(scene, tmp_path):
    head = recorded(scene, "head")
    cut = np.concatenate([head[: 15 * RATE], head[15 * RATE + RATE // 10 :]])
    sounds = {"room": recorded(scene, "room"), "body": recorded(scene, "body"), "head": cut}
    session = write_session(tmp_path / "s", sounds, tmp_path)
    found = align(session, "room")
    assert any("head and room: samples were lost" in w for w in found.warnings)
    body, head = (found.to_reference(n) for n in ("body", "head"))
    assert len(body.pieces) == 1
    first, second = head.pieces
    assert first.stop_ns == second.start_ns == pytest.approx(15e9, abs=1e9)
    worlds = {
        m["source"]: ClockMap.from_json(m) for m in json.loads((session.root / "truth.json").read_text())["clock_maps"]
    }
    for t_s, lost_s in ((2, 0.0), (13, 0.0), (17, 0.1), (36, 0.1)):
        true_ns = worlds["room"].inverse(worlds["head"].forward(round((t_s + lost_s) * 1e9)))
        assert head.forward(round(t_s * 1e9)) == pytest.approx(true_ns, abs=2e6)


def test_one_false_pairing_is_named_and_has_no_effect(session, monkeypatch):
    """Three devices, and one correlation that is wrong: the others decide."""

    def lying(source, target):
        pairing = correlate.match(source, target)
        if {source.clock, target.clock} != {"body", "head"}:
            return pairing
        return replace(pairing, matches=tuple(replace(m, offset_ns=m.offset_ns + 80_000_000) for m in pairing.matches))

    honest = align(session, "room")
    monkeypatch.setitem(METHODS, "audio", lying)
    found = align(session, "room")
    assert any("body and head: their audio is excluded" in w for w in found.warnings)
    for name in ("body", "head"):
        t_ns = found.to_reference(name).pieces[0].start_ns
        assert found.to_reference(name).forward(t_ns) == pytest.approx(honest.to_reference(name).forward(t_ns), abs=3e5)


def test_evidence_that_contradicts_itself_refuses_the_device(scene, tmp_path):
    """Tones that were heard a tenth of a second later than the speech around them: which is right, nobody knows."""
    sounds = {n: recorded(scene, n) for n in ("room", "body")}
    sounds["head"] = recorded(scene, "head", late_s=0.1)
    found = align(write_session(tmp_path / "s", sounds, tmp_path), "room")
    assert [m.source for m in found.maps] == ["body"]
    assert re.search(r"tones and their audio disagree by \+?-?1\d\d\.\d ms", found.refused[0].reason)


def test_only_some_evidence_and_only_some_devices(session):
    found = align(session, "room", only=["tones", "head"])
    assert {p.method for p in found.pairings} == {"tones"}
    assert [m.source for m in found.maps] == ["head"]
    assert found.refused == ()
    with pytest.raises(ConfigError, match="unknown device or kind of evidence 'tone'; did you mean 'tones'"):
        align(session, "room", only=["tone"])


def test_a_prior_holds_what_nothing_else_does_and_is_believed(session, scene, tmp_path):
    noise = np.random.default_rng(1).standard_normal(30 * RATE) * 0.05
    lonely = write_session(tmp_path / "s", {"room": recorded(scene, "room"), "head": noise}, tmp_path)
    found = align(lonely, "room", only=["tones"], priors=[Prior("head", 1.4, 0.2)])
    (head,) = found.maps
    assert head.forward(0) == pytest.approx(1.4e9, abs=1e3)
    assert head.pieces[0].sigma_ns == pytest.approx(2e8, rel=0.01)
    assert any("nothing but the prior holds it" in w for w in found.warnings)
    found = align(session, "room", only=["tones"], priors=[Prior("head", 9.0, 0.5)])
    assert {(p.source, p.target) for p in found.excluded} >= {("head", "room"), ("body", "head")}
    assert found.to_reference("head").forward(0) == pytest.approx(9e9, abs=1e6)


@pytest.mark.parametrize("text", ["head", "head=", "head=x", "head=1±0", "head=nan", "=3", "head=1±-2", "head=inf"])
def test_a_prior_that_is_none_is_a_sentence(text):
    with pytest.raises(ConfigError, match="is no prior; write DEVICE=SECONDS"):
        parsed_prior(text)


def test_priors_are_read_as_people_write_them(session):
    assert parsed_prior("head=-3.5") == Prior("head", -3.5, 0.5)
    assert parsed_prior("head=3.2±0.1") == parsed_prior("head = 3.2+-0.1") == Prior("head", 3.2, 0.1)
    for priors in ([Prior("room", 1)], [Prior("head", 1), Prior("head", 2)]):
        with pytest.raises(ConfigError, match="one prior for every other device"):
            align(session, "room", only=["tones"], priors=priors)


def test_sigma_over_time_and_the_evidence_are_in_the_file(aligned):
    session, found, _ = aligned
    document = json.loads((session.root / saved.FILE).read_text())
    assert [c["clock"] for c in document["certainty"]] == [m.source for m in found.maps]
    for c, m in zip(found.certainty, found.maps, strict=True):
        sigma = found.sigma_ns(m.source, np.array([m.pieces[0].start_ns, m.pieces[0].stop_ns]))
        assert max(c.sigma_ns) == m.pieces[0].sigma_ns == pytest.approx(max(sigma))
        assert min(c.sigma_ns) < max(c.sigma_ns)
        assert {found.pairings[h.number].method for h in c.held} <= {"tones", "audio"}
        assert c.held
    assert {s.method for s in found.silent} == set()
    assert all(0 <= p.evidence["strain"] < 4 for p in found.pairings)
    assert found.cameras == ()


def kit(session: Session, name: str, sound: str, monotonic_s: int, wall_s: float) -> Session:
    """A kit that recorded one of the session's sounds, on a clock that began at boot, with a log of kept wall times."""
    device = session.device(sound)
    stream = replace(device.of_kind("audio")[0], t0_ns=monotonic_s * 10**9)
    with (session.root / f"{name}.log.jsonl").open("w") as log:
        for s in range(int(SECONDS) - 2):
            t_ns = (monotonic_s + s) * 10**9
            wall_ns = 10**18 + round((wall_s + s) * 1e9)
            reading = WallReading(t_ns, wall_ns, t_ns, 900, "chrony", 2_000_000, 40_000)
            log.write(json.dumps({"type": "clock", **asdict(reading)}) + "\n")
    made = replace(device, name=name, kind="kit", clock=name, streams=(stream,), log=f"{name}.log.jsonl")
    return session.with_device(made)


def test_kits_without_a_sound_in_common_are_aligned_by_their_wall_clocks(scene, tmp_path):
    """Three kits, one in a room of its own; it was restarted, so it is there twice, on two clocks."""
    noise = np.random.default_rng(2).standard_normal((2, 30 * RATE)) * 0.05
    sounds = {"room": recorded(scene, "room"), "body": noise[0], "head": noise[1]}
    session = write_session(tmp_path / "s", sounds, tmp_path)
    session = kit(
        kit(kit(session, "kit-01", "room", 500, 0.0), "kit-03", "body", 90_000, 2.0), "kit-03-2", "head", 3, 9.0
    )
    session = replace(session, devices=session.devices[3:])
    found = align(session, only=["network", "tones"])
    assert found.reference == "kit-01"
    first, again = (found.to_reference(c) for c in ("kit-03", "kit-03-2"))
    assert first.forward(90_000 * 10**9) == pytest.approx(502e9, abs=1e6)
    assert again.forward(3 * 10**9) == pytest.approx(509e9, abs=1e6)
    assert 1e6 < first.pieces[0].sigma_ns < 1e7
    assert {p.method for p in found.pairings} == {"network"}


def test_silence_everywhere_is_one_sentence(tmp_path):
    silent = {n: np.zeros(20 * RATE) for n in ("room", "head")}
    with pytest.raises(EvidenceError, match=r"cannot be aligned.*silent"):
        align(write_session(tmp_path / "s", silent, tmp_path), "room")


def test_a_session_of_one_device_cannot_be_aligned(scene, tmp_path):
    with pytest.raises(EvidenceError, match="one clock"):
        align(write_session(tmp_path / "s", {"room": recorded(scene, "room")}, tmp_path))


def test_an_empty_session_and_an_unknown_reference_are_sentences(session, tmp_path):
    with pytest.raises(SessionError, match="no devices"):
        align(Session(tmp_path, "empty", ()))
    with pytest.raises(SessionError, match="did you mean 'head'"):
        align(session, "haed")


def test_a_damaged_alignment_is_a_sentence(aligned, tmp_path):
    with pytest.raises(SessionError, match="not aligned yet"):
        saved.load(tmp_path)
    (tmp_path / saved.FILE).write_text('{"version": 1}')
    with pytest.raises(SessionError, match="damaged"):
        saved.load(tmp_path)
    (tmp_path / saved.FILE).write_text('{"version": 99}')
    with pytest.raises(SessionError, match="version 99"):
        saved.load(tmp_path)
    with pytest.raises(EvidenceError, match="nobody is not aligned"):
        aligned[1].to_reference("nobody")


def test_devices_on_one_clock_are_one_node(session):
    twin = replace(session.device("head"), name="twin")
    found = align(session.with_device(twin), "room")
    assert len(found.maps) == len(DEVICES) - 1
