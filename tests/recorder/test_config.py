from pathlib import Path

import pytest

from firmware_host.errors import ConfigError
from firmware_host.sensors import SENSORS
from recorder.config import read_kit
from recorder.tomlfile import line_of

EXAMPLE = Path(__file__).parents[2] / "docs" / "kit.toml"


def changed(folder: Path, *changes: tuple[str, str]) -> Path:
    """The example with words replaced."""
    text = EXAMPLE.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / "kit.toml"
    path.write_text(text)
    return path


def line_in(path: Path, words: str) -> int:
    """The line of a file that has these words."""
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if words in line)


def test_the_example_in_the_docs_is_a_kit():
    kit = read_kit(EXAMPLE)
    assert (kit.name, kit.role) == ("kit-01", "third")
    assert {s.model for s in kit.sensors.sensors} == SENSORS.keys()
    assert kit.camera is not None
    assert kit.camera.fps == 30


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("tone_distance_m", "tone_distanc_m", "tone_distanc_m", "did you mean 'tone_distance_m'"),
        ('role = "third"', 'role = "thrid"', "thrid", "did you mean 'third'"),
        ("scl_hz = ", "sclhz = ", "sclhz", r"lanes\[0\] 'i2c-1': unknown key 'sclhz'; did you mean 'scl_hz'"),
        (
            'model = "bme680"',
            'model = "bme680"\nadress = 0x77',
            "adress",
            r"sensors\[0\] 'bme680': unknown key 'adress'; did you mean 'address'",
        ),
        (
            'model = "amg8833"',
            "model = 3",
            "model = 3",
            r"sensors\[1\] 'amg8833': model is 3; it must be text in quotes",
        ),
        ('model = "amg8833"', 'model = "amg88"', 'model = "amg88', "did you mean 'amg8833'"),
        ("width = 1280", "width = true", "width", r"camera: width is True"),
        ("width = 1280", "width = 1281", "[camera]", r"1281x720 cannot be encoded"),
        ("fps = 30", "fps = 0", "fps", r"camera: fps is 0; it must be positive"),
        ('name = "kit-01"', 'name = "../kit"', "../kit", "names files"),
        (
            'model = "bme680"\nlane = "i2c-1"',
            'model = "bme680"\nlane = "i2c-1"\n[sensors.options]\nheater_m = 3',
            "[sensors.options]",
            "did you mean 'heater_ms'",
        ),
        (
            'model = "bme680"',
            'model = "bme680"\nrate_hz = 60',
            'name = "bme680"',
            "needs 138 ms for a reading and cannot give 60 Hz",
        ),
        ('lane = "uart-bno055"', 'lane = "uart-bno05"', 'name = "bno055"', "did you mean 'uart-bno055'"),
        ("stop_minutes = 2 ", "stop_minutes = 90 ", "[disk]", "stop_minutes must be from 0 to warn_minutes"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_place(tmp_path: Path, old: str, new: str, line: str, message: str):
    path = changed(tmp_path, (old, new))
    with pytest.raises(ConfigError, match=message) as error:
        read_kit(path)
    assert len(str(error.value).splitlines()) == 1
    told = int(str(error.value).removeprefix(f"{path} line ").split(":")[0])
    table_heads = {line_in(path, line), line_in(path, line) - 1}  # a table is told by its head
    assert told in table_heads, error.value


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path):
    path = changed(tmp_path, ("width = ", "widht = "), ("rate_hz = ", "rate = "), ('model = "bme680"\n', ""))
    with pytest.raises(ConfigError) as error:
        read_kit(path)
    lines = str(error.value).splitlines()
    assert [("widht" in x, "rate" in x, "'model' is missing" in x) for x in lines] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [('name = "kit-01"', "", r"kit\.toml: the key 'name' is missing"), ("[camera]", "[camera", "line 7")],
)
def test_what_has_no_line_of_its_own_is_told_too(tmp_path: Path, old: str, new: str, message: str):
    with pytest.raises(ConfigError, match=message):
        read_kit(changed(tmp_path, (old, new)))


def test_a_line_is_found_behind_values_of_many_lines():
    text = 'a = """\n[c]\nb = 1\n"""\n[c]\nlist = [\n  1,\n]\nb = 2\n'
    assert line_of(text, ("c", "b")) == 9
    assert line_of(text, ("c",)) == 5
    assert line_of(text, ("d",)) is None


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_kit(tmp_path / "kit.toml")
