"""Importing: the file arrives as it was, described by its own words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from firmware_host.errors import ConfigError, SessionError
from recorder.session import open_session
from sync.add import add_file
from sync.importers import IMPORTERS
from sync.importers.found import Found


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "My Recording 1.WAV"
    soundfile.write(path, np.random.default_rng(0).standard_normal(8000) * 0.1, 16_000, format="WAV")
    return path


def test_a_new_session_is_made_and_the_file_copied_byte_for_byte(tmp_path, wav):
    root = tmp_path / "s"
    device = add_file(root, wav, "media", wearer="p01", tone_distance_m=1.5)
    assert (root / device.file).read_bytes() == wav.read_bytes()
    session = open_session(root)
    (kept,) = session.devices
    assert kept == device
    assert (kept.name, kept.role, kept.clock) == ("my-recording-1", "other", "my-recording-1")
    assert (kept.wearer, kept.tone_distance_m) == ("p01", 1.5)
    assert session.participants == ("p01",)
    assert (kept.streams[0].kind, kept.streams[0].rate_hz) == ("audio", 16_000.0)


def test_a_link_is_no_copy(tmp_path, wav):
    device = add_file(tmp_path / "s", wav, "media", name="head", role="ego", link=True)
    assert (tmp_path / "s" / device.file).samefile(wav)
    assert device.role == "ego"


def test_names_are_taken_once(tmp_path, wav):
    add_file(tmp_path / "s", wav, "media", name="head")
    before = (tmp_path / "s" / "session.json").read_bytes()
    with pytest.raises(ConfigError, match="already has a device 'head'"):
        add_file(tmp_path / "s", wav, "media", name="head")
    assert (tmp_path / "s" / "session.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "gpro"}, "did you mean 'gopro'"),
        ({"role": "eggo"}, "did you mean 'ego'"),
        ({"name": "../up"}, "cannot name a device"),
    ],
)
def test_wrong_words_are_sentences(tmp_path, wav, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        add_file(tmp_path / "s", wav, **{"kind": "media", **options})
    assert not (tmp_path / "s" / "session.json").exists()


def test_what_is_no_media_file_is_refused_and_leaves_nothing(tmp_path, wav):
    (tmp_path / "notes.mp4").write_text("not a film")
    for path, kind in ((tmp_path / "notes.mp4", "media"), (tmp_path / "none.mp4", "media"), (wav, "gopro")):
        with pytest.raises(SessionError, match=path.name):
            add_file(tmp_path / "s", path, kind)
    assert not any((tmp_path / "s").glob("*"))


def test_a_folder_that_is_no_session_is_left_alone(tmp_path, wav):
    with pytest.raises(SessionError, match="not a session"):
        add_file(tmp_path, wav, "media")
    assert not (tmp_path / "session.json").exists()


@pytest.mark.parametrize("damage", [{"size": (0, 0)}, {"rate_hz": float("nan")}, {"t0_ns": 2**62}])
def test_a_header_that_says_what_cannot_be_is_refused(tmp_path, wav, monkeypatch, damage):
    def damaged(path, name):
        device = IMPORTERS["media"](path, name).devices[0]
        streams = tuple(replace(s, **damage) for s in device.streams)
        return Found((replace(device, streams=streams),), ((path, device.file),))

    monkeypatch.setitem(IMPORTERS, "xdf", damaged)
    with pytest.raises(SessionError, match="its header is damaged"):
        add_file(tmp_path / "s", wav, "xdf")
    assert not (tmp_path / "s").exists()
