import json
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from planted import make_session

from firmware_host.errors import SessionError
from ingest.cli import build, cache, check, export


def test_build_makes_a_dataset_and_says_what(sessions, tmp_path):
    options = ["--out", tmp_path / "out", "--test", "dora", "--workers", 2, "--cache-size", 64, "--json"]
    result = CliRunner().invoke(build, [str(sessions), *map(str, options)], catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["sessions"] == ["s-anna", "s-ben", "s-carl", "s-dora"]
    assert document["splits"] == {"train": ["anna", "ben", "carl", "guest00"], "val": [], "test": ["dora"]}
    assert document["counts"]["clips"] == {"train": 48, "val": 0, "test": 16}
    assert document["dataset"] == str(tmp_path / "out")
    assert len(list((tmp_path / "out" / "cache").glob("h264-64-*/*.mp4"))) == 8  # of both cameras


def test_an_unaligned_session_stops_the_build_with_its_name(tmp_path):
    make_session(tmp_path / "s", participant="ann", seconds=2, aligned=False)
    with pytest.raises(SessionError, match="is not aligned yet"):
        CliRunner().invoke(build, [str(tmp_path), "--out", str(tmp_path / "out")], catch_exceptions=False)


def test_the_command_is_light_and_its_help_has_an_example():
    assert "syncctl build sessions --out dataset" in CliRunner().invoke(build, ["--help"]).output
    code = "import sys, ingest.cli; print([m for m in ('torch', 'av', 'pyarrow', 'numpy', 'cv2') if m in sys.modules])"
    heavy = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert heavy.strip() == "[]"


def test_a_dataset_is_checked_copied_and_exported_by_commands(built, tmp_path):
    root = built.out.parent / "commanded"
    shutil.copytree(built.out, root)

    def run(command, *arguments):
        return json.loads(CliRunner().invoke(command, [*map(str, arguments), "--json"], catch_exceptions=False).stdout)

    assert run(cache, root, "--size", 32, "--role", "ego", "--workers", 1)["files"] == 4
    assert (run(check, root)["errors"], len(run(check, root)["labels"])) == (0, 3)
    assert run(export, root, "--to", "mcap", "--out", tmp_path / "out", "--split", "test")["files"] == ["s-dora.mcap"]
    for copy in root.glob("cache/*/s-dora.head.mp4"):
        copy.write_bytes(b"no film")
    result = CliRunner().invoke(check, [str(root)])
    assert result.exit_code == 1
    assert "error: s-dora: " in result.output
