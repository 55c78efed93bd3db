"""Flaws of the simulated devices: as large as asked, none where switched off, and told in one documented table."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest

from firmware_host.clockmap import ClockMap
from firmware_host.errors import ConfigError
from recorder.flaws import (
    CameraFlaws,
    ClockFlaws,
    Flaws,
    MicrophoneFlaws,
    read_flaws,
    restarted,
    times_of,
    wandering,
)
from recorder.homeplan import SOUND_HZ, plan_home
from recorder.imu_flaws import ImuFlaws
from recorder.simulate import Prepared
from recorder.timeline import SoundTimeline
from recorder.watch import Notice, with_notices
from recorder.world import WorldPlan
from recorder.world.acoustics import Acoustics
from recorder.world.optics import PINHOLE, Lens
from recorder.world.scene import camera_model
from recorder.world.tracker import TrackerFlaws

DOCS = Path(__file__).parents[2] / "docs" / "flaws.toml"
NONE = Flaws(
    ClockFlaws(0.0, 0.0, 900.0, 0.0),
    MicrophoneFlaws(0.0, 0.0, -200.0, 0.0, 0.0, 0.0),
    CameraFlaws(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0),
    ImuFlaws(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    TrackerFlaws(0.0, 0.0, 0.0),
    Acoustics(0.0, 0.0),
)
WORLD = WorldPlan(duration_s=60, seed=4, width=64, height=36)


def test_the_documented_table_is_what_is_done_without_one():
    assert read_flaws(DOCS) == Flaws()
    named = {group: set(values) for group, values in tomllib.loads(DOCS.read_text()).items()}
    assert named == {group.name: set(asdict(Flaws())[group.name]) for group in fields(Flaws)}


def test_every_default_is_told_with_a_reason():
    lines = DOCS.read_text().splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith("#"):
            before = lines[number - 1]
            assert before.startswith("#") or "=" in before, f"{line} has no reason above it"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[clock]\nskew_pm = 3", "skew_ppm"),
        ("[camera]\ndropped = 0.5", "line 2.*less than 0.5"),
        ("[imu]\n\nbias_dps = -1", "line 3.*0 or more"),
        ("[camera]\nbarrel = 0.2", "fold"),
        ("[camera]\nrolling_ms = 40", "no longer than 33 ms"),
        ("[camera]\nkit_bits = 0", "loses hardly anything"),
        ("[clock]\nwander_period_s = 0", "wander_ppm"),
        ("[camera]\nrestarts_an_hour = 1\nrestart_s = 1", "line 3.*silent for more than 2 s"),
        ("[microphone]\ngain_db = 'loud'", "a number"),
    ],
)
def test_what_no_device_can_be_is_refused_with_its_line(tmp_path: Path, text: str, said: str):
    (tmp_path / "flaws.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_flaws(tmp_path / "flaws.toml")


def test_what_is_switched_off_is_off():
    plan = plan_home(WORLD, 2, NONE)
    assert {p.skew_ppm for clock in plan.clocks.values() for p in clock.pieces} == {0.0}
    assert set(plan.sample_ppm.values()) == {0.0}
    assert set(plan.wall_error_ns.values()) == {0}
    frames = plan.frame_ns("kit-01")
    assert np.abs(np.diff(frames) - 1e9 / 30).max() <= 1
    assert len(frames) == 60 * 30 - 2


def test_clocks_are_as_wrong_as_they_may_be():
    worse = replace(NONE, clock=replace(NONE.clock, skew_ppm=400.0))
    skews = [p.skew_ppm for seed in range(20) for c in plan_home(replace(WORLD, seed=seed), 1, worse).clocks.values()
             for p in c.pieces]  # fmt: skip
    assert 300 < max(map(abs, skews)) <= 400
    assert min(skews) < 0 < max(skews)


@pytest.mark.parametrize("period_s", [60.0, 900.0])
def test_a_wandering_clock_is_one_line_without_a_jump(period_s: float):
    even = ClockMap.affine("kit-02", "world", origin_ns=5_000, target_ns=77, skew_ppm=12.0)
    flaws = ClockFlaws(wander_ppm=2.0, wander_period_s=period_s)
    clock = wandering(even, flaws, 1.0, 3600.0)
    assert clock.forward(5_000) == 77
    for before, after in zip(clock.pieces[:-1], clock.pieces[1:], strict=True):
        edge = after.start_ns
        assert abs(clock.forward(edge) - clock.forward(edge - 1) - 1) <= 1
        assert before.stop_ns == edge
    t = np.linspace(0, 3.6e12, 5001).astype(np.int64)
    assert np.abs(clock.inverse(clock.forward(t)) - t).max() <= 1
    off_ns = (clock.forward(t) - even.forward(t)).astype(float)
    bound_ns = 2e-6 * period_s / np.pi * 1e9
    assert 0.5 * bound_ns < np.ptp(off_ns) < 1.2 * bound_ns, "as much as its skew sums up to in half a period"


def test_no_wander_is_the_clock_itself():
    even = ClockMap.affine("a", "b", skew_ppm=3.0)
    assert wandering(even, ClockFlaws(wander_ppm=0.0), 0.0, 60.0) == even


def test_a_film_joined_of_parts_goes_on_later_at_each_of_them():
    even = ClockMap.affine("head", "world", target_ns=300_000_000, skew_ppm=20.0)
    wanders = wandering(even, ClockFlaws(wander_ppm=1.0), 0.3, 120.0)
    for clock in (even, wanders):
        late = restarted(clock, [31.5, 70.0], 8.0)
        t = np.array([0.0, 31.4, 31.6, 69.9, 70.1, 119.0])
        t_ns = np.rint(t * 1e9).astype(np.int64)
        assert ((late.forward(t_ns) - clock.forward(t_ns)) / 1e9).tolist() == [0, 0, 8, 8, 16, 16]
        assert np.abs(late.inverse(late.forward(t_ns)) - t_ns).max() <= 1
        assert [p.start_ns for p in late.pieces[1:]] == [p.stop_ns for p in late.pieces[:-1]]


def test_restarts_come_as_often_as_asked_and_not_while_tones_sound():
    counts = [len(times_of(60.0, 120.0, np.random.default_rng(k))) for k in range(200)]
    assert np.mean(counts) == pytest.approx(2.0, abs=0.3)
    at = [t for k in range(50) for t in times_of(60.0, 120.0, np.random.default_rng(k))]
    assert 5.0 <= min(at) < 15.0
    assert 105.0 < max(at) <= 115.0
    assert times_of(0.0, 120.0, np.random.default_rng(0)) == []


def test_only_films_that_were_not_ours_are_joined_of_parts():
    plan = plan_home(WORLD, 2, replace(NONE, clock=replace(NONE.clock, restarts_an_hour=300.0)))
    jumps = {name: len(clock.pieces) - 1 for name, clock in plan.clocks.items()}
    assert jumps["kit-02"] == jumps["kit-03"] == 0
    assert jumps["head"] > 0
    assert jumps["eye"] > 0


def test_a_kit_s_camera_gives_nothing_until_it_is_opened_again():
    quiet = replace(NONE, camera=replace(NONE.camera, restarts_an_hour=120.0))
    gaps = np.diff(plan_home(WORLD, 1, quiet).frame_ns("kit-01"))
    long = gaps[gaps > 1e8]
    assert len(long) >= 1
    assert np.all(np.abs(long / 1e9 - 3.5) < 0.05)


def test_a_microphone_that_is_opened_again_keeps_its_place_in_time(tmp_path: Path):
    """Its track has zeros for what was not heard, as a kit's own watch makes them."""
    flaws = replace(NONE, microphone=replace(NONE.microphone, restarts_an_hour=120.0))
    counts = np.arange(SOUND_HZ * 60, dtype=np.int32) % 8_000_000
    np.save(tmp_path / "kit-01.sound.npy", counts)
    prepared = Prepared(plan_home(WORLD, 1, flaws), tmp_path, {}, {})
    timeline, heard = SoundTimeline(SOUND_HZ), []
    said = []
    for item in with_notices(prepared.blocks("kit-01", 0), "microphone"):
        if isinstance(item, Notice):
            said.append(item.kind)
            heard += timeline.fall_silent() if item.kind == "stalled" else []
        else:
            heard += timeline.add(item)
    heard += timeline.finish()
    assert said == ["stalled", "reopened"] * (len(said) // 2)
    assert len(said) >= 2
    for block in heard:
        if block.x.any():
            assert abs(int(block.x[0]) - block.first % 8_000_000) <= 2, "as many zeros as samples were lost"
    given = sum(len(b.x) for b in prepared.blocks("kit-01", 0))
    silent = sum(len(b.x) for b in heard if not b.x.any())
    assert silent > 3 * SOUND_HZ
    assert silent == pytest.approx(len(counts) - given, abs=1024)


def test_cameras_of_a_home_have_the_lens_that_was_asked_for():
    bent = plan_home(WORLD, 1, replace(NONE, camera=replace(NONE.camera, barrel=0.04))).world
    assert camera_model(bent, "head").lens == Lens(k1=-0.04)
    assert camera_model(plan_home(WORLD, 1, NONE).world, "head").lens == PINHOLE


def test_dropped_pictures_are_missing_and_the_others_where_they_were():
    some = replace(NONE, camera=replace(NONE.camera, dropped=0.1))
    whole, left = (plan_home(WORLD, 1, flaws).frame_ns("kit-01") for flaws in (NONE, some))
    assert set(left) < set(whole)
    assert 1 - len(left) / len(whole) == pytest.approx(0.1, abs=0.03)


def test_lost_samples_are_told_as_a_driver_tells_them_and_the_recorder_finds_how_many(tmp_path: Path):
    often = replace(NONE, microphone=MicrophoneFlaws(0.0, 0.0, -200.0, 0.3, overflows_an_hour=180.0, overflow_ms=170.0))
    plan = plan_home(WORLD, 1, often)
    counts = np.arange(1, 60 * SOUND_HZ, dtype=np.int32)
    np.save(tmp_path / "kit-01.sound.npy", counts)
    blocks = list(Prepared(plan, tmp_path, {}, {}).blocks("kit-01", 0))
    lost = [b for b in blocks if b.overflowed]
    assert lost
    timeline, placed = SoundTimeline(SOUND_HZ), []
    for block in blocks:
        placed += timeline.add(block)
    placed += timeline.finish()
    x = np.concatenate([b.x for b in placed])
    assert len(timeline.take_gaps()) == len(lost)
    assert abs(int(x[-1]) - len(x)) < SOUND_HZ // 1000, "the index still is the time"
