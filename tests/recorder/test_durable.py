from pathlib import Path

import pytest

from recorder.durable import replacing, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"whole": True})

    def fail_halfway() -> None:
        with replacing(path) as scratch:
            scratch.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert path.read_text() == '{\n  "whole": true\n}\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_scratch_file_keeps_the_suffix_by_which_formats_are_chosen(tmp_path: Path):
    with replacing(tmp_path / "m.mp4") as scratch:
        assert scratch.suffix == ".mp4"
        scratch.write_bytes(b"x")
    assert (tmp_path / "m.mp4").read_bytes() == b"x"
