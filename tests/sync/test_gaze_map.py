"""Which eye tracker's gaze is carried to which camera."""

from __future__ import annotations

from recorder.session import Device, Session, Stream
from sync import gaze_map
from sync.alignment import Alignment

VIDEO = Stream("video", "video", 30.0, "t0", 0, size=(640, 360))


def worn(tmp_path, *wearers):
    """An eye tracker and a head camera for each wearer; None: nobody said whose."""
    devices = []
    for n, who in enumerate(wearers):
        devices.append(Device(f"eye{n}", "eye", "eye", f"eye{n}", f"eye{n}.mp4", (VIDEO,), gaze="g.csv", wearer=who))
        devices.append(Device(f"head{n}", "gopro", "ego", f"head{n}", f"head{n}.mp4", (VIDEO,), wearer=who))
    return Session(tmp_path, "s", tuple(devices))


def test_nobodys_gaze_is_looked_for_on_another_persons_head(tmp_path):
    pairs = gaze_map.gaze_pairs(worn(tmp_path, "anna", "ben"))
    assert [(eye.name, ego.name) for eye, ego in pairs] == [("eye0", "head0"), ("eye1", "head1")]


def test_a_second_tracker_on_a_camera_has_a_table_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(gaze_map, "rows_for", lambda *_: ([], []))
    session = worn(tmp_path, "anna", None)
    found = gaze_map.map_gaze(session, Alignment("eye0", (), (), ()))
    files = {(g.source, g.target): g.file for g in found.gaze}
    assert files["eye0", "head0"] == "gaze_head0.csv"
    assert files["eye1", "head0"] == "gaze_head0_eye1.csv"
    assert len(set(files.values())) == len(files)
    assert all((tmp_path / name).is_file() for name in files.values())
