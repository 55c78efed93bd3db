"""GoPro telemetry by the format's description comes back with the times that were planted; chapters are one film."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_host.errors import SessionError
from recorder.demux import container_frame_times_ns, video_frames
from recorder.samples import frame_times_ns, read_sound
from recorder.session import Stream, open_session
from sync.add import add_file
from sync.filmed import filmed
from sync.importers import gopro, gpmf
from sync.importers.found import place, series_table
from sync.motion.imu import turnings
from tests.sync.importers.made_recordings import film

GOPRO = Path(__file__).parents[3].parent / "shared" / "data" / "gopro"
real = pytest.mark.skipif(not GOPRO.is_dir(), reason="the shared recordings are not here")
SECOND_NS = 1_000_000_000
FRAMES_NS = np.arange(300) * SECOND_NS // 30


def klv(key: str, kind: str, size: int, count: int, data: bytes) -> bytes:
    kind_byte = kind.encode("latin1") if kind else b"\0"
    head = key.encode() + kind_byte + bytes([size]) + struct.pack(">H", count)
    return head + data + bytes(-len(data) % 4)


def nest(key: str, *inside: bytes) -> bytes:
    data = b"".join(inside)
    return klv(key, "", 1, len(data), data)


def words(key: str, told: str) -> bytes:
    return klv(key, "c", 1, len(told.encode("latin1")), told.encode("latin1"))


def stream(key: str, x: np.ndarray, total: int, *, stamp_us: int | None = None, axes: str | None = None) -> bytes:
    """One stream of one payload; x: (n, C) in steps of a hundredth."""
    parts = [] if stamp_us is None else [klv("STMP", "J", 8, 1, struct.pack(">Q", stamp_us))]
    parts += [klv("TSMP", "L", 4, 1, struct.pack(">L", total)), words("STNM", key.lower()), words("SIUN", "rad/s")]
    parts += [] if axes is None else [words("ORIN", axes)]
    counts = np.rint(100 * x).astype(">i2")
    return nest(
        "STRM",
        *parts,
        klv("SCAL", "s", 2, 1, struct.pack(">h", 100)),
        klv(key, "s", 2 * x.shape[1], len(x), counts.tobytes()),
    )


def payloads(rate_hz: float, *, stamped: bool, first_us: int = 80_000, axes: str | None = "XzY") -> list:
    """Ten seconds of a gyroscope whose first sample is 5 ms before the first picture; values count the samples."""
    taken_s = np.arange(round(10.0 * rate_hz)) / rate_hz - 0.005
    out, sent = [], 0
    for second in range(10):
        n = int(np.sum(taken_s < second + 1)) - sent
        if not stamped and second < 9:
            n -= n % 7  # batches
        x = np.stack([np.arange(sent, sent + n), np.full(n, 2000), np.full(n, 3000)], axis=1) / 100
        at_us = first_us + round(1e6 * taken_s[sent]) if stamped else None
        sent += n
        shut_us = first_us + second * 1_000_000 if stamped else None
        shut = stream("SHUT", np.full((30, 1), 0.01), 30 * (second + 1), stamp_us=shut_us)
        gyro = stream("GYRO", x, sent, stamp_us=at_us, axes=axes)
        out.append((second * SECOND_NS, SECOND_NS, nest("DEVC", words("DVNM", "Camera"), gyro, shut)))
    return out


@pytest.mark.parametrize("rate_hz", [197.45, 396.9])
@pytest.mark.parametrize(("stamped", "within_ms"), [(True, 0.1), (False, 25.0)])
def test_every_sample_gets_the_time_at_which_it_was_taken(rate_hz, stamped, within_ms):
    streams = gpmf.read(payloads(rate_hz, stamped=stamped))
    t_ns = gpmf.times_ns(streams["GYRO"], streams, FRAMES_NS)
    number = np.rint(100 * streams["GYRO"].values[:, 0])
    true_ns = (number / rate_hz - 0.005) * 1e9
    assert np.abs(t_ns - true_ns).max() < within_ms * 1e6
    assert np.all(np.diff(t_ns) > 0)
    assert gpmf.delay_sigma_ns(streams["GYRO"]) * 3 > within_ms * 1e6


def test_samples_before_the_film_began_are_not_counted_in():
    """The count of a camera that had run before starts anywhere."""
    late = gpmf.read(payloads(200.0, stamped=True)[3:])
    t_ns = gpmf.times_ns(late["GYRO"], late, FRAMES_NS + 0)
    assert t_ns[0] == pytest.approx(-5e6, abs=6e6)


@pytest.mark.parametrize(("axes", "expected"), [("XzY", [0, 30, -20]), ("ZXY", [20, 30, 0]), (None, [20, 30, 0])])
def test_columns_become_the_axes_that_the_camera_says(axes, expected):
    found = gpmf.oriented(gpmf.read(payloads(200.0, stamped=True, axes=axes))["GYRO"])
    assert found[0] == pytest.approx(expected)


def test_records_of_mixed_types_and_their_units():
    fields = klv("GPS9", "?", 14, 2, struct.pack(">lllH", 331267700, -1173273436, -22959, 154) * 2)
    data = nest(
        "DEVC",
        nest(
            "STRM",
            words("TYPE", "l[3]S"),
            klv("UNIT", "c", 3, 4, b"degdegm\0\0\0\0\0"),
            klv("SCAL", "l", 4, 4, struct.pack(">llll", 10_000_000, 10_000_000, 1000, 100)),
            fields,
        ),
    )
    found = gpmf.read([(0, SECOND_NS, data)])["GPS9"]
    assert found.values == pytest.approx(np.tile([33.12677, -117.3273436, -22.959, 1.54], (2, 1)))
    assert found.units == ("deg", "deg", "m", "")


def test_only_numbers_of_a_known_type_are_read():
    odd = nest("DEVC", nest("STRM", klv("ABCD", "x", 2, 3, bytes(6))), nest("STRM", klv("NOTE", "c", 4, 1, b"note")))
    assert gpmf.read([(0, SECOND_NS, odd)]) == {}
    assert list(gpmf.elements(b"DEVC\0\x01\xff\xff")) == []


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40))
def test_a_damaged_payload_is_read_as_far_as_it_makes_sense(seed, flips):
    rng = np.random.default_rng(seed)
    damaged = []
    for t_ns, long_ns, data in payloads(200.0, stamped=True)[:3]:
        raw = bytearray(data[: rng.integers(1, len(data) + 1)])
        for at in rng.integers(0, len(raw), flips):
            raw[at] ^= 1 << rng.integers(8)
        damaged.append((t_ns, long_ns, bytes(raw)))
    streams = gpmf.read(damaged)
    for found in streams.values():
        assert len(gpmf.times_ns(found, streams, FRAMES_NS)) == len(found.values)


# Chapters


def chaptered(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        film(folder / name)
    return folder / names[0]


def added(tmp_path: Path, *names: str, **options):
    device = add_file(tmp_path / "s", chaptered(tmp_path / "card", *names), "gopro", name="head", **options)
    return open_session(tmp_path / "s"), device


def test_chapters_are_one_film_in_their_order_and_as_they_came(tmp_path):
    names = ("GX010042.MP4", "GX030042.MP4", "GX020042.MP4", "GX010043.MP4", "GX020043.LRV", "GH020042.MP4")
    session, device = added(tmp_path, *names)
    kept = sorted(p.name for p in session.path("head").iterdir())
    assert kept == ["GX010042.MP4", "GX020042.MP4", "GX030042.MP4"]
    assert session.path("head/GX020042.MP4").read_bytes() == (tmp_path / "card" / "GX020042.MP4").read_bytes()
    one = container_frame_times_ns(tmp_path / "card" / "GX010042.MP4")
    t_ns = frame_times_ns(session, device)
    assert len(t_ns) == 3 * len(one)
    assert np.abs(np.diff(t_ns) - 100_000_000).max() < 1_000_000
    assert sum(1 for _ in video_frames(session.path(device.file), width=32)) == len(t_ns)
    assert read_sound(session, device).duration_s == pytest.approx(9.0, abs=0.1)


def test_one_chapter_is_the_film_itself(tmp_path):
    session, device = added(tmp_path, "GX010042.MP4", "GX010043.MP4")
    assert device.file == "head.mp4"
    assert not session.path("head").exists()


def test_old_names_of_chapters_and_files_that_are_none(tmp_path):
    folder = chaptered(tmp_path / "card", "GOPR0042.MP4", "GP010042.MP4", "GP020042.MP4", "GP010043.MP4").parent
    assert [p.name for p in gopro.chapters(folder / "GOPR0042.MP4")] == ["GOPR0042.MP4", "GP010042.MP4", "GP020042.MP4"]
    for alone in ("GP010042.MP4", "GP010043.MP4"):
        assert gopro.chapters(folder / alone) == [folder / alone]


def test_a_missing_chapter_is_named(tmp_path):
    with pytest.raises(SessionError, match=r"lacks chapter 2 of GX010042\.MP4"):
        added(tmp_path, "GX010042.MP4", "GX030042.MP4")
    assert not (tmp_path / "s").exists()


def test_a_film_without_telemetry_says_so(tmp_path):
    session, device = added(tmp_path, "head.mp4")
    assert device.of_kind("series") == ()
    assert "no gyroscope" in device.settings["import"]["notes"][0]
    assert turnings(session, device) == {}


def test_how_long_pictures_were_exposed_is_read_from_the_telemetry(tmp_path):
    session, device = added(tmp_path, "head.mp4")
    assert filmed(session, device).exposure_ns is None
    exposed_s = np.array([[0.004], [0.0], [0.002], [np.nan], [0.005]])
    table = session.path(place("head", "exposure"))
    table.parent.mkdir(exist_ok=True)
    table.write_bytes(series_table(np.arange(5) * 33_000_000, exposed_s, (("exposure", "s"),)))
    telling = replace(device, streams=(*device.streams, Stream("exposure", "series", 0, 30.0)))
    assert filmed(session.with_device(telling), telling).exposure_ns == pytest.approx(4e6)


# Files that nobody here made


@real
@pytest.mark.parametrize(("name", "rate_hz"), [("karma.mp4", 397), ("max-heromode.mp4", 197)])
def test_a_real_camera_s_gyroscope_is_in_the_session_on_the_camera_s_clock(tmp_path, name, rate_hz):
    device = add_file(tmp_path / "s", GOPRO / name, name="head", link=True)
    session = open_session(tmp_path / "s")
    (turning,) = turnings(session, device).values()
    assert turning.clock == device.clock == "head"
    assert 1e9 / np.median(np.diff(turning.t_ns)) == pytest.approx(rate_hz, abs=1)
    t_ns = frame_times_ns(session, device)
    assert abs(turning.t_ns[0] - t_ns[0]) < 50e6
    assert abs(turning.t_ns[-1] - t_ns[-1]) < 100e6
    assert 0.05 < np.linalg.norm(turning.rate_rad_s.std(axis=0)) < 1.0
    shut = gopro.telemetry(GOPRO / name)["exposure"].x
    assert filmed(session, device).exposure_ns == pytest.approx(1e9 * np.median(shut), rel=1e-5)
    gravity = np.linalg.norm(gopro.telemetry(GOPRO / name)["accelerometer"].x, axis=1)
    assert np.median(gravity) == pytest.approx(9.8, abs=1.0)
