"""What scripts depend on: one JSON document, its names, and the exit status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from planted_sounds import RATE, noisy, speech, with_tones

from recorder.tone import tone as waveform
from sync import cli
from sync.align import METHODS
from syncctl import COMMANDS


def run(command, *arguments: object, status: int = 0):
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == status or (status and isinstance(result.exception, Exception)), result.output
    return result


def status_of(command, *arguments: object) -> int:
    """The front door turns what a command returns into the exit status."""
    return command.main([str(a) for a in arguments], standalone_mode=False) or 0


@pytest.mark.parametrize("option", [("--prior", "head"), ("--prior", "head=1±0"), ("--sine", "loud")])
def test_an_option_that_says_nothing_is_wrong_usage(option, tmp_path):
    result = CliRunner().invoke(cli.align, [str(tmp_path), *option])
    assert result.exit_code == 2
    assert f"Error: '{option[1]}' is no " in result.output


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wav")
    x = noisy(speech(30, 3), 20, 1)
    soundfile.write(folder / "whole.wav", with_tones(x, {"start": 2.0, "end": 27.0}), RATE)
    soundfile.write(folder / "cut.wav", x[5 * RATE :], RATE)
    soundfile.write(folder / "other.wav", noisy(speech(20, 99), 20, 1), RATE)
    return folder


def test_offset_promises(recordings, capsys):
    assert status_of(cli.offset, recordings / "whole.wav", recordings / "cut.wav", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "ok"
    assert found["offset_s"] == pytest.approx(5.0, abs=1e-5)
    assert found["skew_ppm"] == pytest.approx(0, abs=1)
    assert found["sigma_s"] == pytest.approx(1 / 343 / 3**0.5, rel=0.05), "a metre in any direction"
    assert 0 < found["score"] <= 1
    (piece,) = found["pieces"]
    assert (piece["start_s"], piece["stop_s"]) == pytest.approx((0, 25))


def test_offset_refuses_with_nulls_and_status_1(recordings, capsys):
    assert status_of(cli.offset, recordings / "whole.wav", recordings / "other.wav", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "refused"
    assert found["reason"]
    assert [found[k] for k in ("offset_s", "skew_ppm", "sigma_s", "score")] == [None] * 4
    assert found["pieces"] == []


def test_offset_for_people(recordings, capsys):
    status_of(cli.offset, recordings / "whole.wav", recordings / "cut.wav", "--apart", 0.1)
    printed = capsys.readouterr().out
    assert printed.startswith("ok: t_ref = +")
    assert "± 0.17 ms" in printed


def test_tones_promises(recordings, capsys):
    assert status_of(cli.tones, recordings / "whole.wav", "--json") == 0
    heard = json.loads(capsys.readouterr().out)["tones"]
    assert [t["kind"] for t in heard] == ["start", "end"]
    assert [t["t_s"] for t in heard] == pytest.approx([2.0, 27.0], abs=1e-4)
    assert all(set(t) == {"kind", "t_s", "sigma_s", "score"} for t in heard)


@pytest.mark.parametrize("kind", ["start", "end"])
def test_the_tone_that_is_written_is_the_tone(tmp_path, capsys, kind):
    out = tmp_path / "tone.wav"
    assert status_of(cli.tone, kind, "--out", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["kind"] == kind
    x, rate = soundfile.read(out)
    assert (rate, x.ndim) == (48_000, 1)
    assert x == pytest.approx(waveform(kind), abs=1e-4)


def test_align_promises(session, tmp_path, capsys):
    copy = Path(shutil.copytree(session.root, tmp_path / "s"))
    assert status_of(cli.align, copy, "--reference", "room", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"] == "room"
    assert {m["source"] for m in found["maps"]} == {"body", "head"} == set(found["truth_error_ms"])
    wanted = {"start_ns", "stop_ns", "origin_ns", "target_ns", "skew_ppm", "sigma_ns"}
    assert all(set(p) == wanted for m in found["maps"] for p in m["pieces"])
    assert found["refused"] == []
    assert {c["clock"] for c in found["certainty"]} == {"body", "head"}
    assert (copy / "report.html").is_file()


def test_strict_is_exit_1_where_a_device_is_refused_and_options_reach_the_alignment(session, tmp_path, capsys):
    copy = Path(shutil.copytree(session.root, tmp_path / "s"))
    soundfile.write(copy / "head.wav", np.zeros(5 * RATE), RATE)
    quick = (copy, "--reference", "room", "--only", "tones", "--json")
    for options, status in (((), 0), (("--strict",), 1), (("--strict", "--prior", "head=1.5±0.2"), 0)):
        assert status_of(cli.align, *quick, *options) == status
        found = json.loads(capsys.readouterr().out)
        refused = {r["name"] for r in found["refused"]}
        assert refused == (set() if "--prior" in options else {"head"})
        assert {e["method"] for e in found["evidence"]} == {"tones", *(["prior"] if not refused else [])}


def test_add_promises(recordings, tmp_path, capsys):
    arguments = (tmp_path / "s", recordings / "cut.wav", "--as", "media", "--name", "desk", "--json")
    assert status_of(cli.add, *arguments) == 0
    assert json.loads(capsys.readouterr().out)["device"]["name"] == "desk"


@pytest.mark.parametrize("name", [n for n, (place, _) in COMMANDS.items() if place.startswith("sync.")])
def test_every_command_has_help_with_an_example(name):
    command = getattr(cli, COMMANDS[name][0].split(":")[1])
    help_text = run(command, "--help").output
    assert "Example" in help_text
    assert f"syncctl {name}" in help_text


def test_the_help_names_every_kind_of_evidence():
    said = run(cli.align, "--help").output
    assert not [method for method in METHODS if method not in said]


def test_a_session_without_tones_and_sound_is_one_sentence(tmp_path, run_syncctl):
    from sync.add import add_file

    for name in ("one", "two"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(5 * RATE), RATE)
        add_file(tmp_path / "s", tmp_path / f"{name}.wav", "media")
    for folder in (tmp_path / "s", tmp_path / "nowhere"):
        result = run_syncctl("align", folder)
        assert result.returncode == 1
        assert result.stderr.startswith("syncctl: ")
        assert "Traceback" not in result.stderr
