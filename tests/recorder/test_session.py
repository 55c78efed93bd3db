import json
from pathlib import Path

import pytest

from firmware_host.errors import SessionError
from firmware_host.spec import Channel
from recorder.session import Device, Session, Stream, open_session

CAMERA = Stream("camera", "video", 5, 30.0, size=(640, 360))
FIELD = Stream("bme680.field", "sensor", 7, 60.0, "bme680", "bme680", 1, (Channel("t", "degC", 0.01),), 5.0)
KIT = Device("kit-01", "kit", "third", "kit-01", "kit-01.mkv", (CAMERA, FIELD), settings={"bme680": {"t1": 3}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Session(tmp_path, "first", (KIT,), participants=("p01",), place="r01", sealed=True).save()
    return tmp_path


def damage(folder: Path, change) -> None:
    path = folder / "session.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_manifest_comes_back_as_it_was_written(folder: Path):
    session = open_session(folder)
    assert session.devices == (KIT,)
    assert (session.id, session.participants, session.place, session.sealed) == ("first", ("p01",), "r01", True)


def test_an_empty_folder_is_told_in_one_sentence(tmp_path: Path):
    with pytest.raises(SessionError, match=r"has no session\.json.*syncctl record"):
        open_session(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=9), "version 9"),
        (lambda d: d.update(colour="red"), "colour"),
        (lambda d: d["devices"][0].update(role="thrid"), r"devices\[0\]\.role.*did you mean 'third'"),
        (lambda d: d["devices"][0]["streams"][1].pop("t0_ns"), r"devices\[0\]\.streams\[1\].*t0_ns"),
        (lambda d: d["devices"][0].pop("streams"), r"devices\[0\].*'streams' is missing"),
        (lambda d: d["devices"][0]["streams"].append(3), r"streams\[2\]"),
    ],
)
def test_a_damaged_manifest_names_the_place(folder: Path, change, message: str):
    damage(folder, change)
    with pytest.raises(SessionError, match=message):
        open_session(folder)


def test_a_manifest_that_is_not_json_is_told(folder: Path):
    (folder / "session.json").write_bytes(b"\xff{")
    with pytest.raises(SessionError, match="not valid JSON"):
        open_session(folder)


def test_unknown_names_come_with_the_nearest(folder: Path):
    session = open_session(folder)
    with pytest.raises(SessionError, match="did you mean 'kit-01'"):
        session.device("kit-1")
    with pytest.raises(SessionError, match="did you mean 'camera'"):
        session.device("kit-01").stream("camra")
