from __future__ import annotations

from pathlib import Path

from firmware_host.spec import KitConfig, LaneConfig, SensorConfig
from recorder import profiles

PROFILE = "0102" * 11
KIT = KitConfig(
    (LaneConfig("uart-0", "uart", "/dev/ttyAMA0"), LaneConfig("i2c-1", "i2c", "/dev/i2c-1")),
    (SensorConfig("head", "bno055", "uart-0"), SensorConfig("air", "bme680", "i2c-1")),
)


def test_what_one_recording_learnt_the_next_one_starts_with(tmp_path: Path):
    path = tmp_path / "state" / "kit-01.profiles.json"
    profiles.keep(path, {"head": {"profile": PROFILE}, "air": {"heater_ms": 100}})
    again = profiles.restored(KIT, profiles.load(path))
    assert again.sensor("head").options == {"profile": PROFILE}
    assert again.sensor("air") == KIT.sensor("air")


def test_a_recording_that_learnt_nothing_takes_nothing_away(tmp_path: Path):
    path = tmp_path / "p.json"
    profiles.keep(path, {"head": {"profile": PROFILE}})
    profiles.keep(path, {"head": {"profile": ""}, "other": {"profile": PROFILE[::-1]}})
    assert profiles.load(path) == {"head": PROFILE, "other": PROFILE[::-1]}


def test_the_kit_file_goes_before_what_was_stored():
    mine = SensorConfig("head", "bno055", "uart-0", options={"profile": "ff" * 22})
    assert profiles.restored(KitConfig(KIT.lanes, (mine,)), {"head": PROFILE}).sensors == (mine,)


def test_a_profile_that_does_not_fit_is_passed_over(tmp_path: Path):
    assert profiles.restored(KIT, {"head": "not hex", "air": PROFILE}) == KIT
    (tmp_path / "torn.json").write_text('{"head": "01')
    assert profiles.load(tmp_path / "torn.json") == {}
    (tmp_path / "list.json").write_text("[1]")
    assert profiles.load(tmp_path / "list.json") == {}
    assert profiles.load(tmp_path / "absent.json") == {}


def test_the_place_is_the_users_state_folder(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert profiles.path_of("kit-01") == tmp_path / "syncctl" / "kit-01.profiles.json"
