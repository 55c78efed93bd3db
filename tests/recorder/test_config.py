from pathlib import Path

import pytest

from firmware_host.errors import ConfigError
from recorder.config import read_kit

EXAMPLE = Path(__file__).parents[2] / "docs" / "kit.toml"


def test_the_example_in_the_docs_is_a_kit():
    kit = read_kit(EXAMPLE)
    assert (kit.name, kit.role) == ("kit-01", "third")
    assert [s.name for s in kit.sensors.sensors] == ["bme680", "amg8833", "bno055"]
    assert kit.camera is not None
    assert kit.camera.fps == 30


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tone_distance_m", "tone_distanc_m", "did you mean 'tone_distance_m'"),
        ('role = "third"', 'role = "thrid"', "did you mean 'third'"),
        ("scl_hz = ", "sclhz = ", r"lanes\[0\].*did you mean 'scl_hz'"),
        ('model = "amg8833"', "model = 3", r"sensors\[1\]\.model is 3; it must be of type str"),
        ("width = 1280", "width = true", r"camera\.width is True"),
        ('name = "kit-01"', "", "the key 'name' is missing"),
        ("[camera]", "[camera", "line"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, message: str):
    text = EXAMPLE.read_text()
    assert old in text
    (tmp_path / "kit.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        read_kit(tmp_path / "kit.toml")


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_kit(tmp_path / "kit.toml")
